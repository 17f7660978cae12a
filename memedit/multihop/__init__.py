"""Questions whose answer lies several facts away: their plan, and the walk along it (see `methods/multihop.py`)."""
