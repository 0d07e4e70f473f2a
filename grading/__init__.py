"""The questions and scores that ``grade.py`` prints."""
