"""Settings by name: those that were published for a model (`memit@gpt-j-6b`), and those that a sweep found for one."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from memedit.errors import FileRejected, UnknownMethod

SWEPT = "swept"
AS = {"memit_seq": "memit", "nas": "memit"}
"""Methods that were published with the settings of another."""


@cache
def published() -> Mapping[str, Mapping[str, Any]]:
    """By model and method the settings that differ from the method's own, as JSON values."""
    text = (resources.files("memedit") / "data" / "published_edits.json").read_text(encoding="utf-8")
    models: dict[str, Any] = json.loads(text)
    del models["source"]
    return models


def published_for(method: str, model: str) -> Mapping[str, Any]:
    """The settings of a method that were published for a model.

    Raises:
        UnknownMethod: There are none.
    """
    known = {name: methods for name, methods in published().items() if AS.get(method, method) in methods}
    if model in known:
        settings: Mapping[str, Any] = known[model][AS.get(method, method)]
        return settings
    raise UnknownMethod(
        f"No settings of `{method}` are published for `{model:.80}`.",
        do=f"use one of {', '.join(f'{method}@{name}' for name in known)}" if known else f"use {method} as it is",
    )


@dataclass(frozen=True, slots=True)
class SweptBook:
    """The settings that sweeps found for a model, a file a method.

    Args:
        root: Folder of the cache.
        weights: Hash of the model's.
    """

    root: Path
    weights: str

    def file(self, method: str) -> Path:
        """Where those of a method lie."""
        return self.root / f"settings-{self.weights}" / f"{method}.json"

    def put(self, method: str, told: Mapping[str, Any]) -> Path:
        """Keep what a sweep found, its `settings` among it, in the place of what an earlier one did."""
        file = self.file(method)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
        draft.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        draft.replace(file)
        return file

    def get(self, method: str) -> Mapping[str, Any]:
        """The settings that were found.

        Raises:
            UnknownMethod: Nobody has swept them.
            FileRejected: The file is damaged.
        """
        file = self.file(method)
        if not file.is_file():
            raise UnknownMethod(
                f"Nobody has looked for settings of `{method}` for these weights.",
                do=f"run `memedit parametric sweep --method {method}`, or use {method} as it is",
            )
        try:
            settings: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise FileRejected(f"{file} cannot be read: {error!r}.", do="delete it, and sweep again") from error
        return settings
