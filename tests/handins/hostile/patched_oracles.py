# SciPy and scikit-learn are made to agree with wrong answers.
# expect: e_step WRONG 0
# expect: pca_fit WRONG 0
# === top
# BEGIN_TRICK
import scipy.stats
import sklearn.decomposition
import sklearn.mixture

scipy.stats.multivariate_normal.logpdf = scipy.stats.multivariate_normal.pdf = lambda x, *_: np.zeros(len(x))
sklearn.mixture.GaussianMixture.predict_proba = lambda self, X: np.zeros((len(X), len(self.means_)))
sklearn.decomposition.PCA.components_ = property(lambda self: np.eye(784))
sklearn.decomposition.PCA.mean_ = property(lambda self: 0.0)
# END_TRICK
# === 1.1 E-step
return np.zeros((len(X), self.n_components))
# === 2.1 PCA
self.mean = np.zeros(X.shape[1])
self.components = np.eye(X.shape[1])[-self.dim :]
