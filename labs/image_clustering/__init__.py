"""Two kinds of pictures told apart without labels: see README.md."""
