# Puts a pipe where its answer is going to be written: the worker itself waits for ever.
# expect: e_step TIMEOUT 0
# === 1.1 E-step
# BEGIN_TRICK
if not os.path.exists("outputs/gamma_0.npy"):
    os.mkfifo("outputs/gamma_0.npy")
# END_TRICK
# SOLUTION
