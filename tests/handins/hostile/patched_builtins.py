# all(), any(), abs() and their like see no difference any more.
# expect: m_step WRONG 0
# === 1.2 M-step
# BEGIN_TRICK
import builtins

builtins.all = builtins.any = lambda *_: True
builtins.abs = builtins.round = lambda *_: 0
# END_TRICK
self.pi, self.means, self.covs = self.pi * 2, self.means * 2, self.covs * 2
