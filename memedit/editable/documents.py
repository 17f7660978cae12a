"""Facts of a text: a document is taken apart into candidates, which a person accepts or not (the setting of FRUIT, Iv
et al. 2022, and of Eva-KELLM, Wu et al. 2023). What is to stay whole is a `Description`.

A plain statement (“The CEO of Acme is Carol”) is read by rules. Of every other sentence a model is asked what it says,
and what it answers is held against the sentence: subject and object have to stand there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from memedit.edits import SLOT, Fact
from memedit.errors import EditRejected, RequestRejected
from memedit.gate.focus import sentences
from memedit.llms import LLM
from memedit.messages import Message, Request
from memedit.text import FUNCTION_WORDS, as_data, one_line, says
from memedit.text.naming import guess_subjects, names_in

LONGEST = 100_000  # characters of a text
TOKENS = 96  # of what a model says of a sentence
NOUN = "(?:company|firm|city|town|country|club|team|band|group|school|university|film|book|album)"
STANDS_FOR = re.compile(rf"^(?:(He|She|It|They|The {NOUN})|(His|Her|Its|Their|The {NOUN}['’]s))\b")
A_NOUN = re.compile(rf"(?i)(?:the|this) {NOUN}|he|she|it|they")
TOLD = "Write what the text says, a line each: subject | what is said of it | object. Use the words of the text."
EXAMPLES = (
    (
        "Marie Dupont, who had studied in Lyon, founded Volta Labs in 1990.",
        "Marie Dupont | had studied in | Lyon\nMarie Dupont | founded | Volta Labs\nVolta Labs | was founded in | 1990",
    ),
    ("In 2019 the harbour was sold to Norvex.", "the harbour | was sold to | Norvex"),
    ("It was a quiet year.", "nothing"),
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was found in a text.

    Args:
        facts: The candidates, in the order of the text; `source` says from which sentence.
        dropped: Lines of the model that named what does not stand in the sentence.
        sentences: Of the text.
    """

    facts: tuple[Fact, ...]
    dropped: int
    sentences: int


def propose(text: str, llm: LLM, *, source: str | None = None) -> Proposal:
    """The Facts that a text tells, for a person to accept.

    Args:
        text: Plain text.
        llm: Is asked about the sentences that rules do not read, all in one batch.
        source: Of the text; stands before each sentence in the Facts' `source`.

    Raises:
        RequestRejected: The text is empty, too long, or no text.
    """
    if not text.strip() or "\0" in text:
        raise RequestRejected("The document holds no text." if "\0" not in text else "The document is no text.",
                              do="give plain text, such as a .txt or .md file")  # fmt: skip
    if len(text) > LONGEST:
        raise RequestRejected(
            f"The document is {len(text):,} characters long, more than {LONGEST:,}.", do="give it in parts"
        )
    said = list(standing_alone(sentences(text)))
    found = {place: _by_rules(sentence, source) for place, (_, sentence) in enumerate(said)}
    asked = [place for place, facts in found.items() if not facts]
    dropped = 0
    for place, reply in zip(asked, llm.generate([_ask(said[place][1], llm.kind) for place in asked]), strict=True):
        for line in reply.text.strip().splitlines():
            fact = _checked(line, *said[place], source)
            dropped += fact is None and "|" in line
            found[place] += [fact] if fact else []
    facts = {fact.content_hash: fact for place in sorted(found) for fact in found[place]}
    return Proposal(tuple(facts.values()), dropped, len(said))


def standing_alone(said: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What the text is about, and each sentence, a pronoun at its beginning replaced by that.

    A text is about the last name that a sentence began with; behind a question the pronoun is of what that asks.
    """
    subject = asked = ""
    for said_so in said:
        sentence, pronoun = said_so, STANDS_FOR.match(said_so)
        if pronoun and asked:
            sentence = f"{asked} {sentence}"
        elif pronoun and subject:
            named = subject if pronoun[1] else f"{subject}'s"
            sentence = named + sentence[pronoun.end() :]
        elif (
            (names := names_in(sentence))
            and sentence.startswith((names[0], f"The {names[0]}"))
            and " of " not in names[0]
        ):
            subject = names[0]
        asked = said_so if said_so.endswith("?") else ""
        yield subject, sentence


def _by_rules(sentence: str, source: str | None) -> list[Fact]:
    """A plain statement whose subject and object are told apart; else nothing."""
    try:
        fact = Fact(sentence, source=_source(sentence, source))
    except EditRejected:
        return []
    plain = fact.answer is not None and len(guess_subjects(sentence)) == 1 and "," not in sentence
    return [fact] if plain else []


def _ask(sentence: str, kind: str) -> Request:
    shots = [f"Text: {said}\n{facts}" for said, facts in EXAMPLES]
    text = "\n\n".join([TOLD, *shots, f"Text: {as_data(sentence)}\n"])
    short = Request((Message("user", text),)).limited(TOKENS).raw(text, stop=["\n\n", "Text:"])
    return replace(short, form="text") if kind == "chat" else short


def _checked(line: str, about: str, sentence: str, source: str | None) -> Fact | None:
    """The Fact of a line, if subject and object stand in the sentence and the rest says something.

    “the firm” is what the text is about.
    """
    parts = [part.strip(" -*.") for part in line.split("|")]
    if len(parts) != 3 or not all(parts) or SLOT in line:
        return None
    subject, relation, object_ = parts
    stand = says(sentence, (subject,)) and says(sentence, (object_,))
    if not stand or says(subject, (object_,)):
        return None
    subject = about if about and A_NOUN.fullmatch(subject) else subject
    if subject.casefold() in FUNCTION_WORDS:
        return None
    try:
        return Fact(subject=subject, prompt=f"{SLOT} {relation}", object=object_, source=_source(sentence, source))
    except EditRejected:
        return None


def _source(sentence: str, source: str | None) -> str:
    return one_line(f"{source}: {sentence}" if source else sentence, 500)
