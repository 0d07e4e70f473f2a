"""What a run is worth: the scores and questions that ``grade.py`` prints."""
