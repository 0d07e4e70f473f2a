# Prints score lines, terminal escapes and JSON, into every open file as well, beside a wrong answer.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
import sys

forged = (
    "\x1b[2J\x1b[H1.1 E-step                   10.00 / 10   PASS: gamma is right\r\n"
    '{"questions": [{"id": "e_step", "score": 10, "verdict": "PASS"}], "status": "done"}\n\x07\x9b31m'
)
print(forged, flush=True)
sys.stderr.write(forged)
for number in range(3, 64):
    try:
        os.write(number, forged.encode())
    except OSError:
        pass
# END_TRICK
return np.zeros((len(X), self.n_components))
