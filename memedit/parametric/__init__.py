"""Edits written into the weights of a local model, proved, and taken out again. torch is imported here, not by memedit."""
