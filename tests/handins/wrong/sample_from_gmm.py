# ------ s_array_saved_as_png [WRONG 0]: np.save under the picture's name.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
with open(Path(path) / "gmm_sample.png", "wb") as file:
    np.save(file, np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8))
# ------ s_black_and_white [WRONG 0]: One bit a pixel.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = pca.inverse_transform(code).reshape(28, 28) > 127
Image.fromarray(pixels).save(Path(path) / "gmm_sample.png")
# ------ s_colour [WRONG 0]: Three channels.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8).reshape(28, 28)
Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(Path(path) / "gmm_sample.png")
# ------ s_covariance_for_root [WRONG 5]: The covariance is used as its own square root.
code = gmm.means[label] + gmm.covs[label] @ np.random.randn(len(gmm.means[label]))
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ s_diagonal_only [WRONG 5]: Independent coordinates: only the variances are used.
code = np.random.normal(gmm.means[label], np.sqrt(np.diag(gmm.covs[label])))
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ s_first_component [WRONG 4]: The label is ignored: always the first component.
label = 0
# SOLUTION
# ------ s_floats [ERROR 0]: Floating-point pixels, which Pillow cannot write as PNG.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
Image.fromarray(pca.inverse_transform(code).reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ s_jpeg [WRONG 0]: A JPEG under a name that ends in png.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png", format="JPEG")
# ------ s_mean_forgotten [WRONG 2]: The PCA's mean is not added.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(code @ pca.components, 0, 255)
Image.fromarray(pixels.reshape(28, 28).astype(np.uint8)).save(Path(path) / "gmm_sample.png")
# ------ s_mean_image [WRONG 4]: The component's mean instead of a draw.
pixels = np.clip(pca.inverse_transform(gmm.means[label]), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ s_no_inverse_transform [ERROR 0]: The code itself is taken for a picture.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
Image.fromarray(code.reshape(28, 28).astype(np.uint8)).save(Path(path) / "gmm_sample.png")
# ------ s_other_folder [WRONG 0]: Written into the current folder.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save("gmm_sample.png")
# ------ s_seed_inside [WRONG 4]: A seed inside: the same picture at every call.
np.random.seed(42)
# SOLUTION
# ------ s_unit_covariance [WRONG 5]: Standard normal noise around the mean.
code = gmm.means[label] + np.random.randn(gmm.means.shape[1])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
# ------ s_unscaled [WRONG 2]: Pixels are brought to 0..1, and saved as whole numbers: a black picture.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code) / 255, 0, 1)
Image.fromarray(pixels.reshape(28, 28).astype(np.uint8)).save(Path(path) / "gmm_sample.png")
# ------ s_whole_mixture [WRONG 4]: A component is drawn by its weight, whatever the label says.
label = np.random.choice(len(gmm.pi), p=gmm.pi)
# SOLUTION
# ------ s_wrapped [WRONG 5]: Pixels beyond 0..255 wrap around.
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = pca.inverse_transform(code).astype(np.int64).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
