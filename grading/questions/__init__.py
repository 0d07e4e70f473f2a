"""The questions on the code, a module each: what a submission is given, and what its answers are worth.

Answers are judged against SciPy's densities, NumPy's moments and scikit-learn's PCA, never against a solution of the
lab. Each question but the last begins with an example small enough to redo by hand. Tolerances leave room for float32,
nothing more.
"""
