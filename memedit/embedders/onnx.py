"""A sentence-transformers model run by ONNX Runtime, as it is or with int8 weights; torch only exports it.

The int8 weights are those of dynamic quantisation (Jacob et al. 2018, arXiv:1712.05877), one scale an output channel.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from memedit.embedders.folders import find_model, made_of
from memedit.embedders.onnx_graph import CARD, OnnxEmbedder, damaged

logger = logging.getLogger(__name__)

FORMAT = 1  # of a folder


def load(source: str = "", *, cache: str | Path | None = None, threads: int | None = None) -> OnnxEmbedder:
    """`onnx:bundled` or `onnx:FOLDER`: exported at the first use, which takes some ten seconds for MiniLM.

    The vectors are those of the model to 1e-5, or the export is refused; so it has the model's own id, and serves what
    either has stored.

    Args:
        source: `bundled`, or the folder of a sentence-transformers model.
        cache: Where the export is kept: else MEMEDIT_CACHE, else `~/.cache/memedit`.
        threads: As for the class.

    Raises:
        EmbedderError: There is no such model, it cannot be exported, or the export is damaged or cannot be kept.
        MissingExtra: Something of the extra `fast` is not installed.
    """
    return _load(source, cache, threads, int8=False)


def load_int8(source: str = "", *, cache: str | Path | None = None, threads: int | None = None) -> OnnxEmbedder:
    """`int8:bundled` or `int8:FOLDER`: as `load`, smaller and faster, and not quite the same vectors.

    Their mean cosine with the model's is at least 0.99, or the export is refused. They have an id of their own, and
    their space is the model's: a gate that was trained with the model serves them, too.
    """
    return _load(source, cache, threads, int8=True)


def _load(source: str, cache: str | Path | None, threads: int | None, *, int8: bool) -> OnnxEmbedder:
    model = find_model(source)
    kind = "int8" if int8 else "onnx"

    def make(folder: Path) -> None:
        from memedit.embedders.onnx_export import export

        logger.info("exporting %s for ONNX Runtime (%s); this happens once", model.name, kind)
        export(model, folder, int8=int8)

    folder = made_of(model, f"{kind}-{FORMAT}", make, cache=cache)
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        name, space, alone = card["id"], card["space"], card["alone"]
    except (OSError, ValueError, KeyError) as error:
        raise damaged(folder, error) from error
    return OnnxEmbedder(folder, id=name, space=space, alone=alone, threads=threads)
