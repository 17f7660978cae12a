"""A question read as hops by its grammar alone, from the name it holds outwards. No model is asked.

“Who is the head of state of the country where Ellie Kemper holds citizenship?” names Ellie Kemper; around her stands
“the country where {} holds citizenship”, around that “the head of state of {}”. Each step takes the nearest phrase in
which the slot stands, and puts the slot in its place:

    possessive    {}'s NOUN                       →  the NOUN of {}
    compound      the {} NOUN                     →  the NOUN of {}
    noun          the NOUN of {}                  →  the NOUN of {}
    participle    the NOUN played by {}           →  the NOUN played by {}
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

from memedit.multihop import grammar as g
from memedit.relations import shipped_relations

SLOT = "{}"
MOST_WORDS = 120  # a longer question is not read
IN_LAW = re.compile(r"(?i)\b((?:father|mother|brother|sister|son|daughter)s?) in law\b")
QUOTES = re.compile(r",?[\"“”]|‘|’(?!s\b)")
WORD = re.compile(r"\{\}|[\w.&’'/-]*\w|[^\w\s]")
IS = r"(?: (?:is|are|was|were)(?:(?: named| called)? (?:who|what))?)?"
Words = list[str]


@dataclass(frozen=True, slots=True)
class Step:
    """A phrase that was read: its hop (None where it asks nothing), and the words with the slot in its place."""

    hop: str | None
    words: Words


def read_hops(question: str, name: str) -> tuple[str, ...]:
    """The hops of a question about `name`, first one first, each with `{}` for what the hop before it found.

    A plain question gives one hop, itself. Empty where the name is not in it, or it asks nothing.
    """
    place = question.find(name)
    around = (question[:place], question[place + len(name) :])
    around_slot = f" {SLOT} ".join(IN_LAW.sub(r"\1-in-law", QUOTES.sub("", part)) for part in around)
    words = _unparted(_marked(WORD.findall(around_slot)))
    if not name or place < 0 or len(words) > MOST_WORDS:
        return ()
    hops: list[str] = []
    while step := next(filter(None, (rule(words) for rule in RULES)), None):
        hops += [step.hop] if step.hop else []
        words = step.words
    if hops and _asks_nothing(words, hops[-1]):
        return tuple(hops)
    if not question.rstrip().endswith("?"):  # a cloze is of several hops only as “The capital of the country of {} is”
        return (question.replace(name, SLOT, 1),)
    if hops and _asks_the_same(_text(words), hops[-1]):
        return tuple(hops)
    return (*hops, _text(words))


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
    return Step(_text(["the", *noun, "of", SLOT]), [*_without_article(words[:at]), SLOT, *rest])


def _compound(words: Words) -> Step | None:
    at = words.index(SLOT)
    noun = words[at + 1 : at + 2]
    if at < 1 or words[at - 1].casefold() != "the" or not noun or noun[0].casefold() not in _kinds():
        return None
    return Step(_text(["the", *noun, "of", SLOT]), [*words[: at - 1], SLOT, *words[at + 2 :]])


def _noun(words: Words) -> Step | None:
    at = words.index(SLOT)
    tie = at - 1 if at and words[at - 1].casefold() != "the" else at - 2
    if tie < 1 or words[tie].casefold() not in g.BEHIND_A_NOUN:
        return None
    start = _phrase(words, tie)
    if start is None:
        return None
    noun = words[start:tie]
    asks = not set(word.casefold() for word in noun) <= g.NAMES_OF_A_THING | g.DETERMINERS
    return Step(_text([*noun, words[tie], SLOT]) if asks else None, [*words[:start], SLOT, *words[at + 1 :]])


def _participle(words: Words) -> Step | None:
    at = words.index(SLOT)
    left = len(_without_article(words[:at]))
    if left < 3 or words[left - 1].casefold() not in g.PREPOSITIONS:
        return None
    verb = words[left - 2].casefold()
    if not (verb.endswith("ed") or verb in g.PARTICIPLES):
        return None
    start = _phrase(words, left - 2)
    if start is None:
        return None
    hop = None if g.SAME.fullmatch(" ".join(words[left - 2 : left]).casefold()) else _text([*words[start:left], SLOT])
    return Step(hop, [*words[:start], SLOT, *words[at + 1 :]])


def _subject(words: Words) -> Step | None:
    """Of a clause whose subject is asked for: the NOUN that VERB … {}."""
    at = words.index(SLOT)
    left = len(_without_article(words[:at]))
    opens = next((place for place in range(left - 1, 0, -1) if words[place].casefold() in g.RELATIVES), None)
    if opens is None or opens + 1 >= left or any(word.casefold() in g.ASKING for word in words[opens + 1 : left]):
        return None
    start = _phrase(words, opens)
    verb = words[opens + 1 : left]
    if start is None or not any(g.is_verb(word) for word in verb):
        return None
    hop = None if g.SAME.fullmatch(" ".join(verb).casefold()) else _text([*words[start:left], SLOT])
    return Step(hop, [*words[:start], SLOT, *words[at + 1 :]])


def _clause(words: Words) -> Step | None:
    """Of a clause that says something of it: the NOUN (in) where {} VERB …, the NOUN {} VERB …."""
    at = words.index(SLOT)
    opens = len(_without_article(words[:at]))
    marked = opens > 1 and words[opens - 1].casefold() in g.RELATIVES
    end = opens - marked
    while marked and end > 1 and words[end - 1].casefold() in g.PREPOSITIONS:
        end -= 1
    start = _phrase(words, end)
    if start is None:
        return None
    inside = start > 0 and words[start - 1].casefold() in g.RELATIVES
    said, rest = _parted(words[at + 1 :], words[:start])
    if not marked and opens < at and not (said and g.is_verb(said[0])):  # the man the {} prize
        return None
    if inside and any(g.is_verb(word) for word in (*words[:start], *rest) if word[0].isalnum()):
        own, outer = _first_clause(said)  # the continent which the country {} is tied to | is part of
        said, rest, inside = (own, [*outer, *rest], False) if outer else (said, rest, True)
    if not marked and (inside or not said):  # the sports team {}
        return Step(None, [*words[:start], SLOT, *words[at + 1 :]])
    if not said:
        return None
    is_there = words[end - 1].casefold() in g.KINDS_OF_PLACE and set(map(str.casefold, said)) <= g.IS_THERE
    hop = None if is_there else _text([*words[start:opens], SLOT, *said])
    return Step(hop, [*words[:start], SLOT, *rest])


def _place(words: Words) -> Step | None:
    """Of a clause without a noun that it tells of: Which currency is used where {} VERB …?"""
    at = words.index(SLOT)
    opens = len(_without_article(words[:at])) - 1
    if opens < 2 or words[opens].casefold() != "where" or not g.is_verb(words[opens - 1]):
        return None
    said, rest = _parted(words[at + 1 :], [])
    if not said:
        return None
    is_there = set(map(str.casefold, said)) <= g.IS_THERE
    hop = None if is_there else _text(["the", "place", "where", SLOT, *said])
    return Step(hop, [*words[:opens], "in", SLOT, *rest])


RULES: tuple[Callable[[Words], Step | None], ...] = (
    _possessive, _compound, _noun, _participle, _subject, _clause, _place,
)  # fmt: skip


def _phrase(words: Words, end: int) -> int | None:
    """Where the noun phrase with a determiner that ends before `end` begins; None where none does.

    “the head of state” is one: behind its “of” no other phrase begins.
    """
    at = end
    while at > 0:
        word = words[at - 1]
        small = word.casefold()
        if small in g.DETERMINERS:
            return at - 1 if at < end else None
        if small == "of" and at < end and at > 1 and not g.ends_a_phrase(words[at - 2]):
            at -= 1
        elif g.ends_a_phrase(word):
            break
        else:
            at -= 1
    return 0 if at == 0 and end > 0 else None


def _parted(behind: Words, before: Words) -> tuple[Words, Words]:
    """What stands behind the slot, as the clause's own part and what belongs to the question around it."""
    end = [word for word in behind if word in "?.!"][:1]
    said = [word for word in behind if word not in "?.!"]
    if not end and said and said[-1].casefold() in g.BE:  # a cloze: The league of the team that {} plays for is
        return said[: -2 if said[-2:-1] == [","] else -1], said[-1:]
    if said[:1] == [","]:  # the country where the sport, played by {}, began
        said = said[1:]
    if "," in said:  # the country where {} began, is its capital
        place = said.index(",")
        return said[:place], [*said[place + 1 :], *end]
    small = [word.casefold() for word in said]
    if not before or (len(before) == 1 and before[0].casefold() in g.PREPOSITIONS):
        # The country {} belongs to has which capital?
        for place in range(1, len(said) - 1):
            if small[place] in g.AUXILIARIES | {"serves"} and small[place + 1] in g.ASKING | {"the", "located"}:
                return said[:place], [*said[place:], *end]
    if _waits_for_a_verb([word.casefold() for word in before], said):
        taken = len(_last_verb(said)) or 1
        return said[:-taken], [*said[-taken:], *end]
    return said, end


def _first_clause(said: Words) -> tuple[Words, Words]:
    """What is said up to where a second verb begins, and from there: “is tied to”, “is part of”."""
    begun = False
    for at, word in enumerate(said):
        if not g.is_verb(word) or word.endswith("ing") or word in g.PLACED:
            continue
        before = [earlier for earlier in said[:at] if earlier not in g.ADVERBS][-1:]
        if begun and not g.is_auxiliary(before[0]):
            return said[:at], said[at:]
        begun = True
    return said, []


def _last_verb(said: Words) -> Words:
    """The verb at the end and the preposition behind it: “based”, “located in”, also “part of”."""
    tail = said[-2:] if len(said) > 1 and said[-1].casefold() in g.PREPOSITIONS else said[-1:]
    return tail if tail and (g.is_verb(tail[0]) or tail[0] == "part") else []


def _is_last_verb(words: Words, at: int, end: int) -> bool:
    """Whether the word before `end` is the verb that a “did” before the slot waits for."""
    waits = any(word in g.DO for word in words[:at]) and not any(g.is_verb(word) for word in words[end:])
    return waits and not any(word[0].isalnum() for word in words[end:])


def _waits_for_a_verb(before: Words, said: Words) -> bool:
    """Whether the question around a phrase still lacks its verb: “From which country does the sport {} plays come?”.

    Behind “is” it does so only where two verbs follow: “In which city is the company that {} owns based?”.
    """
    at = next((place for place in range(len(before) - 1, -1, -1) if before[place] in g.DO | g.BE), None)
    if at is None or not said or any(g.is_verb(word) for word in before[at + 1 :]):
        return False
    verb = _last_verb(said)
    if verb and verb[0].endswith("s"):  # From where does the man {} | comes from?
        return False
    if before[at] in g.DO:
        return True
    in_a_clause = any(word in g.RELATIVES for word in before[at + 1 :])
    if not verb or (in_a_clause and verb[0] not in g.PLACED):  # the country where the sport {} plays | was founded
        return False
    earlier = [word for word in said[: -len(verb)] if word not in g.ADVERBS]
    while earlier and g.is_auxiliary(earlier[-1]):
        earlier.pop()
    asks_what = at > 0 and before[at - 1] in ("who", "what", "which")
    is_noun = earlier and earlier[-1] in g.DETERMINERS  # {} is a | part of
    return not asks_what and not is_noun and any(g.is_verb(word) for word in earlier)


def _asks_nothing(words: Words, before: str) -> bool:
    """Whether what is left is “What is {}?”, “Which city serves as {}?”, “{} is”, or the slot alone."""
    left = " ".join(word.casefold() for word in words if word[0].isalnum() or word == SLOT)
    left = re.sub(rf"\b(?:{'|'.join(g.SAID_BESIDE)})\b ?", "", left).strip()
    said = re.fullmatch(rf"(?:(?:who|whom|what|which)\b ?(.*?) ?\b{g.SAME.pattern} ?(?:the )?)?\{{\}}{IS}", left)
    kind = (said[1] or "").split()[-1:] if said else []
    return said is not None and (not kind or kind[0] in before.casefold() or kind[0] not in _kinds())


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


def _marked(words: Words) -> Words:
    """The possessive mark behind the slot as one word."""
    found: Words = []
    for word in words:
        if found[-2:-1] == [SLOT] and found[-1] in ("'", "’") and word == "s":
            found[-1] = "'s"
        else:
            found.append("'" if word == "’" else word)
    return found


def _unparted(words: Words) -> Words:
    """Without the commas that part a thing from what tells which it is: “the sport, played by {}”."""
    return [
        word
        for word, further in zip(words, [*words[1:], ""], strict=True)
        if word != "," or not (further.casefold() in g.RELATIVES | {"of"} | g.PARTICIPLES or further.endswith("ed"))
    ]


def _without_article(words: Words) -> Words:
    return words[:-1] if words and words[-1].casefold() == "the" else words


def _text(words: Words) -> str:
    return re.sub(r" (?=[,.?!;:)]|'s\b)", "", " ".join(words))
