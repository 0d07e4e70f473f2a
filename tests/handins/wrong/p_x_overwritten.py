# Right, and then X is overwritten.
# expect: pca_fit WRONG 4
# === 2.1 PCA
# SOLUTION
X[:] = 255 - X
