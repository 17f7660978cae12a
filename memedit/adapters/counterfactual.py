"""A small model trained to answer by an edit it is shown: SERAC's counterfactual model (Mitchell et al. 2022,
arXiv:2206.06520).

It is trained once, on edits that are not yours, by the negative log-likelihood of answers in scope; new edits need no
training. `memedit serac train` calls `train`; `EditableLLM(…, models={"counterfactual": "counterfactual:FOLDER"})` uses
what it made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from memedit.adapters import tuning
from memedit.adapters.causal import LocalLLM
from memedit.edits import Fact
from memedit.messages import as_request
from memedit.methods.frames import completion


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an edit makes of a text.

    Args:
        fact: The edit as a sentence.
        prompt: A text in its scope.
        answer: What is to follow.
        group: Lessons of one group (a subject) are learned from or held out together.
    """

    fact: str
    prompt: str
    answer: str
    group: str

    def sample(self) -> tuning.Sample:
        """What a model learns it by: the frame without examples, and the answer on its line."""
        asked = completion(as_request(self.prompt), [Fact(self.fact)], self.prompt, examples=())
        return tuning.Sample(asked, f" {' '.join(self.answer.split())}\n", self.group)


def train(llm: LocalLLM, lessons: Iterable[Lesson], **how: Any) -> dict[str, Any]:
    """Train a counterfactual model. See `tuning.train`."""
    return tuning.train(llm, [lesson.sample() for lesson in lessons], "counterfactual", **how)


def load(source: str, **options: Any) -> LocalLLM:
    """`counterfactual:FOLDER`: what `memedit serac train` made. See `tuning.load`."""
    return tuning.load(source, "counterfactual", made_by="memedit serac train", **options)
