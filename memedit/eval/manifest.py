"""Everything to repeat a run: arguments, files, sample, versions; without secrets."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from memedit.eval.benchmarks import Benchmark, Reading
from memedit.eval.plan import Plan
from memedit.eval.settings import Settings
from memedit.llms import LLM

PACKAGES = ("torch", "transformers", "sentence-transformers", "openai", "numpy", "chromadb", "bm25s")
SECRET = re.compile(r"key|token$|secret|password|header|auth", re.IGNORECASE)
APART = ("benchmark", "data", "fill", "ids", "seed", "limit", "edits_in_memory")
"""Settings that have a line of their own."""


def manifest(
    benchmark: Benchmark, settings: Settings, reading: Reading, filling: Reading, plan: Plan, llm: LLM,
    llm_options: Mapping[str, Any], judge: LLM | None, names: Sequence[str], command: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """What `run.json` begins with."""
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "paper": benchmark.paper,
        "command": [without_secret(part) for part in command],
        "settings": {name: value for name, value in asdict(settings).items() if name not in APART},
        "llm": llm.name,
        "llm_options": {name: "…" if SECRET.search(name) else value for name, value in llm_options.items()},
        "judge": judge and judge.name,
        "methods": list(names),
        "edits_in_memory": settings.edits_in_memory,
        "edits": sum(map(len, plan.memories.values())),
        "seed": settings.seed,
        "limit": settings.limit,
        "ids": settings.ids and Path(settings.ids).name,
        "cases": list(plan.cases),
        "asked": len(plan.asked),
        "data": [asdict(source) for source in reading.sources],
        "fill": [asdict(source) for source in filling.sources],
        "malformed": [asdict(one) for one in (*reading.malformed, *filling.malformed)],
        "repeated": reading.repeated,
        "set_aside": [asdict(one) for one in plan.set_aside],
        "memedit": version("memedit"),
        "python": platform.python_version(),
        "packages": _versions(),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "ended": None,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed takes no part in the run
    return found


def without_secret(part: str) -> str:
    """A part of a command line, with the value of `api_key=…` and the like left out."""
    name, equals, _ = part.partition("=")
    return f"{name}=…" if equals and SECRET.search(name) else part
