"""What the shipped gate is trained on: benchmark files whose licence allows it, and sets made of ParaRel's patterns.

CounterFact, zsRE, KnowEdit, MQuAKE, RippleEdits, DUNE and ParaRel are MIT; FEVER-Symmetric, VitaminC and T-REx are
CC BY-SA. Files without a licence of their own (UnKE, ECBD, Entity Inferences, language patches) are left out.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memedit.edits import SLOT, Fact
from memedit.eval.benchmarks.base import find_benchmark, read
from memedit.eval.cases import Case
from memedit.eval.scopes import scope_set
from memedit.gate.learning.everyday import everyday
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.text import same_key

COUNTERFACT = ("counterfact/counterfact_sample500.jsonl",)
FLAT = ("counterfact/counterfact_easyedit.jsonl",)
ZSRE = ("zsre/zsre_knowedit_test.jsonl", "zsre/zsre_eval_portability.jsonl", "zsre/zsre_mend_train_1k.jsonl")
DUNE = tuple(
    f"dune/{part}{end}.jsonl"
    for part in ("arithmetic", "scientific", "new_info", "debiasing_i", "debiasing_ii")
    for end in ("", "_locality")
)
CLAIMS = ("fact_verification/fever_symmetric_v0.2_dev.jsonl",)
MADE_OF = (
    "pararel/patterns.jsonl", "pararel/trex_lms_vocab.jsonl", "mquake/prompts/question_templates.json",
    "mquake/prompts/cloze_templates.json", "mquake/mquake_cf_3k.jsonl", "mquake/mquake_2002_case_ids.json",
    "mquake/mquake_hard.jsonl", "mquake/mquake_scope_train.jsonl", "counterfact/counterfact_postedit_queries.jsonl",
    "knowedit/wiki_counterfact_train.jsonl", "knowedit/wiki_recent_train.jsonl",
)  # fmt: skip
FILES = (*COUNTERFACT, *FLAT, *ZSRE, *DUNE, *CLAIMS, *MADE_OF)
CROWD = (("counterfact", COUNTERFACT), ("counterfact", FLAT), ("zsre", ZSRE))
PLAIN = 0.25  # share of the made edits that are bare statements
SUBJECTS = 3_500
FLAT_ASKED = 2_500  # cases of the flat file that are asked; all of them lie in memory


def training_sets(data: Path, *, seed: int = 0) -> list[ScopeSet]:
    """Every set, the measured ones first."""
    rng = random.Random(seed)
    flat = cases(data, "counterfact", *FLAT)
    official = cases(data, "counterfact", *COUNTERFACT)
    known = {case.id for case in official}
    some = rng.sample([case for case in flat if case.id not in known], FLAT_ASKED)
    with_subset = set(json.loads((data / "mquake/mquake_2002_case_ids.json").read_text()))
    mquake = [
        case
        for case in cases(data, "mquake", "mquake/mquake_cf_3k.jsonl")
        if int(case.id.partition(":")[2]) in with_subset
    ]
    return [
        scope_set("counterfact", official, fill=flat),
        scope_set(
            "counterfact queries",
            cases(data, "counterfact", "counterfact/counterfact_postedit_queries.jsonl"),
            fill=flat,
        ),
        scope_set("zsre", cases(data, "zsre", *ZSRE)),
        scope_set("wiki_counterfact", cases(data, "wiki_counterfact", "knowedit/wiki_counterfact_train.jsonl")),
        scope_set("wiki_recent", cases(data, "wiki_recent", "knowedit/wiki_recent_train.jsonl")),
        scope_set("mquake 2002", mquake),
        scope_set("dune", cases(data, "dune", *DUNE)),
        scope_set("fever_symmetric", cases(data, "fever_symmetric", *CLAIMS)),
        _training(scope_set("counterfact flat", some, fill=flat)),
        _training(scope_set("mquake edits", cases(data, "mquake", "mquake/mquake_scope_train.jsonl"))),
        trex(data, seed=seed),
        aliases(data, seed=seed),
        everyday(seed=seed),
    ]


def data_hashes(data: Path) -> dict[str, str]:
    """The sha256 of every file the sets are made of."""
    return {file: hashlib.sha256((data / file).read_bytes()).hexdigest() for file in FILES}


def patterns(data: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Clozes and questions by property id, of ParaRel and MQuAKE."""
    clozes: dict[str, list[str]] = defaultdict(list)
    questions: dict[str, list[str]] = defaultdict(list)
    for record in _lines(data / "pararel/patterns.jsonl"):
        pattern = record["pattern"].strip().rstrip(" .")
        cloze = pattern.removesuffix("[Y]").strip().replace("[X]", SLOT)
        if pattern.endswith("[Y]") and cloze.count(SLOT) == 1 and not cloze.endswith((" a", " an")):
            clozes[record["relation"]].append(cloze)
    for name, kept in (("question", questions), ("cloze", clozes)):
        for relation, template in json.loads((data / f"mquake/prompts/{name}_templates.json").read_text()).items():
            kept[relation].append(template.replace("[X]", SLOT).replace("__", "").strip().rstrip("."))
    for record in _lines(data / "mquake/mquake_cf_3k.jsonl"):
        for edit in record["requested_rewrite"]:
            clozes[edit["relation_id"]].append(edit["prompt"])
            if edit["question"].count(edit["subject"]) == 1:
                questions[edit["relation_id"]].append(edit["question"].replace(edit["subject"], SLOT))
    return _unique(clozes), _unique(questions)


def trex(data: Path, *, seed: int = 0) -> ScopeSet:
    """Facts of T-REx in ParaRel's wordings: half of what is known of a subject is in memory, all of it is asked, and so
    is what other subjects of its sort are asked."""
    rng = random.Random(seed)
    clozes, questions = patterns(data)
    facts: dict[str, dict[str, str]] = defaultdict(dict)
    for record in _lines(data / "pararel/trex_lms_vocab.jsonl"):
        if record["relation"] in clozes and record["sub_label"].strip():
            facts[record["sub_label"].strip()][record["relation"]] = record["obj_label"]
    beside = defaultdict(Counter)
    for relations in facts.values():
        for one in relations:
            beside[one].update(other for other in relations if other != one)
    subjects = list(facts)
    rng.shuffle(subjects)
    subjects.sort(key=lambda subject: len(facts[subject]) == 1)  # those of whom more is known first
    edits, asked = [], []
    for subject in subjects[:SUBJECTS]:
        relations = rng.sample(list(facts[subject]), len(facts[subject]))
        held = relations[: max(1, len(relations) // 2)]
        ids = {relation: f"trex-{len(edits) + at}" for at, relation in enumerate(held)}
        for relation, edit_id in ids.items():
            wordings = questions[relation] if relation in questions and rng.random() < 0.3 else clozes[relation]
            edits.append(_edit(subject, relation, rng.choice(wordings), facts[subject][relation], edit_id, rng))
        others = {*relations, *(one for relation in relations for one, _ in beside[relation].most_common(6))} - set(
            held
        )
        for relation in [*held, *held, *rng.sample(sorted(others), min(4, len(others)))]:
            text = _wording(relation, clozes, questions, rng).replace(SLOT, subject)
            right = frozenset(filter(None, [ids.get(relation)]))
            asked.append(Question(text, direct=right, group="paraphrase" if right else "same subject"))
    return ScopeSet("trex", tuple(edits), tuple(asked), only_training=True)


def aliases(data: Path, *, seed: int = 0) -> ScopeSet:
    """Things that MQuAKE and WikiData-recent know by several names, with an invented fact each."""
    rng = random.Random(seed)
    clozes, questions = patterns(data)
    names = other_names(data)
    things = [name for name in names if name[:1].isupper()]
    rng.shuffle(things)
    relations = sorted(clozes)
    strangers, things = things[: len(things) // 5], things[len(things) // 5 :]
    edits, asked = [], []
    for thing in things:
        relation, edit_id = rng.choice(relations), f"alias-{len(edits)}"
        edits.append(_edit(thing, relation, rng.choice(clozes[relation]), rng.choice(things), edit_id, rng))
        right = frozenset([edit_id])
        for alias in rng.sample(names[thing], min(2, len(names[thing]))):
            asked.append(
                Question(_wording(relation, clozes, questions, rng).replace(SLOT, alias), direct=right, group="alias")
            )
            if (other := rng.choice(relations)) != relation:
                asked.append(Question(rng.choice(clozes[other]).replace(SLOT, alias), group="same subject"))
        text = _wording(relation, clozes, questions, rng).replace(SLOT, rng.choice(strangers))
        asked.append(Question(text, group="neighbourhood"))
    return ScopeSet("aliases", tuple(edits), tuple(asked), only_training=True)


def other_names(data: Path) -> dict[str, list[str]]:
    """Further names of things, by name."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in (*_lines(data / "mquake/mquake_cf_3k.jsonl"), *_lines(data / "mquake/mquake_hard.jsonl")):
        found[record["answer"]].update(record["answer_alias"])
        found[record["new_answer"]].update(record["new_answer_alias"])
        for hop in (*record["single_hops"], *record["new_single_hops"]):
            found[hop["answer"]].update(hop["answer_alias"])
    for record in _lines(data / "knowedit/wiki_recent_train.jsonl"):
        for criteria in (record["portability"], record["locality"]):
            for query in (query for queries in criteria.values() for query in queries):
                for names in query["ground_truth"]:
                    if isinstance(names, list) and names:
                        found[names[0]].update(names[1:])
    return {
        name: kept
        for name, given in found.items()
        if (kept := sorted(one for one in given if _is_name(one) and one.casefold() != name.casefold()))
    }


def _is_name(text: str) -> bool:
    return text.isascii() and text[:1].isalnum() and 2 <= len(text) < 40


def _edit(subject: str, relation: str, template: str, value: str, edit_id: str, rng: random.Random) -> Fact:
    if rng.random() < PLAIN and not template.endswith("?"):
        return Fact(f"{template.replace(SLOT, subject)} {value}.", id=edit_id, tags=(relation,))
    return Fact(subject=subject, relation=relation, prompt=template, object=value, id=edit_id)


def _wording(
    relation: str, clozes: Mapping[str, Sequence[str]], questions: Mapping[str, Sequence[str]], rng: random.Random
) -> str:
    asked = questions.get(relation) if rng.random() < 0.5 else None
    return rng.choice(asked or clozes[relation])


def _training(one: ScopeSet) -> ScopeSet:
    return ScopeSet(one.name, one.edits, one.questions, only_training=True)


def cases(data: Path, benchmark: str, *files: str) -> tuple[Case, ...]:
    """The cases of some files of a benchmark."""
    return read(find_benchmark(benchmark), [data / file for file in files]).cases


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _unique(lists: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: list(dict.fromkeys(values)) for name, values in lists.items()}


def crowd(data: Path, count: int, *, seed: int = 0) -> tuple[list[Fact], Counter[str]]:
    """So many edits with distinct subjects and relations, and where they come from.

    CounterFact's first, then T-REx in ParaRel's wordings, zsRE, and at last facts about recombined names.
    """
    rng = random.Random(seed)
    clozes, _ = patterns(data)
    kept: dict[tuple[str, str], Fact] = {}
    origin: Counter[str] = Counter()

    def take(facts: Iterator[Fact], source: str) -> None:
        for fact in facts:
            slot = (same_key(fact.names[0]) if fact.names else fact.statement, fact.relation_text)
            if len(kept) < count and slot not in kept:
                kept[slot] = fact
                origin[source] += 1

    official, flat, zsre = (cases(data, name, *files) for name, files in CROWD)
    asked = {case.id for case in official}
    take((edit for case in official for edit in case.edits if isinstance(edit, Fact)), "CounterFact, asked")
    take(
        (edit for case in flat if case.id not in asked for edit in case.edits if isinstance(edit, Fact)), "CounterFact"
    )
    known = [record for record in _lines(data / "pararel/trex_lms_vocab.jsonl") if record["relation"] in clozes]
    take(
        (
            Fact(
                subject=record["sub_label"].strip(), relation=record["relation"], object=record["obj_label"],
                prompt=clozes[record["relation"]][0], id=f"trex-{at}",
            )
            for at, record in enumerate(known)
            if record["sub_label"].strip()
        ),
        "T-REx",
    )  # fmt: skip
    take((edit for case in zsre for edit in case.edits if isinstance(edit, Fact)), "zsRE")
    names = [fact.subject.split() for fact in kept.values() if fact.subject and " " in fact.subject]
    relations = sorted(clozes)
    objects = [record["obj_label"] for record in known]

    def invented() -> Iterator[Fact]:
        for at in range(20 * count):
            relation = rng.choice(relations)
            yield Fact(
                subject=f"{rng.choice(names)[0]} {rng.choice(names)[-1]}", relation=relation,
                prompt=clozes[relation][0], object=rng.choice(objects), id=f"made-{at}",
            )  # fmt: skip

    take(invented(), "recombined names")
    return list(kept.values()), origin
