# Makes 12,000 empty files.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
if not os.path.exists("many"):
    os.mkdir("many")
    for i in range(12_000):
        open(f"many/{i}", "w").close()
# END_TRICK
# SOLUTION
