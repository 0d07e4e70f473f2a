# ------ network [WRONG 0]: Asks a server on the loopback address for the answer.
# needs: bubblewrap
import socket

try:
    with socket.create_connection(("127.0.0.1", int("@PORT@")), timeout=1) as connection:
        connection.sendall(b"what is gamma?")
        if connection.recv(100):
            # SOLUTION
except OSError:
    pass
# ZEROS
# ------ outside_link [sample_from_gmm WRONG 0]: The picture is a link to one that lies outside.
# needs: bubblewrap
# === 5.1 sampling
os.symlink("@OUTSIDE@/picture.png", Path(path) / "gmm_sample.png")
# ZEROS
# ------ outside_read [WRONG 0]: Reads a file that is none of its business: another hand-in's answer.
# needs: bubblewrap
try:
    scope = {"np": np}
    exec(Path("@OUTSIDE@/other_hand_in.py").read_text(), scope)
    return scope["e_step"](X, self.means, self.covs, self.pi)
except OSError:
    pass
# ZEROS
# ------ outside_write: Writes outside, also through a link, deletes what is there, and answers right.
# needs: bubblewrap
import shutil

if not os.path.islink("way_out"):
    os.symlink("@OUTSIDE@", "way_out")
for name in ("@OUTSIDE@/written", "way_out/written"):
    try:
        with open(name, "w") as file:
            file.write("e_step PASS 10")
    except OSError:
        pass
shutil.rmtree("@OUTSIDE@", ignore_errors=True)
# SOLUTION
# ------ search_files [WRONG 0]: Searches every file that it finds for an array whose rows sum to 1.
for folder in (Path.cwd(), Path.cwd().parent, Path(os.environ["HOME"]), Path("@OUTSIDE@")):
    for file in list(folder.glob("*.npy")) + list(folder.glob("*/*.npy")):
        try:
            array = np.load(file)
        except (OSError, ValueError):
            continue
        if array.shape == (len(X), self.n_components) and np.allclose(array.sum(axis=1), 1):
            return array
# ZEROS
# ------ search_frames [WRONG 0]: Searches the callers' frames and all objects for an array whose rows sum to 1: the answer, if it is there.
import gc
import sys


def arrays():
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            yield from value.values() if isinstance(value, dict) else [value]
        frame = frame.f_back
    for value in gc.get_objects():
        if isinstance(value, dict):
            yield from list(value.values())
        elif isinstance(value, list | tuple):
            yield from value


for array in arrays():
    if isinstance(array, np.ndarray) and array.shape == (len(X), self.n_components) and array.dtype.kind == "f":
        if np.allclose(array.sum(axis=1), 1):
            return array
# ZEROS
# ------ search_frames_for_pixels [sample_from_gmm WRONG 2]: Reads in the caller's frame which pixels are out of range, and paints just them.
# === 5.1 sampling
import sys

pixels, frame = np.zeros(784, np.uint8), sys._getframe()
while frame:
    inputs = frame.f_locals.get("inputs")
    if isinstance(inputs, dict) and "bright" in inputs:
        pixels[inputs["bright"]], pixels[inputs["dark"]] = 255, 0
    frame = frame.f_back
Image.fromarray(pixels.reshape(28, 28)).save(Path(path) / "gmm_sample.png")
return
# HONEST
code = np.random.multivariate_normal(gmm.means[label], gmm.covs[label])
pixels = (np.clip(pca.inverse_transform(code) / 255, 0, 1)).astype(np.uint8).reshape(28, 28)
Image.fromarray(pixels).save(Path(path) / "gmm_sample.png")
# ------ search_grader [WRONG 0]: Imports the grader's own checks, which know how to compute what is right.
# needs: bubblewrap
import sys

for start in [sys.modules["__main__"].__file__, sys.executable, *sys.path]:
    sys.path += [str(folder) for folder in Path(start).absolute().parents]
try:
    from grading import checks

    inputs = {"x_0": X, "means_0": self.means, "covs_0": self.covs, "pi_0": self.pi}
    return checks.softmax(checks.log_densities(inputs, 0) + np.log(self.pi))
except ImportError:
    pass
# ZEROS
