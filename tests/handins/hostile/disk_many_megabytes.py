# Writes 200 MB in files of 4 MB.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import time

for i in range(50):
    with open(f"filler-{i}", "wb") as file:
        file.write(bytes(4_000_000))
time.sleep(5)
# END_TRICK
# SOLUTION
