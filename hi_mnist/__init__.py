"""What the lab's scripts share, one job a file."""
