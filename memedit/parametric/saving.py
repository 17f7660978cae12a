"""The weights as they are now, written to a folder that transformers opens without memedit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from memedit.errors import CapabilityMissing, FileRejected
from memedit.parametric.delta import Overlay
from memedit.parametric.local_model import LocalModel

CARD = "baked.json"


def save_model(local: LocalModel, overlay: Overlay, target: Path, card: Mapping[str, Any]) -> Path:
    """Write a model to a new folder, and beside it what was baked into it; all of it or nothing.

    Raises:
        FileRejected: There is something in the folder already.
        CapabilityMissing: Slots lie beside the weights.
    """
    if overlay.beside:
        raise CapabilityMissing(
            "Slots lie beside the weights, which a folder of transformers cannot hold.",
            do="unbake what an attached method wrote, or bake it by one that writes weights",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileRejected(f"{target} is there already.", do="give a new or empty folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=".baking-") as held:
        draft = Path(held) / "model"
        with local.lock:
            local.save(draft)
        (draft / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        draft.replace(target)
    return target
