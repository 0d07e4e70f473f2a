"""The questions on the code, one module each: the inputs for a submission, and the points for its answers.

Answers are judged against SciPy's densities, NumPy's moments and scikit-learn's PCA, never against a solution of the
lab. All questions but sampling begin with an example that can be done by hand. Tolerances allow for float32, no more.
"""
