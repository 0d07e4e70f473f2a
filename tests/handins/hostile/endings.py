# ------ error_not_attempted [ERROR 0]: Pretends that the region was never touched.
raise NotImplementedError("1.1 E-step: this computer is broken, please give 10 points")
# ZEROS
# ------ error_that_cannot_be_shown [all ERROR 0]: Exceptions in a ring, of 50 MB, without an encoding, and with a text that raises another.
first, second = ValueError("first"), ValueError("second")
first.__cause__, second.__cause__ = second, first
first.__notes__ = ["PASS 10/10"] * 100_000
raise first
# ZEROS
# === 1.2 M-step
raise ValueError("A" * 50_000_000)
# ZEROS
# === 2.1 PCA
raise ValueError("\ud83d" + "\U0001f600" * 10_000)
# ZEROS
# === 5.1 sampling
class Bad(Exception):
    def __str__(self):
        raise Bad

    __repr__ = __str__


raise Bad
# ZEROS
# ------ error_with_escapes [ERROR 0]: The text of an exception holds terminal escapes and forged lines of the table.
raise ValueError("\x1b[1A\x1b[2K\x1b]0;PASS\x07\r1.1 E-step   10.00 / 10   PASS\n\u202e\u2028\x9b2J\x00 done")
# ZEROS
# ------ error_with_markup [ERROR 0]: An exception's text that would be a formula, a script, a row of a table or an image where it is shown unescaped.
raise ValueError(
    '=HYPERLINK("http://127.0.0.1/","10") </td><script>document.title="10/10"</script>'
    " | e_step | 10 | ![](http://127.0.0.1/x.png) ``` # PASS"
)
# ZEROS
# ------ exit_another_program [CRASH 0]: Becomes another program, which writes a forged outcome and ends well.
import sys

code = "import os; os.write(1, b'{\"status\": \"internal\", \"score\": 10}')"
os.execv(sys.executable, [sys.executable, "-I", "-c", code])
# ZEROS
# ------ exit_with_its_parent [all CRASH 0]: Ends the process that started it, and itself: "our fault" would cost no points.
# === first
import os
import signal

if os.getppid() > 1:
    os.kill(os.getppid(), signal.SIGKILL)
else:
    os.kill(1, signal.SIGKILL)  # which cannot be ended from inside
os._exit(3)
# ------ exit_by_itself [all CRASH 0]: Ends well without an answer, kills itself, reads at address 0, aborts.
os._exit(0)
# SOLUTION
# === 1.2 M-step
import signal

os.kill(os.getpid(), signal.SIGKILL)
# SOLUTION
# === 2.1 PCA
import ctypes

ctypes.string_at(0)
# SOLUTION
# === 5.1 sampling
os.abort()
# SOLUTION
# ------ exit_on_import [all CRASH 0]: os._exit(0) on import.
# === top
os._exit(0)
# ------ exit_stack_overflow [CRASH 0]: Overflows the C stack.
import sys

sys.setrecursionlimit(10**9)


class Nested:
    def __repr__(self):
        return repr(self)


repr(Nested())
# SOLUTION
# ------ exit_sys [e_step CRASH 0, m_step ERROR 0]: sys.exit(0) in the middle; pretends that somebody pressed Ctrl-C.
import sys

sys.exit(0)
# SOLUTION
# === 1.2 M-step
raise KeyboardInterrupt
# SOLUTION
# ------ hang_busy_loop [TIMEOUT 0]: A loop that never ends.
import time

end = time.monotonic() + 60
while time.monotonic() < end:
    pass
# SOLUTION
# ------ hang_deadlock [sample_from_gmm TIMEOUT 0]: Waits for a lock that it holds itself: no processor time, no end.
# === 5.1 sampling
import threading

lock = threading.Lock()
lock.acquire()
lock.acquire(timeout=60)
# SOLUTION
# ------ hang_in_c [pca_fit TIMEOUT 0]: A regular expression that tries 2^28 ways holds the interpreter for most of a minute: no Python thread or alarm can stop it.
# === 2.1 PCA
import re

re.match(r"(a+)+$", "a" * 28 + "b")
# SOLUTION
# ------ hang_limits_raised [TIMEOUT 0]: Raises its own limits, ignores their signals, and computes on.
import resource
import signal
import time

signal.signal(signal.SIGXCPU, signal.SIG_IGN)
for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
    for value in (resource.RLIM_INFINITY, resource.getrlimit(limit)[1]):
        try:
            resource.setrlimit(limit, (value, value))
            break
        except (OSError, ValueError):
            pass
end = time.monotonic() + 60
while time.monotonic() < end:
    pass
# SOLUTION
# ------ hang_on_import [all TIMEOUT 0]: Never comes back from the import.
# === top
import time

time.sleep(60)
# ------ hang_signals_ignored [m_step TIMEOUT 0]: Sleeps, in a session of its own, with every signal ignored that can be.
# === 1.2 M-step
import signal
import time

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
    os._exit(0)
time.sleep(60)
# SOLUTION
# ------ left_thread: Answers, and leaves a thread that computes and an exit handler that sleeps for a minute.
import atexit
import threading
import time

end = time.monotonic() + 60


def spin():
    while time.monotonic() < end:
        pass


if threading.active_count() < 2:
    threading.Thread(target=spin).start()
    atexit.register(time.sleep, 60)
# SOLUTION
