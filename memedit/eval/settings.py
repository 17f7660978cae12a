"""The settings of a run: everything that decides its figures besides the model and the methods."""

from __future__ import annotations

from dataclasses import dataclass

from memedit.errors import RunRejected
from memedit.eval.benchmarks import Benchmark
from memedit.eval.plan import EditsInMemory

STREAM_BATCH = 8  # questions of a stream that are asked before feedback on them comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What decides the figures of a run; a resumed run has the same.

    Args:
        benchmark: Its name.
        data: Its files.
        fill: More files of it, whose edits only fill the memory.
        ids: A file of case ids; no others are asked (MQuAKE's 2,002).
        limit: Ask at most so many cases.
        seed: Of the draw, and of a stream's feedback.
        edits_in_memory: `all`, `group` (as the benchmark groups its cases), or groups of so many cases.
        max_tokens: Of an answer; the benchmark's own when left out.
        raw: Whether prompts are continued as plain text, without a chat template, as papers do with base models.
        generate: Whether free answers are taken.
        likelihood: Whether likelihoods are taken, where the model gives log-probabilities.
        feedback: Of a stream: the probability that a wrong answer is met with feedback (MemPrompt's p).
        batch: How many probes are asked together.
        turn: Of methods that write weights: edits that are written together; all of a memory when left out.
        ask_again: Whether an untouched request is sent again, instead of taking over the unedited model's answer.

    Raises:
        RunRejected: One of them has a value that makes no sense.
    """

    benchmark: str
    data: tuple[str, ...]
    fill: tuple[str, ...] = ()
    ids: str | None = None
    limit: int | None = None
    seed: int = 0
    edits_in_memory: EditsInMemory = "all"
    max_tokens: int | None = None
    raw: bool = False
    generate: bool = True
    likelihood: bool = True
    feedback: float = 1.0
    batch: int = 64
    ask_again: bool = False
    turn: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.data, str) or isinstance(self.fill, str):
            raise RunRejected("data and fill are several files.", do='give a tuple: data=("file.json",)')
        size = self.edits_in_memory
        if size not in ("all", "group") and not (isinstance(size, int) and size > 0):
            raise RunRejected(f"edits_in_memory is {size!r}.", do="give `all`, `group`, or a number from 1 on")
        for name in ("limit", "max_tokens", "batch", "turn"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RunRejected(f"{name} is {value}.", do="give a number from 1 on")
        if not 0 <= self.feedback <= 1:
            raise RunRejected(f"feedback is {self.feedback}.", do="give a probability between 0 and 1")
        if not (self.generate or self.likelihood):
            raise RunRejected("Without answers and likelihoods there is nothing to measure.", do="take one of them")

    def batch_of(self, benchmark: Benchmark) -> int:
        """How many probes of this benchmark are asked together."""
        return min(self.batch, STREAM_BATCH) if benchmark.stream else self.batch
