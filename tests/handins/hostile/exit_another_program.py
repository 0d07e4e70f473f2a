# Becomes another program, which writes a forged outcome and ends well.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
import sys

code = "open('outputs/outcome.json', 'w').write('{\"status\": \"internal\", \"score\": 10}')"
os.execv(sys.executable, [sys.executable, "-I", "-c", code])
# END_TRICK
return np.zeros((len(X), self.n_components))
