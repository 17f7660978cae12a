"""Classifying a text with patches in front of the model: the steps of `EditableLLM.classify`.

Where the model gives log-probabilities, they are mixed over the labels: g · p_patch + (1 - g) · p_base (Murty et al.
2022, equation 1), g being the gate's probability that the patch's condition applies. Where it gives text alone, the
gate is hard: a stated label is the answer, anything else is shown to the model, which chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memedit.edits import AnyEdit, Patch
from memedit.errors import ProviderError
from memedit.gate.port import Hits, Verdict
from memedit.llms import Likelihood
from memedit.messages import Reply, Request, as_request
from memedit.methods.base import Generate, Ready, Score, Steps
from memedit.methods.blocks import holds
from memedit.methods.frames import context, noted
from memedit.methods.interpreter import Labels, Row, mixed, normal, told_by, views
from memedit.text import one_line
from memedit.text.conditional import stated_label

ONLY = "Answer with exactly one of these labels, and nothing else: "


@dataclass(frozen=True)
class Reading:
    """How patches are read.

    Args:
        weights: Of the interpreter's views.
        combine: `most` or `all`, as in `interpreter.mixed`.
        max_patches: How many are looked at, most applicable first.
    """

    weights: Sequence[float]
    combine: str = "most"
    max_patches: int = 4


def applicable(hits: Hits, most: int) -> tuple[list[Verdict], tuple[AnyEdit, ...]]:
    """The patches that were let through, most applicable first, and the other edits that may be shown."""
    patches = sorted((one for one in hits.passed if one.edit.kind == "patch"), key=lambda one: -one.probability)
    return patches[:most], tuple(edit for edit in hits.edits if edit.kind not in ("patch", "erasure"))


def holding(patches: Iterable[Verdict]) -> list[str]:
    """What holds of a text by the patches in scope of it, a line each."""
    edits = (one.edit for one in patches)
    return [holds(edit) for edit in edits if isinstance(edit, Patch)]


def score_labels(text: str, labels: Labels, hits: Hits, reading: Reading, prior: Row | None) -> Steps:
    """The label with the highest mixed probability; the reply's `raw` holds all of them, by label."""
    patches, others = applicable(hits, reading.max_patches)
    request = labels.raw(text)
    base = normal(
        _sums((yield Score(context(request, others, kind="base") if others else request, labels.continuations()))),
        prior,
    )
    notes, said = [], []
    for one in patches:
        assert isinstance(one.edit, Patch)
        label = stated_label(one.edit.consequence, labels.names)
        if label is not None:
            said.append((one.probability, np.array([float(name == label) for name in labels.names])))
        else:
            seen = []
            for view in views(text, one.edit.condition, one.edit.consequence):
                seen.append(normal(_sums((yield Score(labels.raw(view), labels.continuations()))), prior))
            said.append((one.probability, told_by(base, seen, reading.weights)))
        notes.append(_note(one, label, dict(zip(labels.names, said[-1][1].tolist(), strict=True))))
        if reading.combine == "most":
            break
    found = mixed(np.exp(base), said, combine=reading.combine) if said else np.exp(base)
    share = dict(zip(labels.names, found.tolist(), strict=True))
    notes.append(f"the model alone: {_shares(dict(zip(labels.names, np.exp(base).tolist(), strict=True)))}")
    return Ready(
        Reply(max(share, key=share.__getitem__), raw=share), _cited(patches[: len(said)], others), tuple(notes)
    )


def choose_label(text: str, labels: Labels, hits: Hits, reading: Reading, options: Mapping[str, object]) -> Steps:
    """The label a model chooses that gives text alone; a label that a patch states is taken without asking it."""
    patches, others = applicable(hits, reading.max_patches)
    if patches and isinstance(patches[0].edit, Patch):
        label = stated_label(patches[0].edit.consequence, labels.names)
        if label is not None:
            return Ready(Reply(label), (patches[0].edit,), (_note(patches[0], label, {}),))
    if reading.combine == "most":
        patches = patches[:1]
    request: Request = as_request(labels.ask(text), options)
    if patches or others:
        request = noted(request, [*holding(patches), *(edit.text for edit in others)], kind="chat")
    notes = tuple(_note(one, None, {}) for one in patches)
    reply = yield Generate(request)
    label = labels.read(reply.text)
    if label is None:
        stricter = f"{request.text}\n\n{ONLY}{', '.join(labels.names)}."
        reply = yield Generate(as_request(stricter, options))
        label = labels.read(reply.text)
    if label is None:
        raise ProviderError(
            f"The model answered “{one_line(reply.text)}”, which is none of the labels {', '.join(labels.names)}.",
            do="give a prompt= that asks for the label alone, or wrap a model with log-probabilities",
        )
    return Ready(Reply(label, usage=reply.usage), _cited(patches, others), notes)


def _cited(patches: Iterable[Verdict], others: tuple[AnyEdit, ...]) -> tuple[AnyEdit, ...]:
    return (*(one.edit for one in patches), *others)


def _sums(likelihoods: Sequence[Likelihood]) -> list[float]:
    return [one.logprob for one in likelihoods]


def _note(one: Verdict, label: str | None, share: Mapping[str, float]) -> str:
    kind = f"override: {label}" if label is not None else "feature"
    told = f", {_shares(share)}" if share and label is None else ""
    return f"patch {one.edit.id[:8]} applies with {one.probability:.2f} ({kind}{told})"


def _shares(share: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in share.items())
