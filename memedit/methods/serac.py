"""SERAC (Mitchell et al. 2022, arXiv:2206.06520): in scope a counterfactual model answers, given the edit; out of scope
the base model, untouched.

The counterfactual model is the wrapped model itself, another one (`EditableLLM(…, models={"counterfactual": …})`), such
as a cheap local one in front of an expensive API, or a small one trained for it (`memedit serac train`). They need no
common tokenizer. The published unsupervised variant mixes both models' probabilities; here too, where they are over one
vocabulary.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from memedit.embedders import Vectors
from memedit.llms import LLM, Capability, Mixer
from memedit.methods.base import Decode, Final, Ready, Run, Steps, Task, method
from memedit.methods.frames import shown

Mixing = Literal["hard", "soft"]
NAME = "counterfactual"


@method("serac", paper="Mitchell et al. 2022, arXiv:2206.06520")
def serac(*, mixing: Mixing = "hard", max_edits: int = 1) -> Run:
    """Let a counterfactual model answer what is in scope, given the edit.

    Args:
        mixing: `hard`: it answers alone. `soft`: each token from s · p(counterfactual) + (1 − s) · p(base), s being the
            gate's probability and the base model reading the same frame without the edit. Where the two give no
            log-probabilities over one vocabulary, or more than text is wanted back, it is `hard`, and a note says so.
        max_edits: Edits it is given, most probable first.

    Raises:
        ValueError: There is no such mixing.
    """
    if mixing not in get_args(Mixing):
        raise ValueError(f"mixing is one of {', '.join(get_args(Mixing))}, not {mixing!r}")

    def run(task: Task) -> Steps:
        name = NAME if NAME in task.models else "base"
        edits, query, kind = task.hits.edits[:max_edits], task.hits.query, task.models[name].kind
        told = shown(task.request, edits, query, kind=kind)
        if mixing == "hard":
            return Final(told, edits, name)
        if obstacle := _obstacle(task, name):
            return Final(told, edits, name, notes=(f"not mixed: {obstacle}",))
        scope = task.hits.passed[0].probability
        untold = shown(task.request, (), query, kind=kind)
        reply = yield Decode([told, untold], mixture(scope), name, () if name == "base" else ("base",))
        notes = (f"mixed: {scope:.2f} of {name} with the edit, {1 - scope:.2f} of base without",)
        return Ready(reply, edits, notes, instead_of=Final(told, edits, name))

    return run


def mixture(scope: float) -> Mixer:
    """log(s · p(counterfactual) + (1 − s) · p(base)).

    Shapes:
        log-probabilities (2, vocabulary), the counterfactual's first; result (vocabulary,).
    """
    scope = min(max(scope, 1e-6), 1 - 1e-6)

    def mixed(logprobs: Vectors) -> Vectors:
        found: Vectors = np.logaddexp(logprobs[0] + np.log(scope), logprobs[1] + np.log1p(-scope))
        return found

    return mixed


def _obstacle(task: Task, name: str) -> str | None:
    """Why base and counterfactual model cannot be mixed; None where they can."""
    base, other = task.models["base"], task.models[name]
    if not task.request.only_text_back:
        return "more than text is wanted back"
    for one in (base, other):
        if Capability.LOGPROBS not in one.capabilities:
            return f"{one.name} gives no log-probabilities"
    return None if other is base or _alike(base, other) else "the models' vocabularies differ"


def _alike(one: LLM, other: LLM) -> bool:
    return one.vocabulary is not None and one.vocabulary == other.vocabulary
