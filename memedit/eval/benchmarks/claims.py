"""FEVER-Symmetric (Schuster et al. 2019, arXiv:1908.05267) and VitaminC (Schuster et al. 2021, arXiv:2103.08541).

A sentence of evidence is the edit; claims that it supports or refutes are asked about. Where it says nothing of the
claim, the answer must not change.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.gather import together
from memedit.eval.cases import Case, Kind, ask

BRACKETS = {"LRB": "(", "RRB": ")", "LSB": "[", "RSB": "]", "LCB": "{", "RCB": "}"}
VERDICTS = {"supports": ("true", "false"), "refutes": ("false", "true")}
UNDECIDED = "not enough info"


def plain(text: str) -> str:
    """The text without the Penn Treebank's marks: brackets by name, two kinds of quotes, blanks before punctuation."""
    text = re.sub(r"-([LR][RSC]B)-", lambda mark: BRACKETS[mark[1]], text)
    text = re.sub(r"(?:``|'') ?(.*?) ?(?:``|'')", r'"\1"', text)
    text = re.sub(r"([(\[{]) | (?=[)\]}.,;:!?%]|'s\b|n't\b)", r"\1", text)
    return text.strip()


def claims(name: str, title: str, evidence: str) -> Callable[[Record, Place], Case]:
    """The reader of a benchmark whose records have the evidence in this field."""

    def read(record: Record, place: Place) -> Case:
        statement = plain(record[evidence])
        key = digest(statement)
        fact = Fact(statement, id=f"{name}-{key}", source=title)
        question = f"True or false: {plain(record['claim'])}"
        label = (record["label"] if "label" in record else record["gold_label"]).lower()
        if label == UNDECIDED:
            probes = ask(Kind.LOCALITY, question, form="none")
        elif label in VERDICTS:
            right, wrong = VERDICTS[label]
            probes = ask(Kind.FREE_FORM, question, answers=(right,), rejected=(wrong,))
        else:
            raise ValueError(f"its label {label:.40} is none of {', '.join(VERDICTS)}, {UNDECIDED}")
        return Case(id=f"{name}:{key}", edits=(fact,), probes=tuple(probes))

    return read


SYMMETRIC = ("fever_symmetric", "FEVER-Symmetric")
FEVER_SYMMETRIC = Benchmark(
    name="fever_symmetric",
    title="FEVER-Symmetric",
    measures="claims that a sentence of evidence supports or refutes, in pairs that cannot be told by the claim alone",
    paper="Schuster et al. 2019, arXiv:1908.05267",
    published="https://github.com/TalSchuster/FeverSymmetric",
    licence="MIT; text CC BY-SA 3.0",
    forms=(
        Form("v0.1", ("claim", "label", "evidence_sentence"), claims(*SYMMETRIC, "evidence_sentence")),
        Form("v0.2", ("claim", "gold_label", "evidence"), claims(*SYMMETRIC, "evidence")),
    ),
    assemble=together,
    max_tokens=5,
)
VITAMINC = Benchmark(
    name="vitaminc",
    title="VitaminC",
    measures="claims that a revised sentence of Wikipedia supports, refutes or leaves open",
    paper="Schuster et al. 2021, arXiv:2103.08541",
    published="https://github.com/TalSchuster/VitaminC",
    licence="MIT; text CC BY-SA 3.0",
    forms=(Form("pairs", ("claim", "evidence", "label"), claims("vitaminc", "VitaminC", "evidence"), ("gold_label",)),),
    assemble=together,
    max_tokens=5,
)
