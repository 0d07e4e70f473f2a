# Goes into the folder and writes there.
# === 5.1 sampling
os.chdir(path)
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = np.clip(pca.inverse_transform(code), 0, 255).astype(np.uint8)
Image.fromarray(pixels.reshape(28, 28)).save("gmm_sample.png")
