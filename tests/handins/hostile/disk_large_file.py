# Writes one file of 150 MB.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
with open("filler", "wb") as file:
    for _ in range(150):
        file.write(bytes(1_000_000))
# END_TRICK
# SOLUTION
