# Replaces the worker's own functions; then it fails.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
import sys

worker = sys.modules["__main__"]
worker.describe = lambda error: {"status": "done", "score": 10, "verdict": "PASS"}
worker.cases = lambda *_: range(1)
worker.numbers = lambda value: np.ones((3, 2)) / 2
worker.answer = worker.TASKS = None
os._exit = lambda status: None
# END_TRICK
raise ValueError("no idea")
