for number in range(3, 1024):
    try:
        os.write(number, forged)
    except OSError:
        pass
# ------ baked_example [e_step WRONG 0, m_step WRONG 0, pca_fit WRONG 0]: Right on the worked example, which everybody knows, and nowhere else.
if len(X) == 3:
    # SOLUTION
# ZEROS
# === 1.2 M-step
if len(X) == 3:
    # SOLUTION
    return
# ZEROS
# === 2.1 PCA
if len(X) == 3:
    # SOLUTION
    return
# ZEROS
# ------ liar_mock [e_step ERROR 0, m_step ERROR 0, pca_fit ERROR 0, sample_from_gmm WRONG 0]: A module that has every name there is.
# === whole
from unittest.mock import MagicMock


def __getattr__(name):
    return MagicMock()
# ------ liar_nan [e_step WRONG 0, m_step WRONG 0, pca_fit WRONG 0]: NaN is not greater than any tolerance; infinity; every comparison masked.
return np.full((len(X), self.n_components), np.nan)
# ZEROS
# === 1.2 M-step
self.pi, self.means, self.covs = self.pi + np.inf, self.means + np.inf, self.covs + np.inf
return
# ZEROS
# === 2.1 PCA
self.mean = np.full(X.shape[1], np.nan)
self.components = np.ma.masked_array(np.zeros((self.dim, X.shape[1])), mask=True)
return
# ZEROS
# ------ liar_object [WRONG 0]: An object that turns into another array each time, and equals everything.
class Liar:
    shape = (len(X), self.n_components)
    dtype = np.dtype(float)
    asked = 0

    def __array__(self, dtype=None, copy=None):
        self.asked += 1
        return np.full(self.shape, float(self.asked))

    def __eq__(self, other):
        return True

    def __len__(self):
        return 10**9


return Liar()
# ZEROS
# ------ liar_pointer [CRASH 0]: An object that says its numbers lie at address 8.
class Liar:
    __array_interface__ = {"shape": (len(X), self.n_components), "typestr": "<f8", "data": (8, False), "version": 3}


return Liar()
# ZEROS
# ------ liar_shapes [e_step WRONG 0, m_step WRONG 0, pca_fit WRONG 0]: Of no numbers at all, all are right; shapes that would stretch to fit any other.
return np.zeros((0, self.n_components))
# ZEROS
# === 1.2 M-step
self.pi, self.means, self.covs = gamma.mean(), X.mean(axis=0), np.cov(X.T)
return
# ZEROS
# === 2.1 PCA
self.mean, self.components = np.zeros(0), np.ones((1, 1))
return
# ZEROS
# ------ liar_subclass [WRONG 0]: An array that says it equals everything, whatever it holds.
class Liar(np.ndarray):
    def __eq__(self, other):
        return np.ones(np.shape(other), bool)

    def __array_function__(self, *_):
        return True

    def __array_ufunc__(self, *_, **__):
        return np.zeros(1)

    def __array__(self, *_, **__):
        return np.full(self.shape, 1 / self.shape[-1])

    def astype(self, *_, **__):
        return self

    def __sub__(self, other):
        return np.zeros(np.shape(other))

    __rsub__ = __sub__


return np.zeros((len(X), self.n_components)).view(Liar)
# ZEROS
# ------ outputs_inputs_removed: Deletes everything in its folder, itself too: too late to make a difference.
import shutil

for path in Path.cwd().iterdir():
    shutil.rmtree(path) if path.is_dir() else path.unlink()
# SOLUTION
# ------ outputs_no_file_numbers [ERROR 0]: Opens files until no more can be opened, its own imports neither.
self.__class__.held = []
while len(self.held) < 4096:
    try:
        self.held.append(open("submission.py"))
    except OSError:
        break
# SOLUTION
# ------ outputs_of_many_axes [m_step WRONG 8]: Weights of eight axes, which take minutes and megabytes to print.
# === 1.2 M-step
try:
    # SOLUTION
finally:
    self.pi = np.random.rand(*[6] * 8)
return
# SOLUTION
# ------ forged_by_patched_worker [WRONG 0]: Replaces the worker's own functions and what is written as JSON; then it fails.
import json
import sys

worker = sys.modules["__main__"]
worker.describe = lambda error: {"status": "done", "score": 10, "verdict": "PASS"}
worker.cases = lambda *_: range(1)
worker.numbers = lambda value: np.ones((3, 2)) / 2
worker.answer = worker.TASKS = None
json.dumps = lambda *_, **__: '{"status": "done", "score": 10, "verdict": "PASS"}'
os._exit = lambda status: None
# HONEST
raise ValueError("no idea")
# ------ forged_huge_header [CRASH 0]: Answers 100 bytes that claim to have a header of four exabytes.
forged = (2**62).to_bytes(8, "little") + bytes(92)
# COMMON
os._exit(0)
# ZEROS
# ------ forged_internal [CRASH 0]: Claims that the grader is at fault, which would cost no points.
from safetensors.numpy import save

text = b'{"status": "internal", "cause": "the child process did not start"}'
forged = save({"outcome": np.frombuffer(text, np.uint8)})
# COMMON
os._exit(0)
# ZEROS
# ------ forged_frame [CRASH 0]: Answers as the process above it does, with its own kind of frame.
import struct

forged = struct.pack("<cqQ", b"F", 0, 4) + b"full" + struct.pack("<cqQ", b"E", 0, 0)
# COMMON
os._exit(0)
# ZEROS
# ------ forged_outcome [WRONG 0]: Writes the whole answer itself, with points, and ends well.
import json

from safetensors.numpy import save

text = json.dumps({"status": "done", "score": 10.0, "points": 10, "verdict": "PASS", "questions": [{"score": 10}]})
forged = save({"outcome": np.frombuffer(text.encode(), np.uint8)})
# COMMON
os._exit(0)
# ZEROS
# ------ forged_pickle [CRASH 0]: Answers a pickle, which would make a folder when it is loaded, and ends well.
import pickle


class Trap:
    def __reduce__(self):
        return os.mkdir, ("@OUTSIDE@/trapped",)


forged = pickle.dumps(Trap())
# COMMON
os._exit(0)
# ZEROS
# ------ forged_shape [CRASH 0]: Answers an array of no numbers whose shape would take petabytes anywhere else.
import json

gamma = {"dtype": "F64", "shape": [0, 99999999999999], "data_offsets": [0, 0]}
outcome = {"dtype": "U8", "shape": [18], "data_offsets": [0, 18]}
header = json.dumps({"gamma_0": gamma, "outcome": outcome}).encode()
forged = len(header).to_bytes(8, "little") + header + b'{"status": "done"}'
# COMMON
os._exit(0)
# ZEROS
# ------ forged_twice [CRASH 0]: Writes before the answer, and lets the right answer follow.
forged = b"e_step PASS 10 / 10"
# COMMON
# SOLUTION
# ------ picture_bomb [sample_from_gmm ERROR 0]: A PNG that claims 50,000 x 50,000 pixels.
# === 5.1 sampling
import struct
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
content = chunk(b"IDAT", zlib.compress(bytes(10_000_000))) + chunk(b"IEND", b"")
(Path(path) / "gmm_sample.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + content)
# ZEROS
# ------ picture_folder [sample_from_gmm ERROR 0]: A folder under the picture's name.
# === 5.1 sampling
(Path(path) / "gmm_sample.png").mkdir()
# ZEROS
# ------ picture_pipe [sample_from_gmm WRONG 0]: A pipe under the picture's name: who opens it waits for ever.
# === 5.1 sampling
os.mkfifo(Path(path) / "gmm_sample.png")
# ZEROS
