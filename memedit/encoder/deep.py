"""The deep judge: a wider encoder, which reads again what the small one leaves open.

The encoder is all-mpnet-base-v2 (Song et al. 2020, arXiv:2004.09297), five times as large as MiniLM, which people
bring: a hub id or a folder. What it learned of everyday messages comes with memedit as a change of its weights, of low
rank (the form of LoRA, Hu et al. 2022, arXiv:2106.09685). It runs in torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from memedit.encoder.change import CHANGE, Change, read_change
from memedit.encoder.graph import shipped_folder
from memedit.encoder.judge import TOKENS, Judge, shipped_judge
from memedit.encoder.network import Vectors
from memedit.errors import GateUnusable, MissingExtra
from memedit.text import one_line

BASE = "sentence-transformers/all-mpnet-base-v2"
OPEN = -5.0  # log-odds, by the small judge, from which a pair is read again
BATCH = 16


def deep_folder() -> Path:
    """Of the change that comes with memedit, and of its thresholds."""
    return shipped_folder() / "deep"


@cache
def deep_judge(base: str | Path = BASE) -> Judge:
    """The judge that reads with both.

    base: The wider encoder, a folder or a hub id.

    Raises:
        EncoderUnusable: The change is damaged.
        GateUnusable: The base cannot be read, or is not the encoder that the change is of.
        MissingExtra: `torch` or `transformers` is not installed.
    """
    return Judge(encoder=Deep(base, read_change(deep_folder() / CHANGE), shipped_judge()))


class Deep:
    """Reads pairs as the small judge does; those that it does not take for far off, by the mean of its log-odds and the
    wider encoder's.
    """

    def __init__(self, base: str | Path, change: Change, small: Judge) -> None:
        self._small = small
        self._model, self._tokenizer = _changed(str(base), change)

    def run(self, texts: Sequence[tuple[str, str]]) -> Vectors:
        """The logits of `roles.LABELS`, (pairs, 3)."""
        logits = self._small.logits(texts).copy()
        odds = _odds(logits)
        again = np.flatnonzero(odds > OPEN).tolist()
        if again:
            said = self._read([texts[at] for at in again])
            logits[again, 1:] += ((said - odds[again]) / 2)[:, None]
        return logits

    def _read(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """The wider encoder's log-odds that the edit bears on the message. Result (pairs,)."""
        import torch

        found = np.zeros(len(pairs), dtype=np.float32)
        order = sorted(range(len(pairs)), key=lambda at: sum(map(len, pairs[at])))
        for start in range(0, len(order), BATCH):
            own = order[start : start + BATCH]
            batch = self._tokenizer(
                *zip(*(pairs[at] for at in own), strict=True), padding=True, truncation="longest_first",
                max_length=TOKENS, return_tensors="pt",
            )  # fmt: skip
            with torch.inference_mode():
                found[own] = _odds(self._model(**batch.to(self._model.device)).logits.float().cpu().numpy())
        return found


def _odds(logits: Vectors) -> Vectors:
    """Of all labels but the first against it. logits (pairs, labels); result (pairs,)."""
    odds: Vectors = np.logaddexp.reduce(logits[:, 1:], axis=1) - logits[:, 0]
    return odds


def _changed(base: str, change: Change) -> tuple[Any, Any]:
    """The base with the change in its weights, and its tokenizer."""
    try:
        import torch
        from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer
    except ModuleNotFoundError as missing:
        raise MissingExtra("local", package=missing.name or "torch") from missing
    labels = change.labels
    try:
        config = AutoConfig.from_pretrained(base, num_labels=labels)
        body = AutoModel.from_pretrained(base, attn_implementation="eager", dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    except Exception as error:  # each library raises its own
        raise GateUnusable(
            f"`{base:.80}` cannot be read: {one_line(str(error), 160)}",
            do=f"give a folder that holds {BASE}: `deep:FOLDER`",
        ) from error
    weights = {f"{model.base_model_prefix}.{name}": weight.numpy() for name, weight in body.state_dict().items()}
    weights |= change.of(weights)
    state = {name: torch.as_tensor(weights.get(name, kept)) for name, kept in model.state_dict().items()}
    model.load_state_dict(state)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer
