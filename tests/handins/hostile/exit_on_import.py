# os._exit(0) on import.
# expect: all CRASH 0
# === top
# BEGIN_TRICK
os._exit(0)
# END_TRICK
