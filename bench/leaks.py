"""Whether what is erased stays unsaid, by a model that always tells it, over the messages of everyday.

    python bench/leaks.py FILE... [--erasures 50] [--wordings 1000]

The second table asks what else: which spellings of a secret are kept, how often a text that says none is blocked (each
message of the files as a reply, against all Erasures), how long that takes, and which questions are refused.

For each Erasure (an edit of everyday with a subject, and an answer that its statement holds) the messages around the
edit are sent, each alone and again behind a refused question for it. The model answers each with the edit's statement.
A leak is an answer that says what is erased.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from memedit import EditableLLM, EditMemory, Erasure
from memedit.errors import EditRejected
from memedit.eval.stats import Share
from memedit.secrecy import kept_unasked, reveals
from memedit.testing import FakeLLM
from memedit.text import says

Turns = list[dict[str, str]]
HERE = Path(__file__).parent
LENGTH = 2_000  # characters of a reply that is timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--erasures", type=int, default=50)
    parser.add_argument("--wordings", type=int, default=1_000)
    parser.add_argument("--show", action="store_true", help="print each leak, false block and wrong refusal")
    asked = parser.parse_args()
    records = [json.loads(line) for file in asked.files for line in file.read_text(encoding="utf-8").splitlines()]
    made = [(record, erasure) for record in records if (erasure := erasure_of(record))][: asked.erasures]
    told(made, asked.wordings, show=asked.show)
    spelled(show=asked.show)
    blocked(records, made, show=asked.show)
    refused(show=asked.show)


def told(made: list[tuple[dict[str, Any], Erasure]], most: int, *, show: bool) -> None:
    """How often a model that always tells what is erased is let through."""
    sent, leaks, refusals = 0, Counter[str](), {"in": [0, 0], "out": [0, 0]}
    with EditMemory() as memory:
        for _ in memory.add_many([erasure for _, erasure in made]):
            pass
        for record, erasure in made:
            llm = EditableLLM(FakeLLM(lambda _, said=record["statement"]: said), memory)
            for kind, turns in wordings(record, erasure):
                if sent == most:
                    break
                sent += 1
                answer = llm.invoke(turns)
                count = refusals[kind.split()[0]]
                count[0] += not answer.trace.calls
                count[1] += 1
                if reveals(answer.text, erasure.secrets):
                    leaks[kind] += 1
                    if show:
                        print(f"{erasure.object!r} of {erasure.subject!r}: {turns} → {answer.text}")
    print(f"{len(made)} Erasures, {sent} wordings: {shown(leaks.total(), sent)} leaks {dict(leaks)}")
    for side, (some, of) in refusals.items():
        print(f"refused of the messages {side} scope: {shown(some, of)}")


def spelled(*, show: bool) -> None:
    """Which spellings of secrets are kept, and which texts near to them are."""
    counts = {"kept": Counter[bool](), "passes": Counter[bool]()}
    for one in yaml.safe_load((HERE / "spellings.yaml").read_text(encoding="utf-8")):
        for side, count in counts.items():
            for text in one[side]:
                found = reveals(f"It is {text}, as far as I know.", [one["secret"]])
                count[found] += 1
                if show and found != (side == "kept"):
                    print(f"{one['secret']!r} in {text!r}: {found}")
    kept, near = counts["kept"], counts["passes"]
    print(f"other spellings kept: {shown(kept[True], kept.total())}; near texts: {shown(near[True], near.total())}")


def blocked(records: list[dict[str, Any]], made: list[tuple[dict[str, Any], Erasure]], *, show: bool) -> None:
    """How many messages would be blocked as replies, and how many of them say no secret word for word."""
    texts = [text for record in records for side in ("in", "out") for one in record[side] for text in said(one)]
    some, otherwise = 0, 0
    for text in texts:
        by = [one for _, one in made if reveals(text, kept_unasked(one, text))]
        some += bool(by)
        if by and not any(says(text, one.secrets) for one in by):
            otherwise += 1
            if show:
                print(f"{by[0].object!r} of {by[0].subject!r} blocks: {text}")
    print(f"replies blocked: {shown(some, len(texts))}; saying it in another spelling: {shown(otherwise, len(texts))}")
    long = [" ".join(texts[at : at + 40])[:LENGTH] for at in range(0, min(len(texts), 1_200), 40)]
    seconds = []
    for text in long:
        began = time.process_time()
        for _, one in made:
            reveals(text, kept_unasked(one, text))
        seconds.append(time.process_time() - began)
    middle = sorted(seconds)[len(seconds) // 2]
    print(f"a reply of {LENGTH:,} characters against {len(made)} Erasures: {middle * 1_000:.1f} ms (median)")


def refused(*, show: bool) -> None:
    """Which questions are refused: those that ask for what is erased, for something else, or of another subject."""
    given = yaml.safe_load((HERE / "erased.yaml").read_text(encoding="utf-8"))
    counts = {"asks": [0, 0], "other": [0, 0], "another": [0, 0]}
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(lambda _: "I see."), memory)
        llm.edit_many([Erasure(**one["erasure"]) for one in given])
        for side, count in counts.items():
            for question in (question for one in given for question in one[side]):
                answer = llm.invoke(question)
                count[0] += not answer.trace.calls
                count[1] += 1
                if show and bool(answer.trace.calls) == (side == "asks"):
                    print(f"{side}: {question} → {answer.text}")
    for side, (some, of) in counts.items():
        print(f"refused, {side}: {shown(some, of)}")


def shown(some: int, of: int) -> str:
    """A count with its share and interval."""
    low, high = Share(some, of).interval
    return f"{some} of {of} ({100 * low:.1f}–{100 * high:.1f} %)"


def said(message: dict[str, Any]) -> list[str]:
    """The texts of a message with those before it."""
    turns = message["turns"]
    return [turns] if isinstance(turns, str) else [turn["content"] for turn in turns]


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
