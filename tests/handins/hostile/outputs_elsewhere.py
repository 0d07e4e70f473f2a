# Puts a link to another folder in the place of the folder of the answers.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
if not os.path.islink("outputs"):
    os.rename("outputs", "moved")
    os.symlink("moved", "outputs")
# END_TRICK
# SOLUTION
