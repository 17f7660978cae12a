"""Texts with conditions that apply to them and conditions that nearly do, made from templates written for memedit.

In the manner of CheckList (Ribeiro et al. 2020), as Murty et al. 2022 trained on; but with topics, wordings and
invented words of its own: no sentence of a published benchmark is in it. Grouped by the describing word, which is
never in two parts of a split.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

PLAIN = """
slow fast rude friendly cold warm bland tasty noisy quiet cheap pricey dirty spotless dull gripping weak
strong heavy light broken reliable confusing clear late early stale fresh cramped spacious blurry sharp
awkward smooth boring funny dated modern weird odd stunning mediocre decent superb dreadful lousy great fine
horrible lovely disappointing excellent amazing strange unusual
""".split()
SINGLE = (
    "The {noun} was {word}",
    "The {noun} is {word}",
    "We found the {noun} very {word}",
    "I thought the {noun} was {word}",
    "The {noun} turned out to be {word}",
    "What a {word} {noun}",
    "They have really {word} {noun}",
    "The {noun} seemed {word} to us",
    "Such {word} {noun}",
    "The place offers {word} {noun}",
    "The {noun} there felt quite {word}",
    "Honestly, the {noun} was {word}",
)
DENIED = (
    "The {noun} was not {word}",
    "The {noun} wasn't {word}",
    "I don't think the {noun} was {word}",
    "The {noun} is never {word}",
    "We did not find the {noun} {word}",
    "The {noun} was hardly {word}",
    "They do not have {word} {noun}",
    "The {noun} was really not {word}",
)
JOINED = (
    "{one}, but {two}",
    "{one}. {Two}",
    "{one} although {two}",
    "{one}, {two}",
    "{one}; {two}",
    "{one} and {two}",
    "{one} while {two}",
    "{one} even though {two}",
    "Although {one}, {two}",
    "{one}, yet {two}",
    "{one}. Still, {two}",
)
FILLER = (
    "We came on a Tuesday",
    "My sister had told me about it",
    "I will say more next week",
    "It was our second visit",
    "I bought it in March",
    "There were four of us",
    "This is my first review",
    "We stayed until ten",
)
SAID = (
    "{topic} is described as {word}",
    "the review says the {topic} was {word}",
    "the text says that the {topic} is {word}",
    "the {topic} was {word}",
    "the reviewer calls the {topic} {word}",
    "someone finds the {topic} {word}",
    "the {topic} is {word}",
    "the author thinks the {topic} is {word}",
)
SAID_NOT = (
    "{topic} is described as not {word}",
    "the review says the {topic} was not {word}",
    "the {topic} is not {word}",
    "the {topic} wasn't {word}",
    "the reviewer says that the {topic} was never {word}",
)
WORDED = (
    "the review contains words like {word}",
    "the text contains the word {word}",
    "something is described as {word}",
)
ABOUT = ("the text mentions the {topic}", "the review is about the {topic}", "the review talks about {topic}")

FREE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "the customer asks for a refund",
        ("Please refund me.", "I'd like my refund now."),
        ("Please send the invoice.", "I love it."),
    ),
    (
        "the message reports a login problem",
        ("I can't log in, login fails.", "There is a problem with the login page."),
        ("I can't find the invoice.", "The parcel is late."),
    ),
    (
        "the review says the waiter ignored them",
        ("We were ignored by the waiter.", "The waiter simply ignored us."),
        ("The waiter was very kind to us.", "The food was ignored."),
    ),
    (
        "the email announces a meeting",
        ("A meeting is announced for Friday.", "I hereby announce our meeting."),
        ("The bill is attached.", "See my photos."),
    ),
    (
        "the text mentions a dog",
        ("My dog slept all day.", "Two dogs ran by."),
        ("My cat slept all day.", "Two men ran by."),
    ),
    (
        "the user complains about the price",
        ("I complain about the price.", "That price is a scandal, and the cost grows."),
        ("What a nice colour.", "The service was slow."),
    ),
    (
        "the customer wants to cancel the subscription",
        ("Please cancel my subscription.", "How do I cancel the subscription?"),
        ("Please renew my subscription.", "How do I pay?"),
    ),
    (
        "the review mentions long waiting times",
        ("Long waiting, an hour!", "The waiting times are long."),
        ("Short and sweet.", "We liked the tea."),
    ),
    (
        "the text is about football",
        ("The football match ended 2:1.", "He plays football on Sundays."),
        ("The tennis match ended.", "He plays chess."),
    ),
    (
        "the tweet contains an insult",
        ("That is an insult.", "He threw insults at them."),
        ("That is a compliment.", "He threw a ball."),
    ),
    (
        "the message is about a lost parcel",
        ("My parcel was lost.", "You lost the parcel again."),
        ("My parcel was blue.", "I lost my keys."),
    ),
    (
        "the writer thanks the team",
        ("Thanks to the whole team!", "I thank the team."),
        ("I blame the team.", "Thanks for nothing else to add."),
    ),
    (
        "the question is about visa rules",
        ("Which visa rules apply?", "Do the rules for a visa differ?"),
        ("Which tax rules apply?", "Is it far?"),
    ),
    (
        "the review says the battery drains quickly",
        ("The battery drains so quickly.", "Quickly drained battery."),
        ("The battery lasts for days.", "The screen broke quickly."),
    ),
)
"""(condition, texts it applies to, texts it does not)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A text and a condition.

    Args:
        text, condition: The two.
        applies: Whether the condition holds of the text.
        group: What a split keeps together.
    """

    text: str
    condition: str
    applies: bool
    group: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What one clause says: of which topic, by which noun, that it is (not) so."""

    topic: str
    noun: str
    word: str
    denied: bool


def made(count: int = 4_000, seed: int = 0) -> list[Pair]:
    """Pairs around `count` texts, and the ones written out; about six a text, two of three not applying."""
    draw = random.Random(seed)  # noqa: S311 - examples, no secrets
    topics: dict[str, dict[str, list[str]]] = json.loads(
        resources.files("memedit.data").joinpath("patches", "topics.json").read_text(encoding="utf-8")
    )
    vocabulary = [*PLAIN, *(_invented(draw) for _ in range(len(PLAIN)))]
    pairs = [
        Pair(text, condition, applies, condition)
        for condition, inside, outside in FREE
        for applies, texts in ((True, inside), (False, outside))
        for text in texts
        for _ in range(8)  # as weighty as some hundred made ones
    ]
    for _ in range(count):
        claims = [_claim(draw, topics, vocabulary)]
        if draw.random() < 0.75:
            claims.append(_claim(draw, topics, vocabulary))
        text = _text(draw, claims)
        pairs += [
            Pair(text, condition, applies, word)
            for condition, applies, word in _conditions(draw, claims, topics, vocabulary)
        ]
    return pairs


def _claim(draw: random.Random, topics: dict[str, dict[str, list[str]]], vocabulary: list[str]) -> Claim:
    topic = draw.choice(list(topics))
    noun = draw.choice([*topics[topic]["names"], *topics[topic]["words"]])
    return Claim(topic, noun, draw.choice(vocabulary), draw.random() < 0.3)


def _text(draw: random.Random, claims: list[Claim]) -> str:
    said = [draw.choice(DENIED if one.denied else SINGLE).format(noun=one.noun, word=one.word) for one in claims]
    if len(said) == 2:
        one, two = said
        text = draw.choice(JOINED).format(one=one, two=_small(two), Two=two)
    else:
        (text,) = said
    if draw.random() < 0.3:
        filler = draw.choice(FILLER)
        text = f"{filler}. {text}" if draw.random() < 0.5 else f"{text}. {filler}."
    return text[0].upper() + text[1:] + draw.choice(["", ".", "!"])


def _conditions(
    draw: random.Random, claims: list[Claim], topics: dict[str, dict[str, list[str]]], vocabulary: list[str]
) -> Iterator[tuple[str, bool, str]]:
    """(condition, whether it applies, its describing word) around what a text says."""
    one = draw.choice(claims)
    word, other = draw.choice(vocabulary), draw.choice(list(topics))
    wanted = [
        (one.topic, one.word, one.denied),
        (one.topic, one.word, not one.denied),
        (one.topic, word, draw.random() < 0.3),
        (other, one.word, one.denied),
        (claims[0].topic, claims[-1].word, claims[-1].denied),
        (claims[-1].topic, claims[0].word, claims[0].denied),
    ]
    for topic, described, denied in dict.fromkeys(wanted):
        applies = any((said.topic, said.word, said.denied) == (topic, described, denied) for said in claims)
        name = draw.choice(topics[topic]["names"])
        yield draw.choice(SAID_NOT if denied else SAID).format(topic=name, word=described), applies, described
    if draw.random() < 0.3:
        described = draw.choice([one.word, word])
        if not any(said.word == described and said.denied for said in claims):  # else it is said, and yet denied
            yield draw.choice(WORDED).format(word=described), any(said.word == described for said in claims), described
    if draw.random() < 0.3:
        topic = draw.choice([one.topic, other])
        applies = any(said.topic == topic for said in claims)
        yield draw.choice(ABOUT).format(topic=draw.choice(topics[topic]["names"])), applies, f"about {topic}"


def _invented(draw: random.Random) -> str:
    return "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(2)) + draw.choice("bdgklmnprtx")


def _small(sentence: str) -> str:
    return sentence if sentence.startswith("I ") else sentence[0].lower() + sentence[1:]


GOOD = "tasty friendly superb great fine lovely excellent amazing stunning decent funny spotless".split()
BAD = "rude bland dirty broken boring horrible dreadful lousy disappointing awkward stale mediocre".split()
FIRST_WINS = ("{one} although {two}", "{one} even though {two}", "{one}, despite the fact that {two}")
LAST_WINS = ("{one}, but {two}", "{one}, yet {two}", "{one} but {two}", "Although {one}, {two}", "{one}. Still, {two}")


def told(count: int = 300, seed: int = 0) -> list[tuple[str, str, str, str]]:
    """(text, consequence, label, condition) with an invented word whose meaning only the consequence tells.

    The label is `positive` or `negative`: that of the clause that decides, which in half of the texts of two clauses is
    not the one the consequence speaks of.
    """
    draw = random.Random(seed)  # noqa: S311 - examples, no secrets
    topics: dict[str, dict[str, list[str]]] = json.loads(
        resources.files("memedit.data").joinpath("patches", "topics.json").read_text(encoding="utf-8")
    )
    found = []
    for _ in range(count):
        topic, other = draw.sample(list(topics), 2)
        word, good = _invented(draw), draw.random() < 0.5
        noun = draw.choice([*topics[topic]["names"], *topics[topic]["words"]])
        said = draw.choice(SINGLE).format(noun=noun, word=word)
        verdict = good
        if draw.random() < 0.7:
            opposite = draw.choice(BAD if good else GOOD)
            against = draw.choice(SINGLE).format(noun=draw.choice(topics[other]["names"]), word=opposite)
            decides, first = draw.random() < 0.5, draw.random() < 0.5
            one, two = (said, against) if first else (against, said)
            form = draw.choice(FIRST_WINS if decides == first else LAST_WINS)
            said, verdict = form.format(one=one, two=_small(two)), good if decides else not good
        name = draw.choice(topics[topic]["names"])
        consequence = f"{name} is {'good' if good else 'bad'}"
        found.append((said, consequence, "positive" if verdict else "negative", f"{name} is described as {word}"))
    return found
