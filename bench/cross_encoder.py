"""Trains a cross-encoder gate on zsRE, MQuAKE and WikiData-recent, and measures it, beside distance alone, on relations
and subjects it never saw: CounterFact's paraphrases and neighbours, WikiData-counterfact's other facts of a subject.

WikiData-counterfact has other subjects than WikiData-recent, and the same templates; CounterFact has neither in common
with what is learned from, but for some relations of MQuAKE.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from memedit.edits import Fact
from memedit.eval.benchmarks import find_benchmark, read
from memedit.eval.cases import Case
from memedit.eval.scopes import scope_set
from memedit.gate.embedding import EmbeddingGate
from memedit.gate.focus import focus
from memedit.gate.learning.cross_encoder import Recipe, train
from memedit.gate.learning.pairs import Asked, ask_all
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.gate.port import Gate

LEARN = {
    "zsre": ("zsre_mend_train_1k", "zsre_eval_portability", "zsre_knowedit_test"),
    "mquake": ("mquake_cf_3k",),
    "wiki_recent": ("wiki_recent_train",),
}
SCOPE_PAIRS, FILL = "mquake_scope_train", 3_000  # edits of the flat CounterFact that only lie in the memory
GROUPS = {
    "counterfact": ("paraphrase", "neighbourhood"),
    "wiki_counterfact": ("efficacy", "alias", "same subject", "portability"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with the published files of the benchmarks, as .jsonl")
    parser.add_argument("out", type=Path, help="where the gate is written to")
    parser.add_argument("--questions", type=int, default=2_500, help="to learn from, drawn evenly from each group")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--shown", choices=("text", "key"), default="key")
    parser.add_argument("--bf16", action="store_true", help="mixed precision")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    filled = random.Random(0).sample(cases(options.data, "counterfact", "counterfact_easyedit"), FILL)
    counterfact = scope_set("counterfact", cases(options.data, "counterfact", "counterfact_sample500"), fill=filled)
    wiki = scope_set("wiki_counterfact", cases(options.data, "wiki_counterfact", "wiki_counterfact_train"))
    tests = [looked_up(drawn(one, 400, GROUPS[one.name])) for one in (counterfact, wiki)]
    taboo = {edit.subject for one in tests for edit in one.edits if isinstance(edit, Fact)}
    learn = [scope_set(name, cases(options.data, name, *files)) for name, files in LEARN.items()]
    learn.append(scope_set("mquake scope", cases(options.data, "mquake", SCOPE_PAIRS)))
    learn = [with_clozes(without(one, taboo)) for one in learn]
    count = options.questions // sum(len({question.group for question in one.questions}) for one in learn)
    sets = [looked_up(drawn(one, count)) for one in learn]

    began = time.perf_counter()
    gate = train(sets, out=options.out, recipe=Recipe(epochs=options.epochs, shown=options.shown, bf16=options.bf16))
    print(f"trained in {time.perf_counter() - began:.0f} s; {(options.out / 'gate.json').read_text()}")
    gates = (gate, EmbeddingGate.fit(*sets))
    for test in tests:
        asked = ask_all([test])
        for one in gates:
            measure(one, test.name, asked)


def cases(data: Path, benchmark: str, *stems: str) -> list[Case]:
    files = [next(data.rglob(f"{stem}.jsonl")) for stem in stems]
    return list(read(find_benchmark(benchmark), files).cases)


def drawn(scope: ScopeSet, count: int, groups: Iterable[str] | None = None) -> ScopeSet:
    """At most so many questions of each group."""
    questions: list[Question] = []
    for group in groups or sorted({question.group for question in scope.questions}):
        these = [question for question in scope.questions if question.group == group]
        questions += random.Random(group).sample(these, min(count, len(these)))
    return replace(scope, questions=tuple(questions))


def without(scope: ScopeSet, subjects: set[str | None]) -> ScopeSet:
    gone = {edit.id for edit in scope.edits if isinstance(edit, Fact) and edit.subject and edit.subject in subjects}
    kept = tuple(one for one in scope.questions if not (one.direct | one.bridges | one.unsure) & gone)
    return replace(scope, edits=tuple(edit for edit in scope.edits if edit.id not in gone), questions=kept)


def with_clozes(scope: ScopeSet) -> ScopeSet:
    """With each template asked as it is; else every text that is to be continued would be learned as out of scope."""
    known: dict[str, set[str]] = {}
    for edit in scope.edits:
        if isinstance(edit, Fact) and edit.cloze and not edit.cloze.endswith("?"):
            known.setdefault(edit.cloze, set()).add(edit.id)
    asked = tuple(Question(text, direct=frozenset(ids), group="own cloze") for text, ids in known.items())
    return replace(scope, questions=scope.questions + asked)


def looked_up(scope: ScopeSet) -> ScopeSet:
    """With what is looked up in use in place of the whole prompt."""
    questions = (replace(one, text=focus([("user", one.text)]).query or one.text) for one in scope.questions)
    return replace(scope, questions=tuple(questions))


def measure(gate: Gate, name: str, asked: Sequence[Asked]) -> None:
    began = time.perf_counter()
    for one in asked[:50]:
        gate.decide(one.recalled)
    each = (time.perf_counter() - began) / 50
    verdicts = [{one.edit.id: one for one in found} for found in gate.decide_many([one.recalled for one in asked])]
    rows = [
        (one.question.group, label, found[candidate.edit.id])
        for one, found in zip(asked, verdicts, strict=True)
        for candidate, label in one.judged
    ]
    truth = np.array([label != "out" for _, label, _ in rows])
    scores = np.array([verdict.numbers.get("out", 1 - verdict.probability) for _, _, verdict in rows])
    print(
        f"{gate.name} on {name}: AUROC {roc_auc_score(truth, -scores):.3f}, "
        f"average precision {average_precision_score(truth, -scores):.3f}; {1000 * each:.0f} ms a query"
    )
    for group in dict.fromkeys(group for group, _, _ in rows):
        passed: dict[str, list[bool]] = {"in scope": [], "out of scope": []}
        for place, label, verdict in rows:
            if place == group:
                passed["out of scope" if label == "out" else "in scope"].append(verdict.passed)
        said = (f"{np.mean(part):.2%} of {len(part)} {name}" for name, part in passed.items() if part)
        print(f"  {group}: let through {', '.join(said)}")


if __name__ == "__main__":
    main()
