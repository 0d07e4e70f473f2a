# Folders in folders, 3,000 deep: their path is longer than a system call takes.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
here = os.getcwd()
if not os.path.exists("d" * 20):
    for _ in range(3000):
        os.mkdir("d" * 20)
        os.chdir("d" * 20)
    os.chdir(here)
# END_TRICK
# SOLUTION
