"""Results for people: the report page and the explorer of a run, comparisons, the report's draft and the sweep."""
