self.mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = vectors[:, ::-1][:, : self.dim].T
# ------ p_all_components [WRONG 2, says keep self.dim]: All D components are kept.
# COMMON: [:, : self.dim].T -> .T
# ------ p_ascending [WRONG 5, says wrong order]: The right components in ascending order.
# COMMON: [:, ::-1][:, : self.dim] -> [:, -self.dim :]
# ------ p_columns [WRONG 5, says transpose]: Components as columns, (D, d).
# COMMON: self.dim].T -> self.dim]
# ------ p_half_precision [WRONG 0]: Sums of products in float16 overflow or lose everything.
X = X.astype(np.float16)
self.mean = X.mean(axis=0, dtype=np.float16)
C = X - self.mean
self.components = np.linalg.eigh((C.T @ C).astype(np.float32))[1].T[::-1][: self.dim]
# ------ p_least_variance [WRONG 2, says least variance]: eigh sorts in ascending order: the first columns are those of least variance.
# COMMON: vectors[:, ::-1] -> vectors
# ------ p_mean_after_centring [WRONG 6, says after X was centred]: The mean is taken after centring: it is zero.
X = X - X.mean(axis=0)
# COMMON
# ------ p_mean_not_set [WRONG 6, says mean is not set]: The mean is not set.
# COMMON: self.mean = -> mean =
# ------ p_not_centred [WRONG 2, says not centred]: X is not centred.
self.mean = X.mean(axis=0)
self.components = np.linalg.svd(X.astype(float), full_matrices=False)[2][: self.dim]
# ------ p_nothing_set [WRONG 0, says set self.components]: The components are returned and not set.
mean = X.mean(axis=0)
values, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
return vectors.T[::-1][: self.dim], mean
# ------ p_one_mean [WRONG 6, says mean has shape ()]: One mean for all pixels.
# COMMON: X.mean(axis=0) -> X.mean()
# ------ p_rows_of_eigenvectors [WRONG 2, says wrong axis of the matrix]: The first rows of eigh's matrix, whose eigenvectors are columns.
# COMMON: [:, : self.dim].T -> [: self.dim]
# ------ p_scaled_by_deviation [WRONG 2, says length 1]: Every component is multiplied by its standard deviation.
# COMMON: vectors[:, ::-1] -> (vectors * np.sqrt(np.abs(values)))[:, ::-1]
# ------ p_standardised [WRONG 2, says standard deviation]: Pixels are divided by their standard deviation first.
from sklearn.preprocessing import StandardScaler

self.mean = X.mean(axis=0)
Z = StandardScaler().fit_transform(X.astype(float))
self.components = np.linalg.svd(Z, full_matrices=False)[2][: self.dim]
# ------ p_wraps_around [WRONG 0, says 8-bit]: Centred in uint8, where 3 - 5 is 254; right for floating-point data.
self.mean = X.mean(axis=0).astype(X.dtype)
values, vectors = np.linalg.eigh(np.cov(X - self.mean, rowvar=False))
self.components = vectors.T[::-1][: self.dim]
# ------ p_x_centred_in_place [ERROR 0, says write X = X - y]: X -= mean: an exception for 8-bit images.
self.mean = X.mean(axis=0)
X -= self.mean
self.components = np.linalg.svd(X, full_matrices=False)[2][: self.dim]
# ------ p_x_overwritten [WRONG 4, says in place]: Right, and then X is overwritten.
# SOLUTION
X[:] = 255 - X
# ------ p_samples_for_pixels [WRONG 2, says number of samples]: np.cov takes rows for variables: eigenvectors over samples.
# COMMON: np.cov(X, rowvar=False) -> np.cov(X)
# ------ p_first_rows [WRONG 2, says wrong axis of the matrix]: The first rows of eigh's matrix, not reversed.
# COMMON: [:, ::-1][:, : self.dim].T -> [: self.dim]
# ------ p_mean_of_rows [WRONG 6, says instead of (2,)]: The mean of each sample.
# SOLUTION
self.mean = X.mean(axis=1)
# ------ p_name_of_the_mixture [ERROR 0, says PCA has dim]: The number of components under the mixture's name.
self.components = np.zeros((self.n_components, X.shape[1]))
# ------ p_columns_of_svd [WRONG 2, says third result as rows]: Columns of the SVD's third result.
self.mean = X.mean(axis=0)
self.components = np.linalg.svd(X - self.mean, full_matrices=False)[2][:, : self.dim].T
