# Folders that nobody may read or change, to outlive the question.
# expect: e_step CRASH 0
# needs: no privileges
# === 1.1 E-step
# BEGIN_TRICK
if not os.path.exists("locked"):
    os.makedirs("locked/inner")
    open("locked/inner/file", "w").close()
    os.chmod("locked/inner", 0)
    os.chmod("locked", 0)
# END_TRICK
# SOLUTION
