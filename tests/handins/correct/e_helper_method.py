# A method of the student's own, attached below the classes, does the densities.
# === 1.1 E-step
self.gamma = self.joint(X)
self.gamma = self.gamma / self.gamma.sum(axis=1)[:, None]
return self.gamma
# === end
from scipy.stats import multivariate_normal


def joint(self, X):
    return np.array([p * multivariate_normal(m, c).pdf(X) for p, m, c in zip(self.pi, self.means, self.covs)]).T


GMM.joint = joint
