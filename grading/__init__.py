"""The questions and scores that ``grade.py`` prints, and the processes in which student code runs."""
