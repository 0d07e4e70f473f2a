# A small experiment left at the end runs on import: slower, not wrong.
# === end
from sklearn.datasets import load_digits

digits = load_digits().data
pca = PCA(5)
pca.fit(digits)
gmm = GMM(10, 5)
gmm.fit(pca.transform(digits), max_iter=5, seed=0)
print(np.bincount(gmm.predict(pca.transform(digits))))
