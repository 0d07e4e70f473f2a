# A regular expression that tries 2^28 ways holds the interpreter for most of a minute: no Python thread or alarm can stop it.
# expect: pca_fit TIMEOUT 0
# === 2.1 PCA
# BEGIN_TRICK
import re

re.match(r"(a+)+$", "a" * 28 + "b")
# END_TRICK
# SOLUTION
