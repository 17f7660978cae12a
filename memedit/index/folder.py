"""The folder beside a ledger where an index keeps its files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def throw_away(folder: Path) -> None:
    """Delete the files of the indexes in a folder, which are made anew from the ledger."""
    if (chroma := sys.modules.get("memedit.index.chroma")) is not None:  # else this process has nothing open there
        chroma.forget_client(folder)
    if folder.is_file():
        folder.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
