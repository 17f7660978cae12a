"""Everyday messages: what the finder finds, what the gate lets through, and what is left in doubt.

python bench/everyday.py finder FILE...          one memory of all edits of all files
python bench/everyday.py scope FILE...           one memory a group; --gate for another than the default
    with --languages: as with the extra of that name; with --by-language: apart by the languages of message and edit
python bench/everyday.py costs FILE...           a decision against the bare embedder call; the memory it takes
python bench/everyday.py standing FILE...        what standing instructions look like to MiniLM; learned and written
python bench/everyday.py governing FILE...       which texts govern every answer, beside statements; learned, written
python bench/everyday.py statements FILE...      which later statements take an earlier one's place; learned and written
python bench/everyday.py fit --everyday FILE...  how evidence and judge are weighed; needs MEMEDIT_DATA
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import resource
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from memedit import EditableLLM, EditMemory, Fact, Verdict
from memedit.embedders import default_embedder
from memedit.encoder.graph import CARD, shipped_folder
from memedit.encoder.judge import shipped_judge
from memedit.encoder.network import packed
from memedit.eval.benchmarks.everyday import shipped
from memedit.eval.contenders import BASELINES, contender
from memedit.eval.stats import Share
from memedit.gate import as_gate, read_conversation, weighing
from memedit.gate.learning import governing as learning_governing
from memedit.gate.learning import standing
from memedit.gate.learning.messages import Group, Message, read_groups
from memedit.gate.learning.network import fit_members
from memedit.gate.learning.weighing import fit, read_messages, read_scope_set, reading
from memedit.memory import governing, statements
from memedit.memory.contradictions import LIKELY, SURE
from memedit.memory.standing import FILE
from memedit.memory.statements import LATER
from memedit.methods.base import Recall
from memedit.testing import FakeLLM
from memedit.text.language import language_of

RATES = (0.01, 0.02, 0.05, 0.10, 0.185)
AMONG = (1, 4, 8, 16, 32)
FOREIGN = 3.0
"""For how many an ordinary statement that is not in English stands: two in five instructions are not."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("finder", "scope", "costs", "statements", "standing", "governing", "fit"))
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--distract", nargs="*", type=Path, default=[], help="files whose edits lie in the memory too")
    parser.add_argument("--crowd", type=int, default=0, help="so many statements of benchmarks lie in it, too")
    parser.add_argument("--gate", help="as `as_gate` takes it, or a baseline such as bm25")
    parser.add_argument("--every", type=int, default=1, help="take each so manieth message of a group")
    parser.add_argument("--languages", action="store_true", help="with the second finder, of many languages")
    parser.add_argument("--by-language", action="store_true", help="print shares by language, too")
    parser.add_argument("--everyday", nargs="*", type=Path, default=[])
    parser.add_argument("--groups", help="a JSON list of the groups to take")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--into", type=Path, help="where what is learned is written; among what is shipped if left out")
    asked = parser.parse_args()
    if asked.what == "fit":
        return fit_weighing(chosen_groups(asked.everyday, asked.groups))
    groups = chosen_groups(asked.files, asked.groups)
    if asked.what == "standing":
        return fit_standing(asked.files, asked.into or shipped_folder())
    if asked.what == "governing":
        return fit_governing(asked.files, asked.into or shipped_folder())
    if asked.what == "statements":
        return fit_statements(groups, asked.into or shipped_folder())
    if asked.what == "costs":
        return costs(groups)
    if asked.what == "finder":
        return finder(groups, read_groups(asked.distract), asked)
    return scope(groups, asked)


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
                    (hits,) = llm.recall("default", [Recall(said.query, whole=said.whole)])
                    ratio = (perf_counter() - bare) / (bare - start)
                    read = any("judged direct" in one.evidence.numbers() for one in hits.verdicts if one.evidence)
                    ratios[f"{name}, {'read by the judge' if read else 'not read'}"].append(ratio)
                    ratios[name].append(ratio)
    for name, found in sorted(ratios.items()):
        median, high = np.quantile(found, [0.5, 0.95])
        print(f"{name:28} n {len(found):5}  median {median:5.2f}  95th percentile {high:5.2f}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"the process grew by {grown / 1024:.0f} MB beside the embedder")


def fit_standing(files: Sequence[Path], into: Path) -> None:
    """Learn it from these files, and write it into a folder; printed is what is proposed of groups left out."""
    records = _records(files)
    vectors = default_embedder().embed([Fact(record["statement"]).key_text for record in records])
    is_standing = np.array([bool(record.get("standing")) for record in records])
    names = sorted({record["group"] for record in records})
    fold = np.array([names.index(record["group"]) % 5 for record in records])
    proposed = np.zeros(len(records), dtype=bool)
    for part in range(5):
        direction, least = standing.fit(vectors[fold != part], is_standing[fold != part])
        proposed[fold == part] = vectors[fold == part] @ direction >= least
    print(
        "proposed:", _share(proposed[is_standing]), "of standing instructions,", _share(proposed[~is_standing]), "else"
    )
    standing.save(*standing.fit(vectors, is_standing), into / FILE)


def fit_governing(files: Sequence[Path], into: Path) -> None:
    """Learn which texts govern every answer, and write it; printed is what is found of the part `test`."""
    told = _records([shipped("instructions")])
    statements = [one["statement"] for one in _records(files) if not one.get("standing")]
    english, others = ([one for one in statements if (language_of(one) == "en") == is_it] for is_it in (True, False))
    kept, left = [*english[::2], *others[::2], *others[1::4]], [*english[1::2], *others[3::4]]
    parts = {part: [one for one in told if one["part"] == part] for part in ("dev", "test")}

    def rows(texts: Sequence[str]) -> Any:
        return governing.features(shipped_judge(), texts, default_embedder().embed(texts))

    texts = [one["statement"] for one in parts["dev"]]
    governs = np.array([one["always"] for one in parts["dev"]] + [False] * len(kept))
    ordinary = np.array([False] * len(texts) + [True] * len(kept))
    foreign = np.array([language_of(one) != "en" for one in [*texts, *kept]])
    counts = np.where(ordinary & foreign, FOREIGN, 1.0)
    weights, least = learning_governing.fit(rows([*texts, *kept]), governs, ordinary, counts)
    learning_governing.save(weights, least, into / governing.FILE)
    found = rows([one["statement"] for one in parts["test"]]) @ weights >= least
    always = np.array([one["always"] for one in parts["test"]])
    print(f"taken to govern every answer: {_share(found[always])} of those that do,")
    print(f"{_share(found[~always])} that sound like it, {_share(rows(left) @ weights >= least)} of other statements")


def fit_statements(groups: Sequence[Group], into: Path) -> None:
    """Learn which later statements take an earlier one's place, and write it into a folder.

    Printed is how often that is said by one that did not learn from the record or group: where it is so, where the
    later one says the same, and where it leaves the other standing (of a group, its nearest neighbour).
    """
    from encoders import contradictions

    asked = list(contradictions(groups, Path(os.environ["MEMEDIT_DATA"])))
    embedder = default_embedder()
    later, earlier = (embedder.embed([Fact(pair[at]).key_text for _, pair, _ in asked]) for at in (0, 1))
    pairs = [pair for _, pair, _ in asked]
    read = shipped_judge().logits([(f"{LATER}{one}", other) for one, other in pairs])
    rows = statements.features(pairs, (later * earlier).sum(axis=1), read)
    said = np.array([role for _, _, role in asked])
    names = sorted({source for source, _, _ in asked})
    fold = np.array([names.index(source) % 5 for source, _, _ in asked])
    likely = np.zeros(len(asked))
    costs = np.ones(len(asked), dtype=np.float32)
    for part in range(5):
        rest = fold != part
        network = fit_members(rows[rest], said[rest], costs[rest], seed=0)
        likely[~rest] = network.probabilities(rows[~rest])[:, statements.CONTRADICTS]
    unseen = tuple(["0 test", *(f"2 {group.name}" for group in read_groups([shipped("dev")]))])
    for kind, begin in (
        ("pairs", "0 "),
        ("counterfact", "1 "),
        ("groups", "2 "),
        ("unseen pairs", "0 test"),
        ("unseen groups", "2 "),
    ):
        of = np.array([source.startswith(begin) for source, _, _ in asked])
        if kind.startswith("unseen"):
            of &= np.array([source.startswith(unseen) for source, _, _ in asked])
        for role, name in enumerate(("other", "contradicts", "same")):
            found = likely[of & (said == role)]
            shares = (f"from {at}: {_share(found >= at)}" for at in (LIKELY, SURE))
            if len(found):
                print(f"{kind:14}{name:12} n {len(found):5}", *shares)
    network = fit_members(rows, said, costs, seed=0)
    arrays = packed("statements", network) | {"temperature": np.float32(network.temperature)}
    np.savez_compressed(into / statements.FILE, allow_pickle=False, **arrays)


def scope(groups: Sequence[Group], asked: argparse.Namespace) -> None:
    """What is let through and what is left in doubt, one memory a group."""
    rows = []
    baseline = asked.gate in BASELINES
    judge = None if baseline else as_gate(asked.gate)
    for group in groups:
        texts = {edit.id: edit.text for edit in group.edits}
        with opened(asked) as memory:
            for _ in memory.add_many(group.edits, on_conflict="keep"):
                pass
            llm = contender(asked.gate)(FakeLLM(), memory) if baseline else EditableLLM(FakeLLM(), memory, gate=judge)
            for message in group.messages[:: asked.every]:
                said = read_conversation(message.turns)
                (hits,) = llm.recall("default", [Recall(said.query, whole=said.whole)])
                rows.append(_row(message, hits.verdicts) | {"languages": languages(message, texts)})
    report(rows, by_language=asked.by_language)
    if asked.json:
        asked.json.write_text(json.dumps(rows), encoding="utf-8")


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
        print(f"  at {rate:.1%} false fires: recall {_share(row['right'] > at for row in inside)} (threshold {at:.3f})")
    print(
        f"  as shipped: recall {_share(row['passed right'] for row in inside)}, "
        f"false fires {_share(row['passed wrong'] for row in outside)}, "
        f"right edit first {_share(row['first'] for row in inside)}"
    )
    print(
        f"  shown to a capable model: right edit {_share(row['shown right'] for row in inside)}, "
        f"{np.mean([row['shown'] for row in inside]):.2f} notes a message; "
        f"out of scope none {_share(not row['shown'] for row in outside)}"
    )
    print(
        f"  asked of a perfect model: recall {_share(row['shown right'] for row in inside)}, "
        f"false fires {_share(row['surely wrong'] for row in outside)}, "
        f"a call for {_share(row['asked'] for row in rows)}"
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
            f"at 5 % {_share(row[one] > at for row in found)}",
            f"as shipped {_share(row[f'passed {one}'] for row in found)}",
            f"shown {_share(row[f'shown {one}'] for row in found)}",
            f"surely wrong {_share(row['surely wrong'] for row in found)}",
        )
        print(f"    {side:4}{kind:18}", "  ".join(shares), f"  n {len(found)}")


def _records(files: Iterable[Path]) -> list[Row]:
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def _share(holding: Iterable[bool]) -> str:
    counted = list(holding)
    found = Share(sum(counted), len(counted))
    low, high = found.interval
    return f"{100 * found.value:.1f} ({100 * low:.0f}–{100 * high:.0f})"


def fit_weighing(groups: Sequence[Group]) -> None:
    """Fit how evidence and judge are weighed, and write it beside the encoders that come with memedit."""
    from gate_sets import training_sets

    gate = reading()
    everyday = read_messages(gate, groups)
    print(len(everyday), "everyday messages", flush=True)
    others = []
    for scope_set in training_sets(Path(os.environ["MEMEDIT_DATA"])):
        if scope_set.name in ASKED:
            places = set(
                random.Random(0).sample(
                    range(len(scope_set.questions)), min(ASKED[scope_set.name], len(scope_set.questions))
                )
            )
            others += read_scope_set(gate, scope_set, places.__contains__)
            print(scope_set.name, len(others), flush=True)
    if kept := os.environ.get("KEEP"):
        Path(kept).write_bytes(pickle.dumps((everyday, others)))
    found, _ = fit(everyday, others)
    card = {
        "everyday messages": len(everyday),
        "other questions": len(others),
        "groups": sorted({one.group for one in everyday}),
    }
    found = replace(found, card=card)
    weighing.save(found, shipped_folder())
    print(json.dumps(json.loads((shipped_folder() / CARD).read_text())["weighing"], indent=1))


ASKED = {"dune": 900}
"""Of benchmarks whose edits are plain statements, how many questions; structured Facts are decided by the evidence."""

if __name__ == "__main__":
    main()
