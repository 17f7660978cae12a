"""What is made of a model's files once and kept between processes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

DRAFT = ".making-"
DAY = 24 * 60 * 60  # seconds


def cache_root(cache: str | Path | None = None) -> Path:
    """The folder that was given, else that of MEMEDIT_CACHE, else `~/.cache/memedit`. It may not exist yet.

    Raises:
        OSError: It would lie in a home that this user does not have.
    """
    try:
        return Path(cache or os.environ.get("MEMEDIT_CACHE") or "~/.cache/memedit").expanduser()
    except RuntimeError as error:
        raise OSError(str(error)) from error


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, filled by `make` unless it is there already.

    It appears whole or not at all; where two processes make it at once, the first to be done is kept. What a process
    that was killed left behind goes the day after.

    Raises:
        OSError: It could not be kept there.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{DRAFT}*"):
        if time.time() - left.stat().st_mtime > DAY:
            shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(dir=folder.parent, prefix=DRAFT) as draft:
        made = Path(draft) / "made"
        made.mkdir()
        make(made)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    return folder
