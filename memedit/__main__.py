"""`python -m memedit` is the command `memedit`."""

from memedit.cli import main

main()
