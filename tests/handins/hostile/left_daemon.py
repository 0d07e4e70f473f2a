# Answers, and leaves a daemon behind that holds the output, in a session of its own, with an empty environment.
# === 1.1 E-step
# BEGIN_TRICK
import sys

if not os.path.exists("daemon"):
    open("daemon", "w").close()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            code = "import time; time.sleep(60)  # left behind by the corpus"
            os.execve(sys.executable, [sys.executable, "-I", "-c", code], {})
        os._exit(0)
    os.wait()
# END_TRICK
# SOLUTION
