"""SERAC (Mitchell et al. 2022, arXiv:2206.06520): in scope a counterfactual model answers, given the edit; out of scope
the base model, untouched.

The counterfactual model is another model (`EditableLLM(…, models={"counterfactual": …})`), such as a cheap local one in
front of an expensive API, or the wrapped model itself. They need share no tokenizer. The published unsupervised variant
mixes both models' probabilities; here too, where both are one model and it gives log-probabilities.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from memedit.embedders import Vectors
from memedit.llms import Mixer
from memedit.methods.base import Decode, Final, Ready, Run, Steps, Task, method
from memedit.methods.frames import shown

Mixing = Literal["hard", "soft"]
NAME = "counterfactual"


@method("serac", paper="Mitchell et al. 2022, arXiv:2206.06520")
def serac(*, mixing: Mixing = "hard", max_edits: int = 1) -> Run:
    """Let a counterfactual model answer what is in scope, given the edit.

    Args:
        mixing: `hard`: it answers alone. `soft`: each token from s · p(counterfactual) + (1 − s) · p(base), s being the
            gate's probability; needs `logprobs`, and one model for both.
        max_edits: Edits it is given, most probable first.

    Raises:
        ValueError: There is no such mixing.
    """
    if mixing not in get_args(Mixing):
        raise ValueError(f"mixing is one of {', '.join(get_args(Mixing))}, not {mixing!r}")

    def run(task: Task) -> Steps:
        name = NAME if NAME in task.models else "base"
        edits = task.hits.edits[:max_edits]
        call = Final(shown(task.request, edits, task.hits.query, kind=task.models[name].kind), edits, name)
        if mixing == "hard" or name != "base" or not task.request.only_text_back:
            return call
        reply = yield Decode([call.request, task.request], mixture(task.hits.passed[0].probability))
        return Ready(reply, edits, instead_of=call)

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
