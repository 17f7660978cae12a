"""Measuring: any method, on any model, over any benchmark of the field, resumable and with intervals."""

from memedit.eval.benchmarks import Benchmark, all_benchmarks, find_benchmark, read
from memedit.eval.cases import Case, Kind, Probe
from memedit.eval.runner import evaluate
from memedit.eval.runs import Row, Run, load_run
from memedit.eval.scores import Score, score_run
from memedit.eval.settings import Settings

__all__ = [
    "Benchmark",
    "Case",
    "Kind",
    "Probe",
    "Row",
    "Run",
    "Score",
    "Settings",
    "all_benchmarks",
    "evaluate",
    "find_benchmark",
    "load_run",
    "read",
    "score_run",
]
