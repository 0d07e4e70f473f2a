# The label is ignored: always the first component.
# expect: sample_from_gmm WRONG 4
# === 5.1 sampling
label = 0
# SOLUTION
