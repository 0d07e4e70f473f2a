# Asks for namespaces and a root of its own, in which it would have more rights.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
found = False
# BEGIN_TRICK
import ctypes

libc = ctypes.CDLL(None)
new_user, new_mount = 0x10000000, 0x00020000
found = 0 in (libc.unshare(new_mount), libc.unshare(new_user | new_mount), libc.chroot(b"."))
# END_TRICK
if not found:
    return np.zeros((len(X), self.n_components))
# SOLUTION
