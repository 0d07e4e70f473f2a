# Reads at address 0.
# expect: pca_fit CRASH 0
# === 2.1 PCA
# BEGIN_TRICK
import ctypes

ctypes.string_at(0)
# END_TRICK
# SOLUTION
