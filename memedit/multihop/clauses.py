"""Where the phrases and clauses of an English question begin and end, told by its words alone."""

from __future__ import annotations

from memedit.multihop import grammar as g
from memedit.multihop.wording import Words


def phrase_before(words: Words, end: int) -> int | None:
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
        elif g.ends_a_phrase(word) and not (at < end and _is_adjective(words, at - 1)):
            break
        else:
            at -= 1
    return 0 if at == 0 and end > 0 else None


def _is_adjective(words: Words, at: int) -> bool:
    """Whether a form of a verb stands before a noun: “the organizing country”, “the united kingdom”."""
    small = words[at].casefold()
    return at > 0 and words[at - 1].casefold() in g.DETERMINERS and small.endswith(("ing", "ed"))


def parted(behind: Words, before: Words) -> tuple[Words, Words]:
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
    if waits_for_a_verb([word.casefold() for word in before], said):
        taken = len(last_verb(said)) or 1
        return said[:-taken], [*said[-taken:], *end]
    return said, end


def first_clause(said: Words) -> tuple[Words, Words]:
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


def last_verb(said: Words) -> Words:
    """The verb at the end and the preposition behind it: “based”, “located in”, also “part of”."""
    tail = said[-2:] if len(said) > 1 and said[-1].casefold() in g.PREPOSITIONS else said[-1:]
    return tail if tail and (g.is_verb(tail[0]) or tail[0] == "part") else []


def waits_for_a_verb(before: Words, said: Words) -> bool:
    """Whether the question around a phrase still lacks its verb: “From which country does the sport {} plays come?”.

    Behind “is” it does so only where two verbs follow: “In which city is the company that {} owns based?”.
    """
    at = next((place for place in range(len(before) - 1, -1, -1) if before[place] in g.DO | g.BE), None)
    if at is None or not said:
        return False
    behind, verb = before[at + 1 :], last_verb(said)
    opens = next((place for place, word in enumerate(behind) if word in g.RELATIVES), None)
    if any(g.is_verb(word) for word in behind[:opens]) or (verb and verb[0].endswith("s")):
        return False  # From where does the man {} | comes from?
    if before[at] in g.DO:  # Where do they speak what is spoken where {} lives?
        return not g.PRONOUNS & set(behind)
    asks_what = at > 0 and before[at - 1] in ("who", "what", "which")
    return bool(verb) and not asks_what and _two_verbs_follow(behind, said[: -len(verb)], verb[0])


def _two_verbs_follow(behind: Words, said: Words, verb: str) -> bool:
    """Whether a verb belongs to the question's “is”, and not to the phrase before it, which has one of its own.

    Args:
        behind: What stands between “is” and the slot.
        said: Between the slot and the verb.
        verb: The last one.
    """
    opens = [place for place, word in enumerate(behind) if word in g.RELATIVES]
    told = bool(opens) and any(g.is_verb(word) for word in behind[opens[-1] :])
    if opens and not told and verb not in g.PLACED:  # the country where the sport {} plays | began
        return False
    earlier = [word for word in said if word not in g.ADVERBS]
    if earlier and (g.is_auxiliary(earlier[-1]) or earlier[-1] in g.DETERMINERS):
        return False  # {} was | educated, {} is a | part of
    return any(g.is_verb(word) for word in earlier) or (told and verb in g.PARTICIPLES | g.PLACED)
