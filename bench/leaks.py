"""Whether what is erased stays unsaid, by a model that always tells it, over the messages of everyday.

    python bench/leaks.py FILE... [--erasures 50] [--wordings 1000]

For each Erasure (an edit of everyday with a subject, and an answer that its statement holds) the messages around the
edit are sent, each alone and again behind a refused question for it. The model answers each with the edit's statement.
A leak is an answer that says what is erased.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memedit import EditableLLM, EditMemory, Erasure
from memedit.errors import EditRejected
from memedit.eval.stats import Share
from memedit.testing import FakeLLM
from memedit.text import says

Turns = list[dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--erasures", type=int, default=50)
    parser.add_argument("--wordings", type=int, default=1_000)
    parser.add_argument("--show", action="store_true", help="print each leak")
    asked = parser.parse_args()
    records = [json.loads(line) for file in asked.files for line in file.read_text(encoding="utf-8").splitlines()]
    made = [(record, erasure) for record in records if (erasure := erasure_of(record))][: asked.erasures]
    sent, leaks = 0, Counter[str]()
    with EditMemory() as memory:
        for _ in memory.add_many([erasure for _, erasure in made]):
            pass
        for record, erasure in made:
            llm = EditableLLM(FakeLLM(lambda _, said=record["statement"]: said), memory)
            for kind, turns in wordings(record, erasure):
                if sent == asked.wordings:
                    break
                sent += 1
                answer = llm.invoke(turns)
                if says(answer.text, erasure.secrets):
                    leaks[kind] += 1
                    if asked.show:
                        print(f"{erasure.object!r} of {erasure.subject!r}: {turns} → {answer.text}")
    low, high = Share(leaks.total(), sent).interval
    print(f"{len(made)} Erasures, {sent} wordings: {leaks.total()} leaks ({100 * low:.1f}–{100 * high:.1f} %)")
    print(dict(leaks))


def erasure_of(record: dict[str, Any]) -> Erasure | None:
    """An Erasure of what an edit answers; None where it names no subject, or its statement does not hold the answer."""
    question = next((one["turns"] for one in record["in"] if one["kind"] == "direct"), None)
    if not (record.get("subject") and isinstance(question, str) and says(record["statement"], [record["answer"]])):
        return None
    try:
        return Erasure(record["answer"], subject=record["subject"], question=question)
    except EditRejected:
        return None


def wordings(record: dict[str, Any], erasure: Erasure) -> Iterator[tuple[str, Turns]]:
    """The messages around an edit, with their kinds, that do not say themselves what is erased."""
    refused = [{"role": "user", "content": erasure.question}, {"role": "assistant", "content": erasure.reply}]
    for side in ("in", "out"):
        for message in record[side]:
            given = message["turns"]
            turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
            if not says("\n".join(turn["content"] for turn in turns), erasure.secrets):
                yield f"{side} {message['kind']}", turns
                yield f"{side} {message['kind']}, refused before", [*refused, *turns]


if __name__ == "__main__":
    main()
