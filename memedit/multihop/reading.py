"""A question read as hops by its grammar alone, from the name it holds outwards. No model is asked.

“Who is the head of state of the country where Ellie Kemper holds citizenship?” names Ellie Kemper; around her stands
“the country where {} holds citizenship”, around that “the head of state of {}”. Each step takes the nearest phrase in
which the slot stands, and puts the slot in its place:

    possessive    {}'s NOUN                       →  the NOUN of {}
    compound      the {} NOUN                     →  the NOUN of {}
    noun          the NOUN of {}                  →  the NOUN of {}
    participle    the NOUN played by {}           →  the NOUN played by {}
    doing         the NOUN hosting {}             →  the NOUN hosting {}
    subject       the NOUN that founded {}        →  the NOUN that founded {}
    clause        the NOUN where {} was born      →  the NOUN where {} was born
    place         used where {} is based          →  the place where {} is based

What is left, if it asks anything, is the last hop.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from memedit.edits import SLOT
from memedit.multihop import grammar as g
from memedit.multihop.clauses import first_clause, parted, phrase_before
from memedit.multihop.wording import Words, as_text, without_article, words_around
from memedit.text.relations import shipped_relations

OFFICE = re.compile(r"(?i)^the (?:position|office|post|role|title) of (?:the )?(?=\w.* (?:of|in|for) \{\}$)")
MOST_WORDS = 120  # a longer question is not read
IS = r"(?: (?:is|are|was|were)(?:(?: named| called)? (?:who|what))?)?"


@dataclass(frozen=True, slots=True)
class Step:
    """A phrase that was read: its hop (None where it asks nothing), and the words with the slot in its place."""

    hop: str | None
    words: Words


def read_hops(question: str, name: str) -> tuple[str, ...]:
    """The hops of a question about `name`, first one first, each with `{}` for what the hop before it found.

    A plain question gives one hop, itself. Empty where the name is not in it, or it asks nothing.
    """
    before, found, behind = question.partition(name) if name else ("", "", "")
    words = words_around(before, behind)
    if not found or len(words) > MOST_WORDS:
        return ()
    hops: list[str] = []
    while step := next(filter(None, (rule(words) for rule in RULES)), None):
        if step.hop and not (hops and _asks_the_same(step.hop, hops[-1])):
            hops.append(step.hop)
        words = step.words
    if hops and (_asks_nothing(words, hops[-1]) or _asks_who_is(as_text(words), hops[-1])):
        return tuple(OFFICE.sub("the ", hop) for hop in hops)
    if words[-1:] != ["?"]:  # a cloze is of several hops only as “The capital of the country of {} is”
        return (question.replace(name, SLOT, 1),)
    if not hops or not _asks_the_same(as_text(words), hops[-1]):
        hops.append(as_text(words))
    return tuple(OFFICE.sub("the ", hop) for hop in hops)


def asks_for_a_thing(hop: str) -> bool:
    """Whether a hop describes a thing or asks which one, and not whether, why or how: “the home of {}”."""
    return not hop.endswith("?") or bool(re.match(r"(?i)(?:\w+ )?(?:who|whom|whose|what|which|where)\b", hop))


def asked_kind(question: str) -> str | None:
    """The kind of thing a question asks for, where it is the name of a relation, too: “Which continent …”."""
    asked = re.search(r"\b(?:which|what) (\w+)", question.casefold())
    return asked[1] if asked and asked[1] in _kinds() else None


def _possessive(words: Words) -> Step | None:
    at = words.index(SLOT)
    if words[at + 1 : at + 2] not in (["'s"], ["'"]):
        return None
    end = at + 2
    while end < len(words) and not g.ends_a_phrase(words[end]):
        end += 1
    if words[end : end + 1] == ["of"] and end + 1 < len(words) and not g.ends_a_phrase(words[end + 1]):
        end += 2  # 's country of citizenship
    if end - at > 3 and _is_last_verb(words, at, end):  # Where did {}'s founder work?
        end -= 1
    noun = words[at + 2 : end]
    owner = next((place for place, word in enumerate(noun) if word.endswith(("'s", "’s"))), None)
    if owner is not None:  # {}'s broadcaster's country
        noun, rest = [*noun[:owner], noun[owner][:-2]], ["'s", *words[at + 3 + owner :]]
    else:
        rest = words[end:]
    if not noun:
        return None
    return Step(as_text(["the", *noun, "of", SLOT]), [*without_article(words[:at]), SLOT, *rest])


def _compound(words: Words) -> Step | None:
    at = words.index(SLOT)
    noun = words[at + 1 : at + 2]
    if at < 1 or words[at - 1].casefold() != "the" or not noun or noun[0].casefold() not in _kinds():
        return None
    return Step(as_text(["the", *noun, "of", SLOT]), [*words[: at - 1], SLOT, *words[at + 2 :]])


def _noun(words: Words) -> Step | None:
    at = words.index(SLOT)
    tie = at - 1 if at and words[at - 1].casefold() != "the" else at - 2
    if tie < 1 or words[tie].casefold() not in g.BEHIND_A_NOUN:
        return None
    start = phrase_before(words, tie)
    if start is None:
        return None
    noun = words[start:tie]
    asks = not set(word.casefold() for word in noun) <= g.NAMES_OF_A_THING | g.DETERMINERS
    return Step(as_text([*noun, words[tie], SLOT]) if asks else None, [*words[:start], SLOT, *words[at + 1 :]])


def _participle(words: Words) -> Step | None:
    at = words.index(SLOT)
    left = len(without_article(words[:at]))
    if left < 3 or words[left - 1].casefold() not in g.PREPOSITIONS:
        return None
    verb = words[left - 2].casefold()
    if not (verb.endswith("ed") or verb in g.PARTICIPLES):
        return None
    start = phrase_before(words, left - 2)
    if start is None:
        return None
    hop = None if g.SAME.fullmatch(" ".join(words[left - 2 : left]).casefold()) else as_text([*words[start:left], SLOT])
    return Step(hop, [*words[:start], SLOT, *words[at + 1 :]])


def _doing(words: Words) -> Step | None:
    """The NOUN hosting {}, the NOUN responsible for developing {}."""
    at = words.index(SLOT)
    left = len(without_article(words[:at]))
    if left < 3 or not words[left - 1].endswith("ing"):
        return None
    end = left - 1
    if words[end - 1].casefold() in g.PREPOSITIONS:
        end -= 2  # responsible for, known for, charged with
    start = phrase_before(words, end) if end > 0 else None
    if start is None or words[start].casefold() not in g.DETERMINERS:
        return None
    return Step(as_text([*words[start:left], SLOT]), [*words[:start], SLOT, *words[at + 1 :]])


def _subject(words: Words) -> Step | None:
    """Of a clause whose subject is asked for: the NOUN that VERB … {}."""
    at = words.index(SLOT)
    left = len(without_article(words[:at]))
    opens = next((place for place in range(left - 1, 0, -1) if words[place].casefold() in g.RELATIVES), None)
    if opens is None or opens + 1 >= left or any(word.casefold() in g.ASKING for word in words[opens + 1 : left]):
        return None
    start = phrase_before(words, opens)
    verb = words[opens + 1 : left]
    if start is None or not any(g.is_verb(word) for word in verb):
        return None
    if left == at and g.DETERMINERS & set(verb) and parted(words[at + 1 :], words[:at])[0]:
        return None  # the country that invented the sport {} plays
    hop = None if g.SAME.fullmatch(" ".join(verb).casefold()) else as_text([*words[start:left], SLOT])
    return Step(hop, [*words[:start], SLOT, *words[at + 1 :]])


def _clause(words: Words) -> Step | None:
    """Of a clause that says something of it: the NOUN (in) where {} VERB …, the NOUN {} VERB …."""
    at = words.index(SLOT)
    opens = len(without_article(words[:at]))
    end, marked = _end_of_noun(words, opens)
    start = phrase_before(words, end)
    if start is None:
        return None
    inside = start > 0 and words[start - 1].casefold() in g.RELATIVES
    said, rest = parted(words[at + 1 :], words[:start])
    if not marked and opens < at and not (said and g.is_verb(said[0])):  # the man the {} prize
        return None
    if inside and any(g.is_verb(word) for word in (*words[:start], *rest) if word[0].isalnum()):
        own, outer = first_clause(said)  # the continent which the country {} is tied to | is part of
        if outer:
            said, rest, inside = own, [*outer, *rest], False
    left = [*words[:start], SLOT]
    if not marked and (inside or not said):  # the sports team {}
        return Step(None, [*left, *words[at + 1 :]])
    if not said:
        return None
    is_there = words[end - 1].casefold() in g.KINDS_OF_PLACE and set(map(str.casefold, said)) <= g.IS_THERE
    return Step(None if is_there else as_text([*words[start:opens], SLOT, *said]), [*left, *rest])


def _end_of_noun(words: Words, opens: int) -> tuple[int, bool]:
    """Where the noun ends that a clause tells of, and whether a word marks that the clause begins: “(in) where”.

    opens: Where the clause's own words begin.
    """
    if opens > 2 and words[opens - 2].casefold() == "whose":  # the country whose citizenship {} holds
        marked, end = True, opens - 2
    else:
        marked = opens > 1 and words[opens - 1].casefold() in g.RELATIVES
        end = opens - marked
    while marked and end > 1 and words[end - 1].casefold() in g.PREPOSITIONS:
        end -= 1
    return end, marked


def _place(words: Words) -> Step | None:
    """Of a clause without a noun that it tells of: Which currency is used where {} VERB …?"""
    at = words.index(SLOT)
    opens = len(without_article(words[:at])) - 1
    if opens < 2 or words[opens].casefold() != "where" or not g.is_verb(words[opens - 1]):
        return None
    said, rest = parted(words[at + 1 :], [])
    if not said:
        return None
    is_there = set(map(str.casefold, said)) <= g.IS_THERE
    hop = None if is_there else as_text(["the", "place", "where", SLOT, *said])
    return Step(hop, [*words[:opens], "in", SLOT, *rest])


RULES: tuple[Callable[[Words], Step | None], ...] = (
    _possessive, _compound, _noun, _participle, _doing, _subject, _clause, _place,
)  # fmt: skip


def _asks_nothing(words: Words, before: str) -> bool:
    """Whether what is left is “What is {}?”, “Which city serves as {}?”, “{} is”, or the slot alone."""
    left = " ".join(word.casefold() for word in words if word[0].isalnum() or word == SLOT)
    left = re.sub(rf"\b(?:{'|'.join(g.SAID_BESIDE)})\b ?", "", left).strip()
    said = re.fullmatch(rf"(?:(?:who|whom|what|which)\b ?(.*?) ?\b{g.SAME.pattern} ?(?:the )?)?\{{\}}{IS}", left)
    kind = (said[1] or "").split()[-1:] if said else []
    return said is not None and (not kind or kind[0] in before.casefold() or kind[0] not in _kinds())


def _asks_who_is(last: str, before: str) -> bool:
    """Whether what is left asks who holds an office: “Who holds {}?” behind “the office of mayor of {}”."""
    return bool(OFFICE.match(before) and re.fullmatch(r"(?i)(?:who|which \w+) (?:holds|occupies|fills) \{\}\W*", last))


def _asks_the_same(last: str, before: str) -> bool:
    """Whether a last hop only says of what kind the thing before it is.

    “Which country is {}?” behind an origin, “In which city is {} located?” and “Where is {}?” behind a capital.
    """
    asked = g.WHAT_KIND.fullmatch(last.casefold())
    if not asked:
        return False
    kind = asked[1] or "place"
    return any(kind in kinds and set(re.findall(r"\w+", before.casefold())) & words for kinds, words in g.OF_A_KIND)


@cache
def _kinds() -> frozenset[str]:
    """Kinds of things that are names of relations as well: country, continent, sport, …"""
    return frozenset(name for name in shipped_relations().keys if " " not in name)


def _is_last_verb(words: Words, at: int, end: int) -> bool:
    """Whether the word before `end` is the verb that a “did” before the slot waits for."""
    waits = any(word in g.DO for word in words[:at]) and not any(g.is_verb(word) for word in words[end:])
    return waits and not any(word[0].isalnum() for word in words[end:])
