"""How gates learn, are calibrated and are measured; nothing of it is needed to decide."""
