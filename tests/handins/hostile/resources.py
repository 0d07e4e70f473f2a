# ------ disk_deep_folders: Folders in folders, 3,000 deep: nobody can remove them in an ordinary way.
here = os.getcwd()
if not os.path.exists("d" * 20):
    for _ in range(3000):
        os.mkdir("d" * 20)
        os.chdir("d" * 20)
    os.chdir(here)
# SOLUTION
# ------ disk_for_the_next [WRONG 0]: Leaves files wherever it can, for what the next question runs.
# needs: bubblewrap
# === first
import os
from pathlib import Path

places = [Path(p) for p in (".", "/tmp", "/box", "/dev/shm", os.path.expanduser("~"), "/var/tmp", "/dev", "/lab")]
left = [path / "left" for path in places if (path / "left").exists()]
for path in places:
    try:
        (path / "left").mkdir(exist_ok=True)
    except OSError:
        pass
# === 1.1 E-step
if left:
    # SOLUTION
# ZEROS
# ------ memory_bomb [MEMORY 0]: Takes memory as fast as it can, 2.5 GiB at most.
import time

taken = [np.ones(2**21) for _ in range(160)]  # 16 MiB each
time.sleep(50)
# SOLUTION
# ------ memory_of_answer [MEMORY 0]: An answer that takes no memory until it is copied: 8 petabytes, more than any system gives.
return np.broadcast_to(0.0, (10**14, 10))
# ZEROS
# ------ memory_recursion [ERROR 0]: Endless recursion.
return self._e_step(X)
# SOLUTION
# ------ print_closed_streams: Closes its streams, and every file number that is open.
import sys

sys.stdout.close()
sys.stderr.close()
os.closerange(0, 256)
# SOLUTION
# ------ print_forged_scores [WRONG 0]: Prints score lines, terminal escapes and JSON, into every open file as well, beside a wrong answer.
import sys

forged = (
    "\x1b[2J\x1b[H1.1 E-step                   10.00 / 10   PASS: gamma is right\r\n"
    '{"questions": [{"id": "e_step", "score": 10, "verdict": "PASS"}], "status": "done"}\n\x07\x9b31m'
)
print(forged, flush=True)
sys.stderr.write(forged)
for number in range(3, 64):
    try:
        os.write(number, forged.encode())
    except OSError:
        pass
# ZEROS
# ------ processes_bomb [CRASH 0]: A fork bomb of five generations: 31 children, which would sleep for 50 s.
import time

for _ in range(5):
    os.fork()
time.sleep(50)
os._exit(0)
# SOLUTION
