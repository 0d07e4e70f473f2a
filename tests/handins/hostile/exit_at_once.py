# os._exit(0): a process that ends well and has answered nothing.
# expect: m_step CRASH 0
# === 1.2 M-step
# BEGIN_TRICK
os._exit(0)
# END_TRICK
# SOLUTION
