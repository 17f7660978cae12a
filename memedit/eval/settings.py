"""The settings of a run: everything that decides its figures besides the model and the methods."""

from __future__ import annotations

from dataclasses import dataclass

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
        edits_in_memory: `all`, or groups of so many cases.
        max_tokens: Of an answer; the benchmark's own when left out.
        raw: Whether prompts are continued as plain text, without a chat template, as papers do with base models.
        generate: Whether free answers are taken.
        likelihood: Whether likelihoods are taken, where the model gives log-probabilities.
        feedback: Of a stream: the probability that a wrong answer is met with feedback (MemPrompt's p).
        batch: How many probes are asked together.
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

    def batch_of(self, benchmark: Benchmark) -> int:
        """How many probes of this benchmark are asked together."""
        return min(self.batch, STREAM_BATCH) if benchmark.stream else self.batch
