"""EntailmentBank (Dalvi et al. 2021, arXiv:2104.08661) and LeapOfThought (Talmor et al. 2020, arXiv:2006.06609).

Sentences from which something follows are the edits, and what follows is asked. Of EntailmentBank the leaves of a proof
are edits, those of tasks 2 and 3 without the distractors beside them; of LeapOfThought the rule that is left implicit
and the property, as SLAG (Hase et al. 2021, arXiv:2111.13654) updates them.
"""

from __future__ import annotations

import re

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import text
from memedit.eval.cases import Case, Kind, ask

LEAF = re.compile(r"\bsent\d+\b")
TRUE = "True or false: {}"


def entailment(record: Record, place: Place) -> Case:
    """A question with its answer, the hypothesis that both make, and a proof of it."""
    triples, proof = record["meta"]["triples"], text(record, "proof")
    leaves = list(dict.fromkeys(LEAF.findall(proof)))
    if not leaves:
        raise ValueError("the proof has no leaf")
    edits = tuple(_fact("EntailmentBank", triples[leaf]) for leaf in leaves)
    probes = [
        *ask(Kind.MULTI_HOP, text(record, "question"), answers=(text(record, "answer"),)),
        *ask(Kind.LOGICAL, TRUE.format(_sentence(text(record, "hypothesis"))), answers=("true",), rejected=("false",)),
    ]
    return Case(id=f"entailment_bank:{record['id']}", edits=edits, probes=tuple(probes))


def leap(record: Record, place: Place) -> Case:
    """A statement that follows, or does not, from a property and a rule; each of these is asked by itself, too."""
    told, phrase = record["metadata"]["separate_sentences"], text(record, "phrase")
    edits = tuple(_fact("LeapOfThought", told[name]) for name in ("implicit_rule", "property") if told.get(name))
    right, wrong = ("true", "false") if int(record["answer"]) else ("false", "true")
    probes = [
        *ask(Kind.EFFICACY, [TRUE.format(one.text) for one in edits], answers=("true",), rejected=("false",)),
        *ask(Kind.LOGICAL, TRUE.format(_sentence(phrase)), answers=(right,), rejected=(wrong,)),
    ]
    return Case(id=f"leap_of_thought:{digest(phrase, *(one.text for one in edits))}", edits=edits, probes=tuple(probes))


def _fact(benchmark: str, said: str) -> Fact:
    sentence = _sentence(said)
    return Fact(sentence, id=f"{benchmark.lower()}-{digest(sentence)}", source=benchmark)


def _sentence(said: str) -> str:
    said = said.strip()
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


ENTAILMENT_BANK = Benchmark(
    name="entailment_bank",
    title="EntailmentBank",
    measures="questions whose answer follows from several sentences in memory, and what these prove",
    paper="Dalvi et al. 2021, arXiv:2104.08661",
    published="https://github.com/allenai/entailment_bank",
    licence="Apache-2.0",
    forms=(Form("tasks 1 to 3", ("hypothesis", "proof", "question", "answer", "meta"), entailment),),
    max_tokens=30,
)
LEAP_OF_THOUGHT = Benchmark(
    name="leap_of_thought",
    title="LeapOfThought",
    measures="what follows from a rule and a property that are edited",
    paper="Talmor et al. 2020, arXiv:2006.06609",
    published="https://github.com/alontalmor/LeapOfThought",
    licence="not stated",
    forms=(Form("taxonomic", ("phrase", "answer", "metadata"), leap),),
    max_tokens=5,
)
