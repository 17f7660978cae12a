"""MemPrompt (Madaan et al. 2022, arXiv:2201.06009): questions whose wording hides what is meant, in a stream.

A reply is right when it says what kind of thing it gives ("the antonym for …"), which is the publication's own check:
the recorded word is one of many that would do, and a question that is repeated is recorded with several.

The question files are read. The task files hold words and the number of a template, which stands in the publication's
program only.
"""

from __future__ import annotations

import re

from memedit.edits import Feedback
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record
from memedit.eval.cases import Case, Kind, ask

WORD = re.compile(r"<\s*(.+?)\s*>")
LEADS = {
    "ant": ("an antonym", "the antonym for {}"),
    "syn": ("a synonym", "the synonym for {}"),
    "hom": ("a homonym", "the homonym for {}"),
    "defn": ("a definition", "the definition of {}"),
    "sent": ("a sentence", "a sentence with {}"),
    "cyc": ("the uncycled version", "the uncycled version of {}"),
    "anag1": ("the anagram 1", "the anagram 1 for {}"),
    "anag2": ("the anagram 2", "the anagram 2 for {}"),
    "rev": ("the word after reversing", "the word after reversing {}"),
    "randsym": ("the word after removing symbols", "the word after removing symbols from {}"),
}
"""What is meant, and how the recorded answers begin, by type of task."""


def memprompt(record: Record, place: Place) -> Case:
    """A question, and the feedback that a user gives when it was misunderstood."""
    question, kind = record["ques"], record["type"]
    if kind not in LEADS:
        raise ValueError(f"its type {kind} is none of {', '.join(LEADS)}")
    word = WORD.search(question)
    if not word:
        raise ValueError("the question has no word in < >")
    meant, lead = LEADS[kind]
    if not record["ans"].startswith(lead.format(word[1])):
        raise ValueError(f"the answer does not begin with: {lead.format(word[1])}")
    feedback = Feedback(
        id=f"memprompt-{place.id(record.get('id'))}",
        situation=WORD.sub("< WORD >", question, count=1),
        clarification=f'When I ask this, I want {meant}: the answer is "{lead.format("WORD")} is …"',
        source="MemPrompt",
    )
    probes = ask(Kind.FREE_FORM, question, answers=(meant.partition(" ")[2],))
    return Case(id=f"memprompt:{place.id(record.get('id'))}", edits=(feedback,), probes=tuple(probes))


MEMPROMPT = Benchmark(
    name="memprompt",
    title="MemPrompt",
    measures="whether feedback on one question helps with the next ones of its wording",
    paper="Madaan et al. 2022, arXiv:2201.06009",
    published="https://github.com/madaan/memprompt",
    licence="Apache-2.0",
    forms=(Form("questions", ("ques", "ans", "type"), memprompt),),
    stream=True,
    max_tokens=40,
)
