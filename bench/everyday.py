"""Everyday messages: what the finder finds, what the gate lets through, and what is left in doubt.

python bench/everyday.py finder FILE...          one memory of all edits of all files
python bench/everyday.py scope FILE...           one memory a group; --gate for another than the default
    with --languages: as with the extra of that name; with --by-language: apart by the languages of message and edit
python bench/everyday.py apart FILE...           messages of other groups, and small talk: what is shown all the same
python bench/everyday.py costs FILE...           a decision against the bare embedder call; the memory it takes
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from memedit import EditableLLM, EditMemory, Fact, Verdict
from memedit.embedders import default_embedder
from memedit.eval.benchmarks.everyday import shipped
from memedit.eval.contenders import BASELINES, contender
from memedit.eval.stats import Share
from memedit.gate import as_gate, read_conversation
from memedit.gate.learning.apart import apart_from, small_talk
from memedit.gate.learning.messages import Group, Message, read_groups
from memedit.methods.base import Recall
from memedit.testing import FakeLLM
from memedit.text.language import language_of

RATES = (0.01, 0.02, 0.05, 0.10, 0.185)
AMONG = (1, 4, 8, 16, 32)
APART = 64  # messages of each sort that a memory is asked which have nothing to do with it
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("finder", "scope", "apart", "costs"))
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--distract", nargs="*", type=Path, default=[], help="files whose edits lie in the memory too")
    parser.add_argument("--crowd", type=int, default=0, help="so many statements of benchmarks lie in it, too")
    parser.add_argument("--gate", help="as `as_gate` takes it, or a baseline such as bm25")
    parser.add_argument("--every", type=int, default=1, help="take each so manieth message of a group")
    parser.add_argument("--languages", action="store_true", help="with the second finder, of many languages")
    parser.add_argument("--by-language", action="store_true", help="print shares by language, too")
    parser.add_argument("--groups", help="a JSON list of the groups to take")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    groups = chosen_groups(asked.files, asked.groups)
    if asked.what == "costs":
        return costs(groups)
    if asked.what == "finder":
        return finder(groups, read_groups(asked.distract), asked)
    return {"scope": scope, "apart": apart}[asked.what](groups, asked)


def opened(asked: argparse.Namespace) -> EditMemory:
    return EditMemory(languages="auto" if asked.languages else None)


def languages(message: Message, statements: dict[str, str]) -> str:
    """Of a message, and whether it is another than that of the edits it was written about."""
    own = language_of(message.turns[-1][1])
    others = {language_of(statements[one]) for one in message.bearing | {message.edit} if one in statements}
    return f"{own}, as the edit" if own in others else f"{own}, the edit not"


def chosen_groups(files: Sequence[Path], names: str | None) -> list[Group]:
    wanted = set(json.loads(names)) if names else None
    return [group for group in read_groups(files) if wanted is None or group.name in wanted]


def finder(groups: Sequence[Group], others: Sequence[Group], asked: argparse.Namespace) -> None:
    """The share of messages for which a right edit is among the first so many of one memory."""
    ranks: dict[str, list[int]] = defaultdict(list)
    with opened(asked) as memory:
        edits = [edit for group in (*groups, *others) for edit in group.edits]
        if asked.crowd:
            from gate import crowd

            strangers, _ = crowd(Path(os.environ["MEMEDIT_DATA"]), asked.crowd)
            edits += [Fact(one.text) for one in strangers]
        stored = dict(zip([edit.id for edit in edits], memory.add_many(edits, on_conflict="keep"), strict=True))
        for group in groups:
            texts = {edit.id: edit.text for edit in group.edits}
            for message in group.messages:
                if message.side == "in":
                    said = read_conversation(message.turns)
                    found = memory.recall(said.query, whole=said.whole, k=max(AMONG)).candidates
                    right = {stored[one].id for one in message.bearing if one in stored}
                    rank = next((at for at, one in enumerate(found) if one.edit.id in right), len(edits))
                    keys = ["all", message.kind]
                    if asked.by_language:
                        own = languages(message, texts)
                        keys += [own, f"any{own[2:]}"]
                    for key in keys:
                        ranks[key].append(rank)
    print(len(edits), "edits in one memory; found among", *AMONG)
    for kind, found_at in sorted(ranks.items()):
        shares = (Share(sum(rank < most for rank in found_at), len(found_at)) for most in AMONG)
        print(f"  {kind:18}", *(f"{share.value:6.1%}" for share in shares), f"  n {len(found_at)}")


def costs(groups: Sequence[Group]) -> None:
    """Time of a decision over that of embedding its query, one thread, call by call; and what the process grows by.

    Each group's memory is asked its own messages, and those of the next group, which have nothing to do with it.
    """
    embedder = default_embedder()
    embedder.embed(["warm"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ratios: dict[str, list[float]] = defaultdict(list)
    for group, other in zip(groups, [*groups[1:], groups[0]], strict=True):
        with EditMemory(languages=None, query_cache=0) as memory:
            for _ in memory.add_many(group.edits, on_conflict="keep"):
                pass
            llm = EditableLLM(FakeLLM(), memory)
            llm.invoke("warm")
            for name, messages in (("own", group.messages), ("others'", other.messages)):
                for message in messages[::7]:
                    said = read_conversation(message.turns)
                    start = perf_counter()
                    embedder.embed([said.query or said.whole])
                    bare = perf_counter()
                    (hits,) = llm.recall("default", [Recall.of(said)])
                    ratio = (perf_counter() - bare) / (bare - start)
                    read = any("judged direct" in one.evidence.numbers() for one in hits.verdicts if one.evidence)
                    ratios[f"{name}, {'read by the judge' if read else 'not read'}"].append(ratio)
                    ratios[name].append(ratio)
    for name, found in sorted(ratios.items()):
        median, high = np.quantile(found, [0.5, 0.95])
        print(f"{name:28} n {len(found):5}  median {median:5.2f}  95th percentile {high:5.2f}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"the process grew by {grown / 1024:.0f} MB beside the embedder")


def scope(groups: Sequence[Group], asked: argparse.Namespace) -> None:
    """What is let through and what is left in doubt, one memory a group."""
    rows = []
    for group, of_group in judged(groups, asked):
        texts = {edit.id: edit.text for edit in group.edits}
        for message in group.messages[:: asked.every]:
            rows.append(_row(message, of_group(message.turns)) | {"languages": languages(message, texts)})
    report(rows, by_language=asked.by_language)
    if asked.json:
        asked.json.write_text(json.dumps(rows), encoding="utf-8")


def apart(groups: Sequence[Group], asked: argparse.Namespace) -> None:
    """What is let through and shown of messages that have nothing to do with the memory of a group."""
    drawn = random.Random(0)
    talk, requests = (small_talk(shipped("small_talk"), part) for part in ("test", "requests"))
    found: dict[str, list[Sequence[Verdict]]] = defaultdict(list)
    for group, of_group in judged(groups, asked):
        for message in apart_from(group, groups, talk, APART, drawn):
            found[message.kind].append(of_group(message.turns))
        found["ordinary requests"] += (of_group([("user", text)]) for text in requests)
    for kind, verdicts in found.items():
        passed, shown = ([[getattr(one, how) for one in own] for own in verdicts] for how in ("passed", "doubtful"))
        nothing = share(not any(one) and not any(other) for one, other in zip(passed, shown, strict=True))
        print(f"{kind}: {share(map(any, passed))} let through, nothing shown of {nothing}, n {len(verdicts)}")


def judged(
    groups: Sequence[Group], asked: argparse.Namespace
) -> Iterator[tuple[Group, Callable[[Sequence[tuple[str, str]]], Sequence[Verdict]]]]:
    """Each group, and what gives the verdicts on a conversation in a memory of its own."""
    baseline = asked.gate in BASELINES
    judge = None if baseline else as_gate(asked.gate)
    for group in groups:
        with opened(asked) as memory:
            for _ in memory.add_many(group.edits, on_conflict="keep"):
                pass
            llm = contender(asked.gate)(FakeLLM(), memory) if baseline else EditableLLM(FakeLLM(), memory, gate=judge)
            yield group, partial(verdicts_on, llm)


def verdicts_on(llm: EditableLLM, turns: Sequence[tuple[str, str]]) -> Sequence[Verdict]:
    said = read_conversation(turns)
    (hits,) = llm.recall("default", [Recall.of(said)])
    return hits.verdicts


def _row(message: Message, verdicts: Sequence[Verdict]) -> Row:
    right = [one for one in verdicts if one.edit.id in message.bearing]
    wrong = [one for one in verdicts if one.edit.id not in message.bearing]
    shown = [one for one in verdicts if one.passed or one.doubtful]
    return {
        "edit": message.edit, "side": message.side, "kind": message.kind, "bearing": sorted(message.bearing),
        "right": max((one.probability for one in right), default=0.0),
        "wrong": max((one.probability for one in wrong), default=0.0),
        "passed right": any(one.passed for one in right), "passed wrong": any(one.passed for one in wrong),
        "first": bool(verdicts) and verdicts[0].edit.id in message.bearing,
        "shown": len(shown), "shown right": any(one.passed or one.doubtful for one in right),
        "shown wrong": any(one.passed or one.doubtful for one in wrong),
        "surely wrong": any(one.passed and not one.doubtful for one in wrong),
        "asked": any(one.doubtful for one in verdicts),
    }  # fmt: skip


def report(rows: Sequence[Row], *, by_language: bool) -> None:
    inside, outside = ([row for row in rows if row["side"] == side] for side in ("in", "out"))
    fires = sorted((row["wrong"] for row in outside), reverse=True)
    print(len(inside), "messages in scope,", len(outside), "out of scope")
    for rate in RATES:
        at = fires[int(rate * len(outside))]
        print(f"  at {rate:.1%} false fires: recall {share(row['right'] > at for row in inside)} (threshold {at:.3f})")
    print(
        f"  as shipped: recall {share(row['passed right'] for row in inside)}, "
        f"false fires {share(row['passed wrong'] for row in outside)}, "
        f"right edit first {share(row['first'] for row in inside)}"
    )
    print(
        f"  shown to a capable model: right edit {share(row['shown right'] for row in inside)}, "
        f"{np.mean([row['shown'] for row in inside]):.2f} notes a message; "
        f"out of scope none {share(not row['shown'] for row in outside)}"
    )
    print(
        f"  asked of a perfect model: recall {share(row['shown right'] for row in inside)}, "
        f"false fires {share(row['surely wrong'] for row in outside)}, "
        f"a call for {share(row['asked'] for row in rows)}"
    )
    at = fires[int(0.05 * len(outside))]
    kinds: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        kinds[row["side"], row["kind"]].append(row)
        if by_language:
            kinds[row["side"], row["languages"]].append(row)
            kinds[row["side"], f"any{row['languages'][2:]}"].append(row)
    for (side, kind), found in sorted(kinds.items()):
        one = "right" if side == "in" else "wrong"
        shares = (
            f"at 5 % {share(row[one] > at for row in found)}",
            f"as shipped {share(row[f'passed {one}'] for row in found)}",
            f"shown {share(row[f'shown {one}'] for row in found)}",
            f"surely wrong {share(row['surely wrong'] for row in found)}",
        )
        print(f"    {side:4}{kind:18}", "  ".join(shares), f"  n {len(found)}")


def share(holding: Iterable[bool]) -> str:
    counted = list(holding)
    found = Share(sum(counted), len(counted))
    low, high = found.interval
    return f"{100 * found.value:.1f} ({100 * low:.0f}–{100 * high:.0f})"


if __name__ == "__main__":
    main()
