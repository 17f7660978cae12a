"""Trains the encoders that come with memedit, and writes them as they are shipped.

    MEMEDIT_DATA=… python bench/encoders.py finder FOLDER       --base FOLDER, or shipped, to go on from
    MEMEDIT_DATA=… python bench/encoders.py judge FOLDER        --minutes for longer than the recipe says; --processes 2
        for two that train together; --also FILE --older 0.3 for new groups above all
    python bench/encoders.py mean FOLDER --of shipped FOLDER --by 35 65     of the weights of two judges or more
    python bench/encoders.py export FOLDER memedit/data/encoders
    python bench/encoders.py judge FOLDER --base MPNET --beside shipped --held 3 --rate 7e-5 --processes 2
    python bench/encoders.py change FOLDER memedit/data/encoders/deep --base MPNET    what it learned, for the deep one

`bench/fits.py thresholds` then chooses the judge's thresholds. Learned from are the part `train` of
everyday; for the finder also CANARD (follow-ups and the question that stands alone), QNLI (questions and sentences) and
MQuAKE's scope pairs; for the judge also QNLI, XQuAD (the same in twelve languages) and pairs of the files that the
evidence was trained on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gate_sets import training_sets
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from memedit.edits import AnyEdit, Fact
from memedit.embedders import default_embedder
from memedit.embedders.finder import load_finder, load_minilm
from memedit.embedders.folders import bundled_folder
from memedit.encoder.change import CHANGE, Change, write_change
from memedit.encoder.deep import deep_judge
from memedit.encoder.export import Labelled, Pooled, check_shared, write_card, write_graph, write_words
from memedit.encoder.judge import shipped_judge
from memedit.eval.benchmarks.everyday import shipped
from memedit.gate.conversation import read_conversation
from memedit.gate.learning import apart, finder, judge
from memedit.gate.learning.encoding import SHIPPED, encoder, save
from memedit.gate.learning.messages import Group, read_groups
from memedit.gate.learning.scope_sets import DIRECT, OUT, Question, ScopeSet
from memedit.gate.roles import LABELS
from memedit.index.mentions import LONGEST_NAME
from memedit.memory.statements import CONTRADICTS, OTHER, SAME
from memedit.text import same_key, words

FOLLOW_UPS, SCOPE_PAIRS, EARLIER, COUNTERFACTUAL = 1_500, 2_000, 4, 250
SHORT, ORDINARY = 160, 350
SENTENCE_ENDS = ".?!。؟।"
QUESTIONS = {
    "counterfact": 900, "counterfact queries": 500, "zsre": 1_200, "wiki_counterfact": 700, "wiki_recent": 500,
    "mquake 2002": 900, "dune": 700, "fever_symmetric": 250, "counterfact flat": 300, "mquake edits": 300,
    "trex": 900, "aliases": 300, "everyday": 700,
}  # fmt: skip
"""Of each scope set, that the judge learns from; shared out among its groups, at least 60 of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("finder", "judge", "mean", "export", "change"))
    parser.add_argument("folder", type=Path, help="of the trained models, `finder` and `judge`")
    parser.add_argument("into", type=Path, nargs="?")
    parser.add_argument("--base", help="folder of a model to go on from, or `shipped`")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--rate", type=float, help="of learning, of the judge; a wider encoder wants a lower one")
    parser.add_argument("--beside", help="a judge that it learns of too: `shipped`, or the base of the deep one")
    parser.add_argument("--held", type=int, default=0, help="lowest layers that are not trained")
    parser.add_argument("--rank", type=int, default=64, help="of a change")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--also", nargs="*", type=Path, default=[], help="further files of everyday messages")
    parser.add_argument("--older", type=float, default=1.0, help="share of the other messages that is learned from")
    parser.add_argument("--processes", type=int, default=1, help="that train the judge together")
    parser.add_argument("--of", nargs="+", default=[], help="folders, or `shipped`, whose judges' mean is taken")
    parser.add_argument("--by", nargs="+", type=float, default=[], help="for how much each of these counts")
    parser.add_argument("--seed", type=int, default=0, help="of the judge's draws and their order")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.set_num_interop_threads(1)
    if asked.what == "export":
        return export(asked.folder, asked.into)
    if asked.what == "change":
        return change(asked.base, asked.folder / "judge", asked.into, asked.rank)
    if asked.what == "mean":
        return mean(asked.of, asked.by, asked.folder / "judge")
    if asked.what == "judge":
        if asked.processes == 1:
            return train_judge(asked)
        asked.folder.mkdir(parents=True, exist_ok=True)
        (asked.folder / "met").unlink(missing_ok=True)  # of a run that was stopped: nobody would ever be met there
        return torch.multiprocessing.spawn(train_together, (asked,), nprocs=asked.processes)
    groups = read_groups([shipped("train"), *asked.also])
    return train_finder(groups, asked.folder, Path(os.environ["MEMEDIT_DATA"]), asked.base, asked.minutes)


def train_finder(
    groups: Sequence[Group], folder: Path, data: Path, base: str | None, minutes: float | None
) -> None:  # fmt: skip
    pairs = [*follow_ups(data), *answered(qnli(data)), *scope_pairs(data)]
    recipe = finder.Recipe() if minutes is None else finder.Recipe(minutes=minutes)
    finder.train(groups, folder / "finder", pairs=pairs, base=base, recipe=recipe)


def train_together(rank: int, asked: argparse.Namespace) -> None:
    """One of the processes that train the judge, each with draws of its own."""
    torch.set_num_threads(asked.threads)
    met = f"file://{asked.folder.absolute()}/met"
    torch.distributed.init_process_group("gloo", init_method=met, rank=rank, world_size=asked.processes)
    asked.seed += rank
    train_judge(asked)
    torch.distributed.destroy_process_group()


def train_judge(asked: argparse.Namespace) -> None:
    data, groups, fresh = Path(os.environ["MEMEDIT_DATA"]), read_groups([shipped("train")]), read_groups(asked.also)
    questions = [(one["question"], one["sentence"], DIRECT if _entails(one) else OUT) for one in qnli(data)]
    pairs = [*questions, *across_languages(data)]
    pairs += [pair for scope_set in training_sets(data) for pair in judged_pairs(scope_set)]
    embed = {"embed_messages": load_finder().embed, "embed_edits": load_minilm().embed}
    talk = apart.small_talk(shipped("small_talk"), "train")
    unrelated = list(apart.pairs([*groups, *fresh], talk, **embed, judge=shipped_judge(), seed=asked.seed))
    recipe = judge.Recipe(seed=asked.seed, older=asked.older, held=asked.held)
    beside = shipped_judge() if asked.beside == SHIPPED else deep_judge(asked.beside) if asked.beside else None
    given = {"minutes": asked.minutes, "rate": asked.rate}
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    found_by = asked.folder / "finder"
    judge.train(
        groups, asked.folder / "judge", finder=found_by if found_by.exists() else None, pairs=pairs, apart=unrelated,
        statements=[*statements("train"), *counterfactual_statements(data)], fresh=fresh,
        instructions=[*instructions("train"), *ordinary([*groups, *fresh])], base=asked.base, beside=beside,
        recipe=recipe,
    )  # fmt: skip


def mean(of: Sequence[str], by: Sequence[float], into: Path) -> None:
    """Write the mean of judges that grew from one (model soups, Wortsman et al. 2022, arXiv:2203.05482)."""
    read = [one if one == SHIPPED else Path(one) / "judge" for one in of]
    models = [encoder(one, AutoModelForSequenceClassification, num_labels=len(LABELS))[0] for one in read]
    shares = torch.tensor(by or [1.0] * len(of)) / sum(by or [1.0] * len(of))
    states = [model.state_dict() for model in models]
    for name, own in states[0].items():
        if not all(torch.equal(own, one[name]) for one in states):  # the word embeddings stay as they are, bit by bit
            states[0][name] = torch.tensordot(shares, torch.stack([one[name] for one in states]), 1)
    models[0].load_state_dict(states[0])
    save(models[0], AutoTokenizer.from_pretrained(str(bundled_folder())), into)


def export(folder: Path, into: Path) -> None:
    """Write the encoders of a folder as they are shipped; of those that it lacks, what `into` holds stays."""
    if not any((folder / name).exists() for name in ("finder", "judge")):
        raise SystemExit(f"{folder} holds neither a finder nor a judge")
    into.mkdir(parents=True, exist_ok=True)
    eager = {"attn_implementation": "eager"}
    bundled = str(bundled_folder())
    minilm = AutoModel.from_pretrained(bundled, **eager).eval()
    if not (into / "minilm.onnx").exists():
        write_words(minilm, AutoTokenizer.from_pretrained(bundled), into)
        write_graph(Pooled(minilm), into / "minilm.onnx")
    for name, kind, whole in (
        ("finder", AutoModel, Pooled),
        ("judge", AutoModelForSequenceClassification, Labelled),
    ):
        if (folder / name).exists():
            model = kind.from_pretrained(str(folder / name), **eager).eval()
            check_shared(minilm, model)
            write_graph(whole(model), into / f"{name}.onnx")
    print(write_card(into), sum(file.stat().st_size for file in into.iterdir()) / 1e6, "MB")


def change(base: str, tuned: Path, into: Path, rank: int) -> None:
    """Write what an encoder learned as a change of the one that it grew from."""
    model = AutoModelForSequenceClassification.from_pretrained(str(tuned))
    body = AutoModel.from_pretrained(base).state_dict()
    before = {f"{model.base_model_prefix}.{name}": weight.numpy() for name, weight in body.items()}
    after = {name: weight.numpy() for name, weight in model.state_dict().items()}
    into.mkdir(parents=True, exist_ok=True)
    write_change(Change.between(before, after, rank), into / CHANGE)
    print(write_card(into))


def follow_ups(data: Path) -> Iterator[tuple[str, str]]:
    """Of CANARD: a follow-up with what was said before it, and the question that stands alone."""
    records = list(_lines(data / "question_sentence/canard_dev.jsonl"))
    for one in random.Random(0).sample(records, FOLLOW_UPS):
        earlier = one["History"][-EARLIER:]
        roles = ["user", "assistant"] if len(earlier) % 2 == 0 else ["assistant", "user"]
        turns = [(roles[at % 2], said) for at, said in enumerate(earlier)]
        yield read_conversation([*turns, ("user", one["Question"])]).whole, one["Rewrite"]


def qnli(data: Path) -> list[dict[str, Any]]:
    return list(_lines(data / "question_sentence/qnli_dev.jsonl"))


def statements(part: str) -> Iterator[judge.Pair]:
    """Of the pairs of statements: a later one, an earlier one, and what the one is to the other."""
    for one in _lines(shipped("statements")):
        if one["part"] == part:
            for name, said in (("other", OTHER), ("contradicts", CONTRADICTS), ("same", SAME)):
                yield from ((later, one["earlier"], said) for later in one[name])
            yield from ((one["earlier"], later, SAME) for later in one["same"])


def instructions(part: str) -> Iterator[tuple[str, bool]]:
    """Statements, and whether each says how every message is to be answered."""
    return ((one["statement"], one["always"]) for one in _lines(shipped("instructions")) if one["part"] == part)


def ordinary(groups: Sequence[Group]) -> list[tuple[str, bool]]:
    """Some statements of groups, none of which governs everything."""
    short = [edit.text for group in groups for edit in group.edits if len(edit.text) < SHORT]
    return [(text, False) for text in random.Random(5).sample(short, ORDINARY)]


def counterfactual_statements(data: Path) -> Iterator[judge.Pair]:
    """Of CounterFact, as `statements`: what was true, then the edit, both in two wordings; and what stands beside."""
    records = list(_lines(data / "counterfact/counterfact_easyedit.jsonl"))
    for one in random.Random(2).sample(records, COUNTERFACTUAL):
        before, after = one["ground_truth"], one["target_new"]
        otherwise = one["rephrase_prompt"].rpartition(". ")[2]
        earlier = f"{one['prompt']} {before}."
        yield f"{one['prompt']} {after}.", earlier, CONTRADICTS
        yield f"{otherwise} {after}.", earlier, CONTRADICTS
        yield f"{otherwise} {before}.", earlier, SAME
        yield f"{one['locality_prompt']} {one['locality_ground_truth']}.", earlier, OTHER
    rewrites = [one["requested_rewrite"] for one in _lines(data / "counterfact/counterfact_sample500.jsonl")]
    rng = random.Random(3)
    for one in rewrites[:COUNTERFACTUAL]:  # another property of the same subject
        others = rng.sample([other for other in rewrites if other["relation_id"] != one["relation_id"]], 4)
        said = [
            f"{rewrite['prompt'].format(one['subject'])} {rewrite['target_new']['str']}." for rewrite in (one, *others)
        ]
        yield from ((later, said[0], OTHER) for later in said[1:])


def contradictions(groups: Sequence[Group], data: Path) -> Iterator[tuple[str, tuple[str, str], int]]:
    """All pairs of statements that tell what a later one is to an earlier one: source, pair, and what it is."""
    for part in ("train", "test"):
        for at, (later, earlier, said) in enumerate(statements(part)):
            yield f"0 {part} {at // 11}", (later, earlier), said  # as good as by record: each gives eleven
    for at, (later, earlier, said) in enumerate(counterfactual_statements(data)):
        yield f"1 {at // 4}", (later, earlier), said
    embedder = default_embedder()
    for group in groups:
        held = {edit.id: edit for edit in group.edits}
        ids = list(held)
        vectors = embedder.embed([edit.key_text for edit in group.edits])
        linked = {*group.replaced.items(), *((earlier, later) for later, earlier in group.replaced.items())}
        for later, earlier in group.replaced.items():
            yield f"2 {group.name}", (held[later].text, held[earlier].text), CONTRADICTS
        for one, near in zip(ids, np.argsort(-(vectors @ vectors.T), axis=1), strict=True):
            others = [ids[at] for at in near if ids[at] != one and (one, ids[at]) not in linked]
            yield f"2 {group.name}", (held[one].text, held[others[0]].text), OTHER


def answered(questions: Sequence[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Of QNLI: questions, and the sentence that answers each."""
    return ((one["question"], one["sentence"]) for one in questions if _entails(one))


def across_languages(data: Path) -> Iterator[judge.Pair]:
    """Of XQuAD: questions in any language, with the sentence that answers, and one that does not."""
    rng = random.Random(4)
    for one in _lines(data / "question_sentence/xquad.jsonl"):
        for asked in one["qas"]:
            for language in rng.sample(sorted(asked["question"]), 3):
                told = "en" if rng.random() < 0.7 else rng.choice(sorted(asked["question"]))
                context, answer = one["context"][told], asked["answer"][told]
                start, end = _sentence(context, answer["answer_start"])
                yield asked["question"][language].strip(), context[start:end].strip(), DIRECT
                beside = context[:start] if start > len(context) / 2 else context[end:]
                if beside.strip():
                    start, end = _sentence(beside, rng.randrange(len(beside)))
                    yield asked["question"][language].strip(), beside[start:end].strip(), OUT


def _sentence(text: str, at: int) -> tuple[int, int]:
    """Where the sentence around a place begins and ends."""
    ends = [
        place + 1
        for place, sign in enumerate(text)
        if sign in SENTENCE_ENDS and not text[place + 1 : place + 2].strip()
    ]
    return max((end for end in ends if end <= at), default=0), min((end for end in ends if end > at), default=len(text))


def scope_pairs(data: Path) -> Iterator[tuple[str, str]]:
    """Of MQuAKE: a question in scope of an edit, and the edit as the index holds it."""
    rng = random.Random(0)
    for one in list(_lines(data / "mquake/mquake_scope_train.jsonl"))[:SCOPE_PAIRS]:
        yield rng.choice(one["questions"]), Fact(one["edit"]).key_text


def judged_pairs(scope_set: ScopeSet) -> Iterator[judge.Pair]:
    """Questions with the edits that bear on them, and edits of the same subject or relation that do not."""
    rng = random.Random(1)
    held = {edit.id: edit for edit in scope_set.edits}
    named, related, groups = defaultdict(list), defaultdict(list), defaultdict(list)
    for edit in scope_set.edits:
        related[edit.relation_text].append(edit)
        for name in edit.names:
            named[same_key(name)].append(edit)
    for question in scope_set.questions:
        groups[question.group].append(question)
    for asked in groups.values():
        for question in rng.sample(asked, min(len(asked), max(QUESTIONS[scope_set.name] // len(groups), 60))):
            right = [held[one] for one in sorted(question.direct | question.bridges) if one in held]
            for edit in rng.sample(right, min(2, len(right))):
                yield question.text, edit.text, question.role(edit.id)
            beside = related[right[0].relation_text] if right else []
            pools = ((_named(question, named), 2), (beside, 1), (scope_set.edits, 2))
            wrong: dict[str, AnyEdit] = {}
            for pool, most in pools:
                out = [edit for edit in pool if question.role(edit.id) == OUT and edit.id not in wrong]
                take = most if pool is not scope_set.edits else max(0, 2 - len(wrong))
                wrong |= {edit.id: edit for edit in rng.sample(out, min(take, len(out)))}
            yield from ((question.text, edit.text, OUT) for edit in wrong.values())


def _named(question: Question, named: dict[str, list[AnyEdit]]) -> list[AnyEdit]:
    said = words(question.text)
    spans = ((start, end) for start in range(len(said)) for end in range(start + 1, start + LONGEST_NAME + 1))
    return [
        edit for start, end in spans if end <= len(said) for edit in named.get(same_key(" ".join(said[start:end])), ())
    ]


def _entails(record: dict[str, str]) -> bool:
    return str(record["label"]) in ("0", "entailment")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


if __name__ == "__main__":
    main()
