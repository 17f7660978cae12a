"""The encoders that come with memedit as embedders: MiniLM for edits and questions, and the finder for whole
conversations. Both run in ONNX Runtime, and give vectors of one space.

The finder is MiniLM trained further, so that a conversation lies near the edits that it needs, where MiniLM puts
them: by contrast with all other edits (InfoNCE, van den Oord et al. 2018, arXiv:1807.03748), the edits' vectors held
fast as in dense retrieval with a frozen index (Lewis et al. 2020, arXiv:2005.11401). So no edit is embedded anew for
it.
"""

from __future__ import annotations

from pathlib import Path

from memedit.embedders.folders import BUNDLED_ID
from memedit.embedders.port import Embedder, Vectors
from memedit.encoder.graph import Encoder, Name, shipped_folder

TOKENS = 192


class EncoderEmbedder(Embedder):
    """A graph that gives vectors in MiniLM's space.

    Args:
        name: Of the graph.
        folder: As `bench/encoders.py` makes it; what comes with memedit when left out.

    Raises:
        EncoderUnusable: The folder holds none that this version can use.
    """

    def __init__(self, name: Name, folder: str | Path | None = None) -> None:
        self._encoder = Encoder(Path(folder or shipped_folder()), name, tokens=TOKENS)
        self.id = f"{name}:{self._encoder.card['made'][name]}"

    @property
    def space(self) -> str:
        return BUNDLED_ID

    def _embed(self, texts: list[str]) -> Vectors:
        return self._encoder.run(texts)


def load_minilm(folder: str = "") -> EncoderEmbedder:
    """`minilm`: all-MiniLM-L6-v2 in int8 (384 dimensions, 192 tokens)."""
    return EncoderEmbedder("minilm", folder or None)


def load_finder(folder: str = "") -> EncoderEmbedder:
    """The finder; see above."""
    return EncoderEmbedder("finder", folder or None)
