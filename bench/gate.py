"""The gate's evidence: trained anew, and measured on relations and subjects it was not trained on.

export MEMEDIT_DATA=…
python bench/gate.py train memedit/data/gate --judged bench/out/judged.pkl
python bench/gate.py show bench/out/judged.pkl
python bench/gate.py compare bench/out/judged.pkl --cross-encoder bench/out/cross_encoder
python bench/gate.py scale --sizes 1000,10000,100000
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import bm25s
import torch
from gate_sets import COUNTERFACT, cases, crowd, data_hashes, training_sets

from memedit.edits import Fact
from memedit.embedders import default_embedder
from memedit.eval.gates import GateScores, scores
from memedit.eval.scopes import scope_set
from memedit.eval.stats import Share, auroc, average_precision
from memedit.gate import as_gate
from memedit.gate.focus import focus
from memedit.gate.learning.evidence import train
from memedit.gate.learning.judging import Judged, judge
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.index.mentions import MentionIndex
from memedit.text import words

LEVELS, AS_MANY = [at / 100 for at in range(10, 100)], 0.005
"""Thresholds to try from the lowest up, until so few neighbours have a wrong edit let through."""
TITLES = {"relation": "relations and subjects never trained on", "subject": "in distribution: relations seen"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("out", type=Path)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--judged", type=Path, help="where the cross-fitted judgements are kept")
    command.set_defaults(run=training)
    command = commands.add_parser("show")
    command.add_argument("judged", type=Path)
    command.set_defaults(run=show)
    command = commands.add_parser("compare")
    command.add_argument("judged", type=Path)
    command.add_argument("--cross-encoder", help="the folder of one; left out when not given")
    command.add_argument("--questions", type=int, default=150, help="of each group of each set")
    command.set_defaults(run=compare)
    command = commands.add_parser("scale")
    command.add_argument("--sizes", default="1000,10000,100000")
    command.set_defaults(run=scale)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run(options)


def training(options: argparse.Namespace) -> None:
    """Train on everything; judge by cross-fitting, with parts of the relations and with parts of the subjects."""
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {text}", flush=True)

    sets = training_sets(_data(), seed=options.seed)
    say(", ".join(f"{one.name}: {len(one.edits)} edits, {len(one.questions)} questions" for one in sets))
    embedder = default_embedder()
    made = train(sets, embedder, seed=options.seed, progress=say)
    replace(made.scorer, card=card(made.judged, made.scorer.thresholds, options.seed)).save(options.out)
    if options.judged:
        options.judged.parent.mkdir(parents=True, exist_ok=True)
        options.judged.write_bytes(pickle.dumps({"relation": made.judged, "subject": made.judged_seen}))


def card(judged: Sequence[Judged], thresholds: Mapping[str, float], seed: int) -> dict[str, object]:
    """What stands beside the weights: how they were made, from what, and how good they were on new relations."""
    found = scores(judged, direct=thresholds["direct"], bridge=thresholds["bridge"])
    return {
        "memedit": version("memedit"),
        "recipe": f"bench/gate.py train, seed {seed}, 4 folds of relations",
        "data": data_hashes(_data()),
        "scores on relations and subjects never trained on": {
            "groups": [
                {
                    "set": one.set,
                    "group": one.group,
                    "n": one.questions,
                    "right": _value(one.direct),
                    "wrong": _value(one.false_fires),
                }
                for one in found.groups
            ],
            "pairs": [one.to_dict() for one in found.pairs],
        },
    }


def _value(share: Share) -> float | None:
    return round(share.value, 4) if share.of else None


def show(options: argparse.Namespace) -> None:
    """The table of what was judged by cross-fitting."""
    thresholds = as_gate("evidence").thresholds
    for kind, judged in pickle.loads(options.judged.read_bytes()).items():
        found = scores(judged, direct=thresholds["direct"], bridge=thresholds["bridge"])
        print(f"\n{TITLES[kind]}, {found.thresholds}\n\n{table(found)}")


def table(found: GateScores) -> str:
    """Markdown: one line a group, and one a set for all its pairs."""
    lines = ["| set | questions | n | right edit let through | wrong edit let through |", "|---|---|---|---|---|"]
    for one in found.groups:
        right = one.direct if one.direct.of else one.bridge
        lines.append(f"| {one.set} | {one.group} | {one.questions} | {right if right.of else ''} | {one.false_fires} |")
    lines += ["", "| set | pairs | AUROC | AP | ECE |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.set} | {one.pairs} | {one.auroc:.4f} | {one.average_precision:.4f} | {one.calibration_error:.4f} |"
        for one in found.pairs
    ]
    return "\n".join(lines)


def compare(options: argparse.Namespace) -> None:
    """AUROC and AP of several scores on the same pairs, our gate's from cross-fitting over relations."""
    sets = {one.name: one for one in training_sets(_data()) if not one.only_training}
    judged = pickle.loads(options.judged.read_bytes())["relation"]
    embedder = default_embedder()
    print("| set | pairs | this gate | cosine (SERAC's embedding) | cross-encoder | BM25 |\n|---|---|---|---|---|---|")
    for name, one in sets.items():
        some = _some([found for found in judged if found.set == name], options.questions)
        edits = {edit.id: edit for edit in one.edits}
        pairs = [
            (found, at, edit_id)
            for found in some
            for at, edit_id in enumerate(found.candidates)
            if edit_id not in found.bridges | found.unsure
        ]
        truth = [edit_id in found.direct for found, _, edit_id in pairs]
        asked = {found.question: focus((("user", found.question),)).query for found, _, _ in pairs}
        keys = {edit_id: edits[edit_id].key_text for _, _, edit_id in pairs}
        texts = list(dict.fromkeys([*asked.values(), *keys.values()]))
        vectors = dict(zip(texts, embedder.embed(texts), strict=True))
        columns = [
            [float(found.probabilities[at, 0]) for found, at, _ in pairs],
            [float(vectors[asked[found.question]] @ vectors[keys[edit_id]]) for found, _, edit_id in pairs],
            _crossed(options.cross_encoder, one, some, pairs),
            _lexical(asked, keys, [(found.question, edit_id) for found, _, edit_id in pairs]),
        ]
        cells = " | ".join(
            f"{auroc(truth, column):.4f} / {average_precision(truth, column):.4f}" if column else ""
            for column in columns
        )
        print(f"| {name} | {len(pairs)} | {cells} |", flush=True)


def _crossed(
    folder: str | None, whole: ScopeSet, some: Sequence[Judged], pairs: Sequence[tuple[Judged, int, str]]
) -> list[float]:
    if folder is None:
        return []
    asked = {one.question for one in some}
    needed = {edit_id for _, _, edit_id in pairs}
    part = ScopeSet(
        whole.name,
        tuple(edit for edit in whole.edits if edit.id in needed),
        tuple(question for question in whole.questions if question.text in asked),
    )
    said = {
        (one.question, edit_id): float(row[0])
        for one in judge(as_gate(folder), part, default_embedder())
        for edit_id, row in zip(one.candidates, one.probabilities, strict=True)
    }
    return [said.get((found.question, edit_id), 0.0) for found, _, edit_id in pairs]


def _lexical(asked: dict[str, str], keys: dict[str, str], pairs: Sequence[tuple[str, str]]) -> list[float]:
    names = list(keys)
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(list(keys.values()), show_progress=False), show_progress=False)
    place = {name: at for at, name in enumerate(names)}
    found = {
        text: retriever.get_scores(bm25s.tokenize(query, return_ids=False, show_progress=False)[0])
        for text, query in asked.items()
    }
    return [float(found[text][place[edit_id]]) for text, edit_id in pairs]


def scale(options: argparse.Namespace) -> None:
    """CounterFact's probes with ever more edits in memory, none of which shares subject and relation with another."""
    data, sizes = _data(), sorted(map(int, options.sizes.split(",")))
    official = scope_set("counterfact", cases(data, "counterfact", *COUNTERFACT))
    embedder, gate = default_embedder(), as_gate("evidence")
    edits, origin = crowd(data, sizes[-1])
    questions = _with_namesakes(official.questions, edits)
    print(f"{dict(origin)}\n\n| edits in memory | threshold | efficacy | paraphrase | neighbourhood, wrong |")
    print("|---|---|---|---|---|")
    for size in sizes:
        judged = judge(gate, ScopeSet("counterfact", tuple(edits[:size]), questions), embedder)
        bridge = gate.thresholds["bridge"]
        even = next((at for at in LEVELS if _probes(judged, at, bridge)[-1].value <= AS_MANY), LEVELS[-1])
        for at in (gate.thresholds["direct"], even):
            print(f"| {size} | {at:.2f} | {' | '.join(map(str, _probes(judged, at, bridge)))} |", flush=True)


def _probes(judged: Sequence[Judged], direct: float, bridge: float) -> tuple[Share, Share, Share]:
    """Right edit prompts, right paraphrases, and neighbours that a wrong edit is let through for."""
    groups = {one.group: one for one in scores(judged, direct=direct, bridge=bridge).groups}
    return groups["efficacy"].direct, groups["paraphrase"].direct, groups["neighbourhood"].false_fires


def _with_namesakes(questions: Sequence[Question], edits: Sequence[Fact]) -> tuple[Question, ...]:
    """The questions with every edit as unsure whose subject they name and which does not answer them."""
    mentions = MentionIndex()
    for fact in edits:
        mentions.put(fact.id, [" ".join(words(name)) for name in fact.names])
    return tuple(
        replace(one, unsure=one.unsure | (set(mentions.find(words(one.text), len(edits))) - one.direct))
        for one in questions
    )


def _data() -> Path:
    return Path(os.environ["MEMEDIT_DATA"])


def _some(judged: Sequence[Judged], most: int) -> list[Judged]:
    rng = random.Random(0)
    groups = defaultdict(list)
    for one in judged:
        groups[one.group].append(one)
    return [one for group in groups.values() for one in rng.sample(group, min(most, len(group)))]


if __name__ == "__main__":
    main()
