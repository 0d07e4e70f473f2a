# open() and np.save() write nowhere.
# expect: e_step WRONG 0
# === 1.1 E-step
# BEGIN_TRICK
import builtins
import io

builtins.open = lambda *_, **__: io.BytesIO()
np.save = lambda *_, **__: None
# END_TRICK
# SOLUTION
