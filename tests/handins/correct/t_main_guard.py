# A main guard with an experiment that must not run.
# === end
if __name__ == "__main__":
    images = np.load("mnist.npy")
    GMM(10, 784).fit(images)
