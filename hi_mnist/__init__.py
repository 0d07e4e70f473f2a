"""What the lab's scripts share: one job per file."""

__version__ = "0.2.0"
