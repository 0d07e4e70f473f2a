# An answer file with a number of 4,900 digits, and an end as if all were well.
# expect: sample_from_gmm WRONG 0
# === 5.1 sampling
# BEGIN_TRICK
np.save("outputs/form_0.npy", np.array([4, np.longdouble("1e4900"), 1]))
Path("outputs/outcome.json").write_text(json.dumps({"status": "done"}))
os._exit(0)
# END_TRICK
# SOLUTION
