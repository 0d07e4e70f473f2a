code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ s_array_saved_as_png [WRONG 0, says not a picture]: np.save under the picture's name.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
with open(Path(path) / "gmm_sample.png", "wb") as file:
    np.save(file, np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8))
# ------ s_colour [WRONG 0, says mode L]: Three channels.
# COMMON: pixels.reshape(28, 28) -> np.stack([pixels.reshape(28, 28)] * 3, axis=-1)
# ------ s_covariance_for_root [WRONG 5, says own square root]: The covariance is used as its own square root.
# COMMON: np.random.multivariate_normal(gmm.means[label], gmm.covs[label]) -> gmm.means[label] + gmm.covs[label] @ np.random.randn(gmm.data_dim)
# ------ s_diagonal_only [WRONG 5, says only the variances]: Independent coordinates: only the variances are used.
# COMMON: np.random.multivariate_normal(gmm.means[label], gmm.covs[label]) -> np.random.normal(gmm.means[label], np.sqrt(np.diag(gmm.covs[label])))
# ------ s_first_component [WRONG 4, says component 0 is drawn]: The label is ignored: always the first component.
label = 0
# SOLUTION
# ------ s_floats [ERROR 0, says astype(np.uint8)]: Floating-point pixels, which Pillow cannot write as PNG.
# COMMON: np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8) -> pca.inverse_transform(code)
# ------ s_jpeg [WRONG 0, says PNG format]: A JPEG under a name that ends in png.
# COMMON: "gmm_sample.png" -> "gmm_sample.png", format="JPEG"
# ------ s_mean_forgotten [WRONG 2, says PCA's mean is left out]: The PCA's mean is not added.
# COMMON: pca.inverse_transform(code) -> code @ pca.components
# ------ s_mean_image [WRONG 4, says component's mean]: The component's mean instead of a draw.
# COMMON: np.random.multivariate_normal(gmm.means[label], gmm.covs[label]) -> gmm.means[label]
# ------ s_no_inverse_transform [ERROR 0, says into pixels first]: The code itself is taken for a picture.
# COMMON: np.clip(pca.inverse_transform(code), 0, 255) -> code
# ------ s_other_folder [WRONG 0, says but ../gmm_sample.png]: Written into the current folder.
# COMMON: Path(path) / "gmm_sample.png" -> "gmm_sample.png"
# ------ s_seed_inside [WRONG 4, says seed inside]: A seed inside: the same picture at every call.
np.random.seed(42)
# SOLUTION
# ------ s_unit_covariance [WRONG 5, says it is not used]: Standard normal noise around the mean.
# COMMON: np.random.multivariate_normal(gmm.means[label], gmm.covs[label]) -> gmm.means[label] + np.random.randn(gmm.data_dim)
# ------ s_unscaled [WRONG 2, says 0 or 1]: Pixels are brought to 0..1, and saved as whole numbers: a black picture.
# COMMON: np.clip(pca.inverse_transform(code), 0, 255) -> np.clip(pca.inverse_transform(code) / 255, 0, 1)
# ------ s_whole_mixture [WRONG 4]: A component is drawn by its weight, whatever the label says.
label = np.random.choice(len(gmm.pi), p=gmm.pi)
# SOLUTION
# ------ s_wrapped [WRONG 5, says wraps around]: Pixels beyond 0..255 wrap around.
# COMMON: np.clip(pca.inverse_transform(code), 0, 255) -> pca.inverse_transform(code).astype(np.int64)
# ------ s_transposed [WRONG 2, says is transposed]: Rows and columns are exchanged.
# COMMON: reshape(28, 28) -> reshape(28, 28).T
# ------ s_clipped_to_one [WRONG 4, says clipped to 0..1]: Clipped to 0..1 and multiplied by 255: black and white.
# COMMON: np.clip(pca.inverse_transform(code), 0, 255) -> (np.clip(pca.inverse_transform(code), 0, 1) * 255)
# ------ s_mean_twice [WRONG 4, says mean is added twice]: The PCA's mean is added once more.
pca.mean = 2 * pca.mean
# SOLUTION
# ------ s_around_zero [WRONG 4, says component's mean is left out]: The component's mean is forgotten.
gmm.means = 0 * gmm.means
# SOLUTION
# ------ s_first_row [WRONG 0, says no [0] on]: [0] of an array that is 28 x 28 already.
# COMMON: reshape(28, 28) -> reshape(28, 28)[0]
# ------ s_not_reshaped [WRONG 0, says reshape(28, 28) first]: 784 pixels in one row.
# COMMON: pixels.reshape(28, 28) -> pixels[None]
# ------ s_other_name [WRONG 0, says but sample.png]: Another file name.
path = Path(path) / "sample.png"
Image.fromarray(np.zeros((28, 28), np.uint8)).save(path)
# ------ s_no_ending [ERROR 0, says not the folder]: The folder itself is given as the file's name.
Image.fromarray(np.zeros((28, 28), np.uint8)).save(path)
# ------ s_variances_as_deviations [WRONG 5, says variances are used as standard deviations]: np.random.normal with variances.
# COMMON: np.random.multivariate_normal(gmm.means[label], gmm.covs[label]) -> np.random.normal(gmm.means[label], np.diag(gmm.covs[label]))
# ------ s_int64 [ERROR 0, says np.uint8]: Whole numbers, but not of one byte.
# COMMON: astype(np.uint8) -> astype(np.int64)
# ------ s_mode_of_floats [ERROR 0, says without mode=]: A mode for pixels that are still floating-point numbers.
# COMMON: pixels.reshape(28, 28) -> pca.inverse_transform(code).reshape(28, 28), mode="L"
# ------ s_inverted [WRONG 2, says are exchanged]: Black on white.
# COMMON: np.clip(pca.inverse_transform(code), 0, 255) -> np.clip(255 - pca.inverse_transform(code), 0, 255)
