# Leaves a hundred arrays more than were asked for.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
for i in range(100):
    np.save(f"outputs/more_{i}.npy", np.zeros(3))
# END_TRICK
# SOLUTION
