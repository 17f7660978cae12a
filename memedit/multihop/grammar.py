"""The words that hold an English question together: what ends a noun phrase, opens a clause, or says nothing."""

from __future__ import annotations

import re

BE = frozenset("is are was were be been being".split())
DO = frozenset("do does did".split())
AUXILIARIES = BE | DO | frozenset("has have had having can could will would shall should may might must".split())
RELATIVES = frozenset("where that which who whom whose".split())
ASKING = frozenset("who whom whose what which where when how".split())
PREPOSITIONS = frozenset(
    "of in on at to for from by with within as into onto about after behind under among around near through".split()
)
BEHIND_A_NOUN = frozenset("of for in behind to from at".split())
"""The prepositions that may tie what is asked for to what it is asked of: the capital *of*, the author *behind*."""
PRONOUNS = frozenset("i you we they people one".split())
DETERMINERS = frozenset("the a an its his her their".split())
VERBS = frozenset(
    """belong belongs hold holds come comes hail hails speak speaks plays originate originates possess possesses follows
    practices practises reside resides lives works serve serves dies runs leads heads owns sings writes written makes
    made uses goes owe owes held led spoken sung born known found founded built won set came grew begin begins began
    adheres adhere includes include coaches hosts operates stands lie lies took takes used become becomes
    became""".split()
)
PARTICIPLES = frozenset("born written made held led spoken sung built won known run".split())
SAID_BESIDE = "currently|now|presently|today|originally|officially|called|tell me|please".split("|")
KINDS_OF_PLACE = frozenset("city town place location municipality".split())
OF_A_KIND = (
    (
        KINDS_OF_PLACE,
        frozenset("capital headquarters headquarter birthplace place city town location seat base office".split()),
    ),
    (frozenset({"country", "nation"}), frozenset("country nation origin home homeland".split())),
)
"""Kinds of things, and the words of a hop that finds one of the kind."""
WHAT_KIND = re.compile(
    r"the (?:location|place|whereabouts) of \{\}|(?:(?:in |at |on )?(?:which|what) (\w+)|where) "
    r"(?:is|was|are|were) (?:the )?\{\}(?: (?:located|situated|found|based))?(?: in| at)?\W*"
)
ADVERBS = frozenset("first originally initially officially currently now".split())
PLACED = frozenset("located situated based found".split())
IS_THERE = BE | PLACED - {"based"}
NAMES_OF_A_THING = frozenset("name names full title identity person individual one".split())
SAME = re.compile(
    r"(?:(?:is|was|are|were)(?: (?:known|used|considered|regarded|recognized|designated))?(?: as| to be)?"
    r"|(?:serves|serve|acts|functions|stands|known|used|considered|regarded|recognized)(?: as| to be)?)"
)
"""A verb that says what a thing is, and asks nothing new: the city that *serves as* the capital."""


def is_auxiliary(word: str) -> bool:
    """Whether a word is a form of “be”, “do” or “have”, or a modal verb."""
    return word.casefold() in AUXILIARIES


def is_verb(word: str) -> bool:
    """Whether a word looks like a verb: by a list, or by its ending."""
    small = word.casefold()
    if small in AUXILIARIES or small in VERBS:
        return True
    return (small.endswith("ed") and len(small) > 4 and small != "united") or (small.endswith("ing") and len(small) > 6)


def ends_a_phrase(word: str) -> bool:
    """Whether no noun phrase goes on across this word."""
    small = word.casefold()
    return (
        not word[0].isalnum()
        or small in PREPOSITIONS | ASKING | RELATIVES | DETERMINERS
        or small == "and"
        or is_verb(word)
    )
