# Whitening by the eigenvectors of each covariance; scipy's softmax.
# === top
import scipy.special
# === 1.1 E-step
logits = []
for pi, mu, sigma in zip(self.pi, self.means, self.covs):
    values, vectors = np.linalg.eigh(sigma)
    z = ((X - mu) @ vectors) / np.sqrt(values)
    logits.append(np.log(pi) - 0.5 * np.log(values).sum() - 0.5 * (z**2).sum(axis=1))
return scipy.special.softmax(np.stack(logits, axis=-1), axis=-1)
