"""Train and measure the two networks that the lab ships: ``python -m staff.pretrain``."""
