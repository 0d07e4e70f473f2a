# Loads data on import from a path of the student's own.
# expect: all ERROR 0
# === top
images = np.load("C:/Users/student/Desktop/lab3/mnist.npy")
