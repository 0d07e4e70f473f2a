"""Grading on Gradescope: ``python -m staff.gradescope OUT.zip`` builds the bundle that is uploaded there.

``__main__.py`` builds it. ``setup.sh``, ``run_autograder`` and ``autograder.py`` go into it and run there.
"""
