"""MQuAKE (Zhong et al. 2023, arXiv:2305.14795): multi-hop questions whose chain of facts holds one to four edits.

One form serves CF, CF-3k, CF-3k-v2, T, and the subsets 2002 and hard of DeepEdit (Wang et al. 2024, arXiv:2401.10471).
Case ids are those of the file, so files whose ids mean different cases (CF-3k, CF and T) are read one at a time. Two
forms are for retrieval only, since they tell no answers to their questions: T as in PokeMQA (Gu et al. 2024,
arXiv:2312.15194), and its edits with questions in scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import accepted, ask_each, follows, rests, text
from memedit.eval.cases import Case, Kind, Triple, ask

SOURCE = "MQuAKE"


def official(record: Record, place: Place) -> Case:
    """A case with its edits, its question in three wordings, and the hops of the edited chain."""
    facts = [_fact(rewrite) for rewrite in record["requested_rewrite"]]
    hops = [(text(hop, "question"), _names(hop, "answer")) for hop in record["new_single_hops"]]
    chain = _chain(record)
    names = {triple: answers for triple, (_, answers) in zip(chain, hops, strict=True)}
    old, new = _names(record, "answer"), _names(record, "new_answer")
    told = {
        "answers": new,
        "rejected": tuple(answer for answer in old[:1] if answer not in new),
        "rests_on": tuple(chain),
        "group": "question",
    }
    probes = [
        *ask_each(Kind.EFFICACY, ((str(fact.question), _told(fact, names)) for fact in facts)),
        *ask(Kind.MULTI_HOP, accepted(record["questions"]), **told),
        *ask_each(
            Kind.HOP,
            (
                (question, {"answers": answers, "rests_on": (triple,)})
                for triple, (question, answers) in zip(chain, hops, strict=True)
            ),
        ),
    ]
    return Case(id=f"mquake:{record['case_id']}", edits=tuple(facts), probes=tuple(probes))


def partial_t(record: Record, place: Place) -> Case:
    """A case of T without its answer, and perhaps without its edit."""
    probes = ask(Kind.MULTI_HOP, accepted(record["questions"]), form="none", group="question")
    edits = []
    if told := record["edit"]:
        statement, question, answer = (text(told, name) for name in ("statement", "question", "answer"))
        fact_id = f"mquake-{digest(statement)}"
        edits = [Fact(statement, id=fact_id, object=answer, question=question, source=SOURCE)]
        probes = ask(Kind.EFFICACY, question, answers=(answer,)) + probes
    return Case(id=f"mquake-t:{record['case_id']}", edits=tuple(edits), probes=tuple(probes))


def scope(record: Record, place: Place) -> Case:
    """An edit with questions in its scope."""
    statement = text(record, "edit")
    fact = Fact(statement, id=f"mquake-{digest(statement)}", source=SOURCE)
    probes = ask(Kind.PARAPHRASE, accepted(record["questions"]), form="none")
    return Case(id=f"mquake-scope:{digest(record)}", edits=(fact,), probes=tuple(probes))


def _fact(rewrite: Record) -> Fact:
    subject, relation = text(rewrite, "subject"), text(rewrite, "relation_id")
    new, old = _label(rewrite, "target_new"), _label(rewrite, "target_true")
    return Fact(
        id=f"mquake-{digest(subject, relation, new)}",
        subject=subject,
        relation=relation,
        prompt=rewrite["prompt"],
        object=new,
        previous_object=old,
        question=text(rewrite, "question"),
        source=SOURCE,
    )


def _label(rewrite: Record, which: str) -> str:
    """The label of a target; MQuAKE-Remastered (Zhong et al. 2025) has it one level higher."""
    return text(rewrite[which], "str") if which in rewrite else text(rewrite, f"{which}_str")


def _names(record: Record, which: str) -> tuple[str, ...]:
    """An answer and its aliases."""
    return accepted([text(record, which), record.get(f"{which}_alias", ())])


def _chain(record: Record) -> list[Triple]:
    """The facts of the edited chain: labels of subject and object, and the id of the relation between them."""
    orig = record.get("orig", record)
    named = zip(orig["new_triples_labeled"], orig["new_triples"], strict=True)
    return [(subject, relation, answer) for (subject, _, answer), (_, relation, _) in named]


def _told(fact: Fact, names: Mapping[Triple, tuple[str, ...]]) -> dict[str, Any]:
    """Fields of an edit's own question, with the aliases that its hop of the chain tells."""
    (own,) = rests(fact)
    return follows(fact, names.get(own), filter(None, [fact.previous_object]))


MQUAKE = Benchmark(
    name="mquake",
    title="MQuAKE",
    measures="multi-hop questions after one to four edits (M-Acc), and each hop by itself (H-Acc)",
    paper="Zhong et al. 2023, arXiv:2305.14795",
    published="https://github.com/princeton-nlp/MQuAKE",
    licence="MIT",
    forms=(
        Form("official", ("case_id", "requested_rewrite", "questions"), official),
        Form("T without answers", ("case_id", "edit", "questions"), partial_t),
        Form("scope pairs", ("edit", "questions"), scope),
    ),
)
