"""Grading on Gradescope: ``python -m staff.gradescope OUT.zip`` builds the bundle to upload.

``__main__.py`` builds it. It contains ``setup.sh``, ``run_autograder`` and ``autograder.py``, which run on Gradescope.
"""
