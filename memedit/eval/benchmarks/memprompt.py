"""MemPrompt (Madaan et al. 2022, arXiv:2201.06009): questions whose wording hides what is meant, in a stream.

A reply is right when it says what kind of thing it gives ("the antonym for …"), which is the publication's own check:
the recorded word is one of many that would do, and a question that is repeated is recorded with several.

The question files are read, and of the task files, which hold words and the number of a template, the one of the word
scrambles, whose templates are `SCRAMBLES`. The others do not say which language they are of; their questions are in the
question files. Some scrambled words were cut short where they hold symbols; they are taken as published.
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


SCRAMBLES = {
    "cyc0": "Find the right word given this cycled word: {} ?",
    "cyc1": "Find the right word given this rotated word: {} ?",
    "cyc2": "Find the right word given this revolved word: {} ?",
    "anag10": "Unscramble everything except first and last char {} ?",
    "anag11": "Make a word while keeping the first and last char {} ?",
    "anag12": "Figure out the word which has the same first and last char {} ?",
    "anag20": "Unscramble everything except the first two and the last two char {} ?",
    "anag21": "Make a word while keeping the first two and the last two char {} ?",
    "anag22": "Figure out the word which has the same first two and the last two char {} ?",
    "randsym0": "Find the right word after removing random letters from {}",
    "randsym1": "Find the original word that is interspersed in {}",
    "randsym2": "Find the original word after ignoring the punctuation and spaces in {}",
    "rev0": "Find the original word after reversing {}",
    "rev1": "Find the original word after flipping {}",
    "rev2": "Find the original word after spelling backwards {}",
}
"""The publication's wordings of the word scrambles, by template."""


def scramble(record: Record, place: Place) -> Case:
    """A scrambled word, asked for in the words of its template."""
    template, kind = record["template_id"], record["type"]
    if template not in SCRAMBLES or not template.startswith(kind):
        raise ValueError(f"its template {template} is none of the word scrambles; see the question files for others")
    given, wanted = record["meta"]["word1"], record["meta"]["word2"]
    answer = f"{LEADS[kind][1].format(given)} is {wanted}"
    return memprompt({**record, "ques": SCRAMBLES[template].format(f"< {given} >"), "ans": answer}, place)


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
    forms=(
        Form("questions", ("ques", "ans", "type"), memprompt),
        Form("scrambles", ("meta", "type", "template_id"), scramble),
    ),
    stream=True,
    max_tokens=40,
)
