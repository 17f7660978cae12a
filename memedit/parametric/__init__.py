"""Edits written into the weights of a local model, proved, and taken out again. Needs the extra `local`."""
