"""Static vectors: one a token, looked up and averaged, without a forward pass (Model2Vec, Tulkens & van Dongen 2024).

They are distilled from a sentence-transformers model by passing each token of its vocabulary through it once, reducing
the vectors to their principal axes, and weighting them by how rare a token is (SIF, Arora et al. 2017).
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from numpy.typing import ArrayLike

from memedit.embedders.folders import ModelFolder, find_model, made_of
from memedit.embedders.port import Embedder
from memedit.errors import EmbedderError, MissingExtra

try:
    from model2vec import StaticModel
except ModuleNotFoundError as missing:
    raise MissingExtra("fast", package=missing.name or "model2vec") from missing

logger = logging.getLogger(__name__)

FORMAT = 1  # of how they are distilled


class StaticEmbedder(Embedder):
    """A Model2Vec model. A text without any known token has the zero vector, which is like no other.

    Args:
        model: A loaded one.
        id: Its identity beside stored vectors.
    """

    def __init__(self, model: StaticModel, *, id: str) -> None:
        self.model = model
        self.id = id

    def _embed(self, texts: list[str]) -> ArrayLike:
        return self.model.encode(texts, use_multiprocessing=False)


def load(source: str = "", *, cache: str | Path | None = None, dimensions: int = 256) -> StaticEmbedder:
    """`static:bundled` or `static:FOLDER`: distilled at the first use, which takes about half a minute for MiniLM.

    The id holds a digest of the vectors: distilling again, on another machine, may turn an axis round.

    Args:
        source: `bundled`, the folder of a sentence-transformers model, or that of a Model2Vec model, taken as it is.
        cache: Where it is kept: else MEMEDIT_CACHE, else `~/.cache/memedit`.
        dimensions: Of the vectors; at most those of the model.

    Raises:
        EmbedderError: There is no such model, it cannot be distilled, or it is damaged or cannot be kept.
        MissingExtra: Something of the extra `fast` is not installed.
    """
    model = find_model(source)
    folder = model.path
    if not _is_static(folder):
        folder = made_of(
            model, f"static{dimensions}-{FORMAT}", lambda into: _distil(model, into, dimensions), cache=cache
        )
    try:
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]
        static = StaticModel.from_pretrained(folder, force_download=False)
    except Exception as error:  # of several libraries
        raise EmbedderError(
            f"The static vectors in `{folder}` could not be read: {error}.",
            do="delete that folder, where memedit made it; it is made anew",
        ) from error
    return StaticEmbedder(static, id=f"static:{model.name.partition(':')[0]}:{digest}")


def _is_static(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") == "model2vec")
    except (OSError, ValueError):
        return False


def _distil(source: ModelFolder, into: Path, dimensions: int) -> None:
    try:
        from model2vec.distill import distill_from_model
        from transformers import AutoModel, AutoTokenizer
    except ImportError as missing:
        raise MissingExtra("fast", package=missing.name or "model2vec") from missing

    logger.info("distilling static vectors from %s; this happens once", source.name)
    try:
        model = AutoModel.from_pretrained(str(source.path), local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(str(source.path), local_files_only=True)
        made = distill_from_model(model=model, tokenizer=tokenizer, device="cpu", pca_dims=dimensions)
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise EmbedderError(
            f"`{source.name}` could not be distilled: {str(error) or type(error).__name__}".split("\n")[0],
            do="use it as it is (`st:FOLDER`), or give a Model2Vec model",
        ) from error
    made.save_pretrained(into)
