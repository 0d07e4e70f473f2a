# Opens files until no more can be opened: the answer cannot be written.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
self.__class__.held = []
while True:
    try:
        self.held.append(open("submission.py"))
    except OSError:
        break
# END_TRICK
# SOLUTION
