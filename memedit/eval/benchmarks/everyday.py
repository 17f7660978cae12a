"""everyday: edits as people write them, and the messages that people send around them; comes with memedit (CC0).

Groups of edits lie in one memory each (`--edits-in-memory group`) or all in one. Without `--data` the part `test` is
read, which nothing that memedit ships was trained on.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record
from memedit.eval.benchmarks.gather import numbered
from memedit.eval.cases import Case, Kind, Probe

KINDS = {
    "in": {
        "direct": Kind.EFFICACY, "paraphrase": Kind.PARAPHRASE, "casual": Kind.CASUAL, "presupposes": Kind.PRESUPPOSES,
        "embedded": Kind.EMBEDDED, "follow-up": Kind.FOLLOW_UP, "indirect": Kind.INDIRECT,
    },
    "out": {
        "same subject": Kind.SAME_SUBJECT, "similar subject": Kind.NEIGHBOURHOOD, "opposite": Kind.OPPOSITE,
        "near topic": Kind.LOCALITY, "task mention": Kind.TASK_MENTION, "shared words": Kind.SHARED_WORDS,
        "moved on": Kind.MOVED_ON,
    },
}  # fmt: skip


def everyday(record: Record, place: Place) -> Case:
    """An edit, the messages that need it, and those that do not; what only other edits bear on is left out."""
    probes = []
    for side, kinds in KINDS.items():
        for message in record[side]:
            if side == "out" and message.get("also"):
                continue
            given = message["turns"]
            turns = () if isinstance(given, str) else tuple((one["role"], one["content"]) for one in given)
            answer = message.get("answer") if side == "in" else None
            told = {"answers": (answer,), "form": "answer"} if answer else {"form": "none"}
            prompt = turns[-1][1] if turns else given
            probes.append(Probe(id="", kind=kinds[message["kind"]], prompt=prompt, turns=turns, **told))
    edit = Fact(record["statement"], id=f"everyday-{record['id']}", source="everyday")
    return Case(id=f"everyday:{record['id']}", edits=(edit,), probes=numbered(probes), memory=record["group"])


def shipped(part: str = "test") -> Path:
    """The file of a part (`train`, `dev`, `test`; `statements`, `instructions`) as it comes with memedit."""
    return Path(str(resources.files("memedit.data"))) / "everyday" / f"{part}.jsonl"


EVERYDAY = Benchmark(
    name="everyday",
    title="everyday",
    measures="what people store and type: fourteen kinds of messages that need an edit, or only seem to",
    paper="memedit",
    published="comes with memedit (memedit/data/everyday)",
    licence="CC0",
    forms=(Form("edit", ("statement", "group", "in", "out"), everyday),),
    max_tokens=48,
    shipped=shipped,
)
