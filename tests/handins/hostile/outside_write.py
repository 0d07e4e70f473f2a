# Writes outside, also through a link, and answers right.
# needs: bubblewrap
# === 1.1 E-step
# BEGIN_TRICK
if not os.path.islink("way_out"):
    os.symlink("@OUTSIDE@", "way_out")
for name in ("@OUTSIDE@/written", "way_out/written"):
    try:
        with open(name, "w") as file:
            file.write("e_step PASS 10")
    except OSError:
        pass
# END_TRICK
# SOLUTION
