"""What the lab's scripts share, one job a file."""

__version__ = "0.2.0"
