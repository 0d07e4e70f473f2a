# Imports another file of the lab, which does not come with the hand-in.
# expect: all ERROR 0
# === top
from my_helpers import densities
