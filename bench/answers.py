"""Everyday messages answered by a model: whether an edit that passes is used rightly, and what needless notes change.

python bench/answers.py used LLM FILE...       messages in scope; the edits that bear on them pass, whatever a gate says
python bench/answers.py needless LLM FILE...   messages out of scope with notes in doubt: answered with and without them
python bench/answers.py show FOLDER            what was found; answers are kept in FOLDER/{used,needless}.jsonl

A killed run goes on where it was. A right answer holds what the message's `answer` says; of yes and no, whether it
denies. The rest is for a reader, who may add `"read": "right"`, `"silent"` or `"contradicts"` to a line.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from memedit import EditableLLM, EditMemory, Fact, Gate, Verdict, as_llm
from memedit.eval.stats import Share
from memedit.gate import read_conversation
from memedit.gate.learning.messages import Group, Message, read_groups
from memedit.memory import Recalled
from memedit.methods.base import Recall
from memedit.methods.doubt import in_doubt
from memedit.text import words

Row = dict[str, Any]
NO = frozenset("no not nope never cannot nein nicht kein keine nie non pas nee niet não nunca nie nein geen".split())
YES = frozenset("yes yeah yep ja sí si oui sim tak".split())
MOST = 60  # tokens of an answer


class Given(Gate):
    """Lets the edits through that it is told to, whatever was asked."""

    name = "given"

    def __init__(self) -> None:
        self.edits: list[Fact] = []

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [Verdict(edit, 1.0, passed=True) for edit in self.edits]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("used", "needless", "show"))
    parser.add_argument("llm", help="as `as_llm` takes it; the folder, to show")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--into", type=Path, default=Path("bench/out/answers"))
    parser.add_argument("--each", type=int, default=15, help="messages of each kind")
    parser.add_argument("--kind", help="of model, where it is to count as another than it does")
    parser.add_argument("--llm-option", action="append", default=[], metavar="NAME=VALUE", help="such as base_url=…")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    if asked.what == "show":
        return show(Path(asked.llm))
    torch.set_num_threads(asked.threads)
    llm = as_llm(asked.llm, **dict(one.split("=", 1) for one in asked.llm_option))
    llm.kind = asked.kind or llm.kind
    asked.into.mkdir(parents=True, exist_ok=True)
    file = asked.into / f"{asked.what}.jsonl"
    done = {row["message"] for row in _rows(file)}
    answers = {"used": used, "needless": needless}[asked.what]
    groups = read_groups(asked.files)
    with file.open("a", encoding="utf-8") as out:
        for row in answers(llm, groups, asked.each, done):
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
    return show(asked.into)


def used(llm: Any, groups: Sequence[Group], each: int, done: set[str]) -> Iterator[Row]:
    gate = Given()
    for group, drawn in _drawn(groups, "in", each):
        with _memory(group) as memory:
            editable = EditableLLM(llm, memory, gate=gate, doubt="leave")
            for name, message in drawn:
                if name not in done and message.answer:
                    gate.edits = [edit for edit in group.edits if edit.id in message.bearing]
                    answer = editable.invoke(_turns(message), max_tokens=MOST)
                    yield _row(name, group, message) | {
                        "right": holds(answer.text, message.answer),
                        "text": answer.text,
                    }


def needless(llm: Any, groups: Sequence[Group], each: int, done: set[str]) -> Iterator[Row]:
    for group, drawn in _drawn(groups, "out", each):
        with _memory(group) as memory:
            editable = EditableLLM(llm, memory, doubt="show")
            for name, message in drawn:
                if name in done or message.bearing:
                    continue
                said = read_conversation(message.turns)
                (hits,) = editable.recall("default", [Recall.of(said)])
                shown = [edit.text for edit in in_doubt(hits)]
                if hits.passed or not shown:
                    continue
                text = editable.invoke(_turns(message), max_tokens=MOST).text
                base = editable.ask_base([_turns(message)], max_tokens=MOST)[0].text
                yield _row(name, group, message) | {
                    "notes": shown, "text": text, "base": base, "changed": text.strip() != base.strip(),
                    "entered": bool(_entered(text, shown) - _entered(base, shown)),
                }  # fmt: skip


def holds(text: str, answer: str) -> bool:
    """Whether a text says what a right answer does."""
    said, wanted = words(text), words(answer)
    if len(wanted) == 1 and wanted[0] in NO | YES:
        denied = bool(NO & set(said)) or bool(re.search(r"n['’]t\b", text))
        return denied == (wanted[0] in NO)
    return any(said[at : at + len(wanted)] == wanted for at in range(len(said) - len(wanted) + 1))


def show(folder: Path) -> None:
    """Shares by kind, of what was kept."""
    for name, counted in (("used", ("right", "contradicts")), ("needless", ("changed", "entered"))):
        rows = _rows(folder / f"{name}.jsonl")
        kinds: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            read = row.get("read")
            row |= {
                "right": row.get("right") if read is None else read == "right",
                "contradicts": read == "contradicts",
            }
            kinds["all"].append(row)
            kinds[row["kind"]].append(row)
        for kind, found in sorted(kinds.items()):
            shares = (Share(sum(bool(row[one]) for row in found), len(found)) for one in counted)
            told = (
                f"{one} {share.value:.1%} ({share.interval[0]:.0%}–{share.interval[1]:.0%})"
                for one, share in zip(counted, shares, strict=True)
            )
            print(f"{name:9}{kind:18}", *told, f" n {len(found)}")


def _drawn(groups: Sequence[Group], side: str, each: int) -> Iterator[tuple[Group, list[tuple[str, Message]]]]:
    """So many messages of each kind, shared out among the groups, with their names."""
    rng = random.Random(0)
    kinds: dict[str, list[tuple[str, str, Message]]] = defaultdict(list)
    for group in groups:
        for place, message in enumerate(group.messages):
            if message.side == side:
                kinds[message.kind].append((group.name, f"{group.name} {place}", message))
    chosen = [one for found in kinds.values() for one in rng.sample(found, min(each, len(found)))]
    for group in groups:
        yield group, [(name, message) for own, name, message in chosen if own == group.name]


def _memory(group: Group) -> EditMemory:
    memory = EditMemory()
    for _ in memory.add_many(group.edits, on_conflict="keep"):
        pass
    return memory


def _turns(message: Message) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in message.turns]


def _row(name: str, group: Group, message: Message) -> Row:
    held = {edit.id: edit.text for edit in group.edits}
    return {
        "message": name, "kind": message.kind, "turns": [text for _, text in message.turns], "answer": message.answer,
        "edits": [held[one] for one in sorted(message.bearing) if one in held],
    }  # fmt: skip


def _entered(text: str, notes: Sequence[str]) -> set[str]:
    """Figures and names of the notes that a text holds."""
    return {one for one in re.findall(r"\b(?:\d[\d.,:]*\d|\d|[A-Z]\w+)", " ".join(notes)) if one in text}


def _rows(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()
