# scikit-learn's mixture with these parameters does the work.
# === 1.1 E-step
from sklearn.mixture import GaussianMixture

model = GaussianMixture(n_components=self.n_components, covariance_type="full")
model.weights_ = self.pi
model.means_ = self.means
model.covariances_ = self.covs
model.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(self.covs))
return model.predict_proba(X)
