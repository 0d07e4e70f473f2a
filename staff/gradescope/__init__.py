"""Grading on Gradescope: ``__main__`` builds the bundle that is uploaded; its other files run there."""
