"""What radii learned from uses give on everyday messages that they were not learned from.

python bench/uses.py FILE...    one memory a group; half of its messages are uses, the other half is judged

A use is a message for which an edit is let through or in doubt: accepted where the edit bears on it, else rejected. Of
the other half: recall (messages in scope for which a right edit is let through), false fires (messages out of scope for
which a wrong one is), and wrong uses (what `error` bounds: of all uses, those in which a wrong edit is let through).
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memedit import EditMemory, Fact, Verdict
from memedit.eval.stats import Share
from memedit.gate import Gate, as_gate, read_conversation
from memedit.gate.learning.error_bounds import Seen
from memedit.gate.learning.judging import verdicts_on
from memedit.gate.learning.messages import Group, Message, read_groups
from memedit.gate.learning.uses import radii

ERRORS = (0.02, 0.05, 0.10)


@dataclass(frozen=True)
class Judged:
    """A message and the gate's verdicts on the edits of its group, each with the radius that lets it through."""

    group: str
    message: Message
    verdicts: tuple[tuple[Verdict, float], ...]

    def uses(self) -> Iterable[tuple[Fact, Seen]]:
        for verdict, limit in self.verdicts:
            if isinstance(verdict.edit, Fact) and (verdict.passed or verdict.doubtful):
                accepted = verdict.edit.id in self.message.bearing
                yield verdict.edit, Seen(limit, min(sum(verdict.shares), 1.0), accepted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--gate", help="as `as_gate` takes it")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--confidence", type=float, default=0.95)
    asked = parser.parse_args()
    gate = as_gate(asked.gate)
    judged = [one for group in read_groups(asked.files) for one in judge(gate, group)]
    print(len(judged), "messages")
    for most in (None, 4):
        print("learned from", "half of the messages" if most is None else f"at most {most} uses an edit")
        for error in ERRORS:
            before, after = [], []
            for seed in range(asked.seeds):
                learned, others = halves(judged, seed)
                given = uses_of(learned, most, seed)
                found = radii(list(given.values()), error=error, confidence=asked.confidence)
                before.append(measured(others, {}))
                after.append(measured(others, {one.edit.id: one.radius for one in found}))
            uses = np.mean([len(seen) for _, seen in given.values()])
            print(f"  error {error:.0%}, {len(given)} edits of {uses:.1f} uses: {_said(before)} → {_said(after)}")


def judge(gate: Gate, group: Group) -> Iterable[Judged]:
    with EditMemory() as memory:
        for _ in memory.add_many(group.edits, on_conflict="keep"):
            pass
        said = verdicts_on(memory, gate, [read_conversation(message.turns) for message in group.messages])
        for message, verdicts in zip(group.messages, said, strict=True):
            yield Judged(group.name, message, tuple((one, gate.reach(one)) for one in verdicts))


def halves(judged: Sequence[Judged], seed: int) -> tuple[list[Judged], list[Judged]]:
    """The messages of each group in two halves."""
    by_group: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        by_group[one.group].append(one)
    parts: tuple[list[Judged], list[Judged]] = ([], [])
    for found in by_group.values():
        random.Random(seed).shuffle(found)
        parts[0].extend(found[: len(found) // 2])
        parts[1].extend(found[len(found) // 2 :])
    return parts


def uses_of(judged: Iterable[Judged], most: int | None, seed: int) -> dict[str, tuple[Fact, list[Seen]]]:
    """The uses of each edit, of which `most` are drawn."""
    found: dict[str, tuple[Fact, list[Seen]]] = {}
    for edit, seen in (use for one in judged for use in one.uses()):
        found.setdefault(edit.id, (edit, []))[1].append(seen)
    for _, seen in found.values():
        random.Random(seed).shuffle(seen)
        del seen[len(seen) if most is None else most :]
    return found


def measured(judged: Iterable[Judged], radii: Mapping[str, float]) -> tuple[float, float, float]:
    """Recall, false fires and wrong uses at these radii."""
    recall, fires, wrong = [], [], []
    for one in judged:
        passed = {verdict.edit.id for verdict, limit in one.verdicts if limit <= radii.get(verdict.edit.id, 0.0)}
        bearing = one.message.bearing
        if one.message.side == "in":
            recall.append(bool(passed & bearing))
        else:
            fires.append(bool(passed - bearing))
        wrong += [edit.id in passed and not seen.accepted for edit, seen in one.uses()]
    return tuple(Share(sum(counted), len(counted)).value for counted in (recall, fires, wrong))  # type: ignore[return-value]


def _said(runs: Sequence[tuple[float, float, float]]) -> str:
    (recall, fires, wrong), spread = np.mean(runs, axis=0), np.std(runs, axis=0)
    return (
        f"recall {recall:.1%} ± {spread[0]:.1%}, false fires {fires:.1%} ± {spread[1]:.1%}, "
        f"wrong uses {wrong:.2%} ± {spread[2]:.2%}"
    )


if __name__ == "__main__":
    main()
