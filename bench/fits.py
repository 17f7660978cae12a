"""Fits what stands beside the encoders that come with memedit, and writes it among them.

python bench/fits.py thresholds FILE...  from which the judge lets through, and leaves in doubt
    with --deep BASE: the deep judge; with --share 0.25: by a quarter of the messages
python bench/fits.py governing FILE...   which texts govern every answer, beside statements
python bench/fits.py statements FILE...  which later statements take an earlier one's place; needs MEMEDIT_DATA
python bench/fits.py standing FILE...    what standing instructions look like to MiniLM

Files of everyday messages. Printed is what is found of groups that were left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from encoders import contradictions
from everyday import share

from memedit import Fact
from memedit.embedders import default_embedder
from memedit.encoder.deep import deep_folder, deep_judge
from memedit.encoder.graph import shipped_folder
from memedit.encoder.judge import Judge, shipped_judge
from memedit.encoder.network import packed
from memedit.eval.benchmarks.everyday import shipped
from memedit.gate import thresholds
from memedit.gate.learning import governing as learning_governing
from memedit.gate.learning import standing
from memedit.gate.learning.apart import apart_from, small_talk
from memedit.gate.learning.messages import read_groups
from memedit.gate.learning.network import fit_members
from memedit.gate.learning.thresholds import chosen, read_messages, reading
from memedit.memory import governing, statements
from memedit.memory.contradictions import LIKELY, SURE, by_words, weighed
from memedit.memory.standing import FILE
from memedit.memory.statements import LATER
from memedit.text.language import language_of

EACH = 16
"""Messages of small talk, and of other groups, that each group's statements are read beside."""
FOREIGN = 3.0
"""For how many an ordinary statement that is not in English stands: two in five instructions are not."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("thresholds", "governing", "statements", "standing"))
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, help="where what is learned is written; among what is shipped if left out")
    parser.add_argument("--deep", help="the wider encoder, a folder or hub id")
    parser.add_argument("--share", type=float, default=1.0, help="of the messages, drawn")
    asked = parser.parse_args()
    if asked.what == "thresholds":
        judge = deep_judge(asked.deep) if asked.deep else None
        return fit_thresholds(
            asked.files, asked.into or (deep_folder() if judge else shipped_folder()), judge, asked.share
        )
    fits = {
        "governing": fit_governing,
        "statements": fit_statements,
        "standing": fit_standing,
    }
    fits[asked.what](asked.files, asked.into or shipped_folder())


def fit_thresholds(files: Sequence[Path], into: Path, judge: Judge | None = None, share: float = 1.0) -> None:
    """Choose the temperature of a judge's readings, what the manner of a message adds, and thresholds."""
    told, drawn = read_groups(files), random.Random(0)
    groups = [replace(group, messages=tuple(one for one in group.messages if drawn.random() < share)) for group in told]
    talk = small_talk(shipped("small_talk"), "dev")
    groups += [replace(group, messages=tuple(apart_from(group, told, talk, EACH, drawn))) for group in told]
    read = read_messages(reading(judge), groups)
    found = replace(chosen(read), card={"messages": len(read), "groups": [group.name for group in told]})
    thresholds.save(found, into)
    print(json.dumps(asdict(found), indent=1))


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
    print(f"taken to govern every answer: {share(found[always])} of those that do,")
    print(f"{share(found[~always])} that sound like it, {share(rows(left) @ weights >= least)} of other statements")


def fit_statements(files: Sequence[Path], into: Path) -> None:
    """Learn which later statements take an earlier one's place, and write it into a folder.

    Printed is how often that is said by one that did not learn from the record or group: where it is so, where the
    later one says the same, and where it leaves the other standing (of a group, its nearest neighbour).
    """
    asked = list(contradictions(read_groups(files), Path(os.environ["MEMEDIT_DATA"])))
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
    likely = np.array([
        weighed(*pair, told) if (surely := by_words(*pair)) is None else surely
        for pair, told in zip(pairs, likely, strict=True)
    ])  # fmt: skip
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
            shares = (f"from {at}: {share(found >= at)}" for at in (LIKELY, SURE))
            if len(found):
                print(f"{kind:14}{name:12} n {len(found):5}", *shares)
    network = fit_members(rows, said, costs, seed=0)
    arrays = packed("statements", network) | {"temperature": np.float32(network.temperature)}
    np.savez_compressed(into / statements.FILE, allow_pickle=False, **arrays)


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
    print("proposed:", share(proposed[is_standing]), "of standing instructions,", share(proposed[~is_standing]), "else")
    standing.save(*standing.fit(vectors, is_standing), into / FILE)


def _records(files: Iterable[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
