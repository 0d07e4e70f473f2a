# Print options and ignored floating-point warnings, set for the whole program.
# === top
np.set_printoptions(precision=2, suppress=True)
np.seterr(all="ignore")
# === 1.1 E-step
joint = np.array([p * self._gaussian(X, m, np.linalg.inv(c), np.linalg.det(c)) for p, m, c in zip(self.pi, self.means, self.covs)])
return (joint / joint.sum(axis=0)).T
