# A component is drawn by its weight, whatever the label says.
# expect: sample_from_gmm WRONG 4
# === 5.1 sampling
label = np.random.choice(len(gmm.pi), p=gmm.pi)
# SOLUTION
