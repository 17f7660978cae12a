"""The folder beside a ledger where an index keeps its files."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from memedit.errors import IndexUnusable

TRIES = 5


def throw_away(folder: Path) -> None:
    """Delete the files of the indexes in a folder, which are made anew from the ledger.

    Raises:
        IndexUnusable: They cannot be deleted.
    """
    if (chroma := sys.modules.get("memedit.index.chroma")) is not None:  # else this process has nothing open there
        chroma.forget_client(folder)
    if folder.is_file():
        folder.unlink(missing_ok=True)
    if not folder.exists():
        return
    with suppress(OSError):  # moved away first, where the system lets us: whoever still writes there finds no way in
        folder = folder.rename(folder.with_name(f".{folder.name}-{uuid4().hex[:8]}"))
    for waited in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1 * waited)
    raise IndexUnusable(f"The files of the index in {folder} cannot be deleted.", do="delete this folder yourself")
