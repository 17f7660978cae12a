"""Eva-KELLM (Wu et al. 2023, arXiv:2308.09954), whose data are published under its later name, DocTER.

A document is the edit. Its files have the document's id in common: whether the altered fact is told (edit success),
whether neighbours stay, what follows from it, by yes or no (reasoning), and the fact in another language than the
document's (cross-lingual transfer; files whose names begin with “cross”). Give documents and questions together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import text
from memedit.eval.benchmarks.gather import numbered
from memedit.eval.cases import Case, Kind, Probe, ask

HAN = re.compile("[\u4e00-\u9fff]")
YES_OR_NO = " Answer yes or no."
ANSWERS = (("yes", "true"), ("no", "false"))


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its id and language."""

    id: str
    text: str
    language: Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Probes of the document with an id. Where `crossing`, they are in `language`, and the document is in the other."""

    id: str
    probes: tuple[Probe, ...]
    language: Literal["en", "zh"]
    crossing: bool = False


def told(record: Record, place: Place) -> Document | Asked:
    """A document, or what is asked of one."""
    one = record.get("data", record)
    own = str(one["id"])
    if "altered_target" in one:
        return _of_targets(own, one, place.file.startswith("cross"))
    said = text(one, "src").strip()
    if "label" not in one:
        return Document(own, said, _language(said))
    right, wrong = ANSWERS if str(one["label"]) == "True" else ANSWERS[::-1]
    question = said.lstrip(": ") + YES_OR_NO
    return Asked(own, tuple(ask(Kind.MULTI_HOP, question, answers=right, rejected=wrong)), _language(said))


def _of_targets(own: str, one: Record, crossing: bool) -> Asked:
    new, old, query = text(one, "altered_target"), text(one, "original_target"), one["query"]
    holds = {"answers": (new,), "rejected": (old,)}
    if isinstance(query, str):
        probes = [*ask(Kind.EFFICACY, query, **holds), *ask(Kind.PARAPHRASE, one["paraphrase_query"], **holds)]
        return Asked(own, tuple(probes), _language(query))
    if crossing:
        return Asked(own, tuple(ask(Kind.PORTABILITY, query, **holds)), _language("".join(query)), crossing)
    return Asked(own, tuple(ask(Kind.NEIGHBOURHOOD, query, answers=(old,), rejected=(new,))), _language("".join(query)))


def _language(said: str) -> Literal["en", "zh"]:
    return "zh" if HAN.search(said) else "en"


def joined(parts: Iterable[Document | Asked]) -> Iterator[Case]:
    """A case a document, with all that is asked of it; one of which nothing is asked only lies in the memory."""
    documents, questions = list[Document](), defaultdict[str, list[Asked]](list)
    for one in parts:
        if isinstance(one, Document):
            documents.append(one)
        else:
            questions[one.id].append(one)
    for document in documents:
        fact = Fact(document.text, id=f"eva_kellm-{digest(document.text)}", source="Eva-KELLM")
        probes = [
            probe for asked in questions[document.id] if asked.crossing == (asked.language != document.language)
            for probe in asked.probes
        ]  # fmt: skip
        yield Case(id=f"eva_kellm:{document.language}-{document.id}", edits=(fact,), probes=numbered(probes))


EVA_KELLM = Benchmark(
    name="eva_kellm",
    title="Eva-KELLM (DocTER)",
    measures="documents as edits: the altered fact, what follows from it, its neighbours, and another language",
    paper="Wu et al. 2023, arXiv:2308.09954",
    published="https://github.com/H-shw/DocTER-Data-and-Code",
    licence="see the repository",
    forms=(
        Form("documents and questions", ("data",), told),
        Form("documents and reasoning", ("id", "src"), told),
        Form("facts", ("id", "original_target", "altered_target", "query"), told),
    ),
    assemble=joined,
)
