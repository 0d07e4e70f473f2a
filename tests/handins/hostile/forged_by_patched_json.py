# Whatever is written as JSON says that all went well; then it fails.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
import json

json.dumps = lambda *_, **__: '{"status": "done", "score": 10, "verdict": "PASS"}'
# END_TRICK
raise ValueError("no idea")
