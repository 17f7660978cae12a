"""Which text of a request the gate looks at: what it asks, made to stand by itself.

`_ask` finds the sentence that asks; `_focus` puts what its pronouns stand for in their place or, in doubt, in front.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memedit.gate.focus_words import (
    ASKED,
    ASKING,
    BRINGS,
    CLAUSE,
    DESCRIBE,
    DUMMY,
    ENDED,
    FUNCTION,
    HERE,
    INITIALS,
    JOB,
    MANNER,
    MAYBE_LAST,
    NUMBER,
    ON_TEXT,
    OPEN_END,
    OPENERS,
    OPENS_NAMED,
    OTHER,
    POINTER,
    POLITE,
    PREPOSITION,
    QUESTION,
    STARTER,
    STOP,
    TITLES,
    TOKEN,
    UNNAMED,
    VERB,
)
from memedit.text import LETTERED

HEAD, TAIL = 4_000, 8_000  # a long prompt asks at its start or at its end; its middle is not read
LONGEST = 1_000  # what goes on for longer is no sentence, but may end in one
MANY = 8  # sentences, of which more are material that a message brings
MEMORY = 8  # how many of the user's turns a chain of follow-ups may reach back


@dataclass(frozen=True, slots=True)
class Focus:
    """What a request asks.

    Args:
        query: The text to compare with edits; it stands by itself, and is empty when nothing is asked.
        parts: The pieces of the conversation it is made of, newest first.
    """

    query: str = ""
    parts: tuple[str, ...] = ()


def focus(turns: Sequence[tuple[str, str]]) -> Focus:
    """What the last user turn of a conversation (role and text of each turn, oldest first) asks."""
    exchanges: list[tuple[str, str]] = []  # what the user said, and the answer to it
    answer = ""
    for role, text in reversed(turns):
        if role == "assistant":
            answer = text
        elif role == "user" and text.strip() and len(exchanges) < MEMORY:
            exchanges.insert(0, (text, answer))
            answer = ""
    return _focus(exchanges) if exchanges else Focus()


def _focus(exchanges: list[tuple[str, str]]) -> Focus:
    lead, ask, alone = _ask(exchanges[-1][0])
    fragment, pointer = _fragment(ask), _pointer(ask)
    if not (fragment or pointer or _says_nothing(ask)):
        return Focus(ask, (ask,)) if ask else Focus()
    source, answer = next((Focus(said, (said,)) for said in reversed(lead[-6:]) if _names(said)), Focus()), ""
    for end in range(0 if alone else len(exchanges) - 1, 0, -1):
        if source.query:
            break
        source, answer = _focus(exchanges[:end]), exchanges[end - 1][1]
    if not source.query and lead:
        source = Focus(lead[-1], (lead[-1],))

    if fragment and (swapped := _swap(source.query, fragment)):
        return Focus(swapped, (ask, *source.parts))
    if pointer:
        names, said = _antecedents(pointer, source.query, answer)
        if len(names) == 1:
            query = _put(names[0], ask, pointer)
            if (fragment := _fragment(query)) and names[0] in source.query:  # "And her brother?"
                query = source.query.replace(names[0], fragment, 1)
            return Focus(query, (ask, said) if said else (ask, *source.parts))
        if said:
            source = Focus(f"{source.query} {said}", (said, *source.parts))
    return Focus(f"{source.query} {ask}".strip(), (ask, *source.parts))


def _ask(text: str) -> tuple[list[str], str, bool]:
    """The sentences in front of the one that asks, that one, and whether the message brings its own material."""
    plain, alone = _prose(text)
    plain, open_end = _without_open_end(plain)
    if labelled := _labelled(plain):
        return labelled[:-1], labelled[-1], False
    if open_end:  # the last example of a few-shot prompt
        return [], " ".join([line.strip() for line in plain.splitlines() if line.strip()][-2:]), True
    blocks = [found for part in re.split(r"\n\s{0,99}\n|\n-{3,}", plain) if (found := sentences(part))]
    if len(blocks) > 1 and ON_TEXT.match(blocks[0][0]):
        return [], blocks[0][0], True
    said = [sentence for block in blocks for sentence in block]
    alone = alone or len(blocks) > 2 or len(said) > MANY
    closing, opening = (len(said) - len(blocks[-1]), len(blocks[0])) if blocks else (0, 0)
    first, last = _asking(said, opening, closing)
    lead = [sentence for sentence in said[: max(first, 0)] if not POLITE.match(sentence)]
    return lead, " ".join(said[first : last + 1]) if last >= 0 else "", alone


def _prose(text: str) -> tuple[str, bool]:
    """What of a message may ask, and whether the rest is material that it brings."""
    plain = "\n\n".join(text.split("```")[::2])  # code asks nothing
    plain = plain if plain.strip() else text
    if (choices := LETTERED.search(plain)) and plain[: choices.start()].strip():
        plain = plain[: choices.start()]  # what is offered asks nothing
    if len(plain) > HEAD + TAIL:
        return f"{plain[:HEAD]}\n\n{plain[-TAIL:]}", True
    return plain, len(plain) < len(text)


def _without_open_end(plain: str) -> tuple[str, bool]:
    """A text without the open end that a question stands before, and whether an end without one is open."""
    open_end = OPEN_END.search(plain)
    if open_end and ASKED.search(before := plain[: open_end.start()].rstrip()):
        return before, False
    return plain, open_end is not None


def _labelled(plain: str) -> list[str]:
    """The sentences of what the last label says is the question; none where something is asked behind it."""
    labelled = [*QUESTION.finditer(plain)]
    if not labelled or ASKED.search(plain[labelled[-1].end() :].rstrip()):  # a FAQ, and a question about it
        return []
    return [said for said in sentences(labelled[-1][1]) if not said.endswith(":")] or [""]


def _asking(said: Sequence[str], opening: int, closing: int) -> tuple[int, int]:
    """The first and the last of the sentences that ask; -1 twice where nothing but courtesies is said.

    Args:
        said: All sentences.
        opening: How many the first block has.
        closing: Where the last block begins.
    """
    asked_before = len(said) - closing > MANY and any(map(ASKED.search, said[:closing]))
    end = -1 if asked_before else len(said) - 1  # a log behind a question ends like a sentence to be gone on with
    asks = [at for at, sentence in enumerate(said) if _asks(sentence, last=at == end)]
    if asks:
        at = asks[-1] if asks[-1] >= closing else max((at for at in asks if at < opening), default=asks[-1])
    else:  # a bare statement, or nothing but courtesies
        at = max((at for at, sentence in enumerate(said) if not POLITE.match(sentence)), default=-1)
    first = at
    while first > (closing if at >= closing else 0) and ASKED.search(said[at]) and ASKED.search(said[first - 1]):
        first -= 1  # several questions in a row are all asked
    return first, at


def _asks(sentence: str, last: bool) -> bool:
    if POLITE.match(sentence) or (MANNER.match(sentence) and not ASKED.search(sentence)):
        return False
    cloze = last and not ENDED.search(sentence) and sentence.count(" ") > 1
    return bool(cloze or ASKED.search(sentence) or ASKING.match(sentence))


def sentences(text: str) -> list[str]:
    return [" ".join(cut.split())[-LONGEST:] for cut in cut_up(text) if re.search(r"\w", cut)]


def cut_up(text: str) -> list[str]:
    """The text in its sentences, each with what stands up to the next; joined, they are the text again."""
    cuts, start = [], 0
    for stop in STOP.finditer(text):
        before = text[max(start, stop.start() - 40) : stop.start()].split()
        last = before[-1].lower().lstrip("(\"'“") if before else ""
        word = found[0] if (found := TOKEN.match(text, stop.end())) else ""
        mark, small = stop[0][0], word[:1].islower()
        wrapped = mark == "\n" and last and last[-1] not in ".:?!," and (small or (last in FUNCTION and word))
        shortened = last in TITLES or (last == "no" and word.isdigit()) or (before == [last] and last.isdigit())
        initial = (INITIALS.fullmatch(last) or last in MAYBE_LAST) and word.lower() not in OPENERS
        inside = small and (mark in ".!…" or stop[0].rstrip()[-1:] in "\"'”’»")
        if not (wrapped or inside or (mark == "." and (shortened or initial))):
            cuts.append(text[start : stop.end()])
            start = stop.end()
    return [*cuts, text[start:]]


def _names(text: str) -> list[tuple[int, int]]:
    """Where the names are: runs of capitalised words, with the numbers that belong to them."""
    spans: list[tuple[int, int]] = []
    before, last = "", 0
    for token in TOKEN.finditer(text):
        word, gap = re.sub(r"['’]s$", "", token[0]), text[last : token.start()]
        end = token.start() + len(word)
        initial = gap == ". " and (INITIALS.fullmatch(before) or before.lower() in TITLES)
        opens = not before or (not initial and bool(re.search(r"[.!?…:]", gap)))
        named = word[0].isupper() and word.lower() not in UNNAMED | (OPENERS if opens else FUNCTION)
        if named and opens:  # such a capital may only mark where the sentence begins
            named = bool(OPENS_NAMED.match(text, end))
        goes_on = spans and spans[-1][1] == last and (gap in (" ", " & ") or initial)
        if named or (goes_on and word.isdigit()):
            spans.append((spans.pop()[0] if goes_on else token.start(), end))
        before, last = token[0], token.end()
    return spans


def _fragment(ask: str) -> str:
    """What is left of "And in Norway?" or "What about Globex?", asks that take over the question before them."""
    starter = STARTER.match(ask)
    rest = ask[starter.end() if starter else 0 :].rstrip("?？؟!. ")
    if rest.count(" ") > 7 or ASKING.match(rest) or VERB.search(rest):
        return ""
    if starter:
        return "" if " of " in rest and _names(rest) else rest
    core = rest[found.end() :] if (found := PREPOSITION.match(rest)) else rest
    return rest if ASKED.search(ask) and _alike(core, core) else ""


def _says_nothing(ask: str) -> bool:
    """Whether an ask has no content of its own: "Why?", "Since when?", "And who won?"."""
    words = {word.lower() for word in TOKEN.findall(ask)}
    if "you" in words and words.isdisjoint(("sure", "mean", "know", "think")):
        return False  # "Who are you?" asks about the assistant
    return bool(words) and (words <= OPENERS or bool(STARTER.match(ask) and not _names(ask)))


def _pointer(ask: str) -> re.Match[str] | None:
    """The first word of `ask` that stands for something outside of `ask`."""
    names = _names(ask)
    dummies = [found.span() for found in DUMMY.finditer(ask) if names or not found[1]]
    for found in POINTER.finditer(ask):
        front = ask[: found.start()]
        own = [end for _, end in names if end <= len(front)] + [some.end() for some in HERE.finditer(front)]
        # "Does Acme pay its staff?", "Was Acme small when it began?", but not "Does Acme own it?"
        bound = own and not found["vague"] and (_possessive(ask, found) or CLAUSE.search(front, min(own)))
        if not bound and not any(start <= len(front) < end for start, end in dummies):
            return found
    return None


def _possessive(ask: str, pointer: re.Match[str]) -> bool:
    word, following = pointer[0].lower(), TOKEN.match(ask, pointer.end() + 1)
    return word in ("his", "its", "their") or (word == "her" and following is not None and following[0] not in FUNCTION)


def _antecedents(pointer: re.Match[str], question: str, answer: str) -> tuple[list[str], str]:
    """The names a pointer may stand for, and the sentence of the answer they are from, if they are from there."""
    kind = pointer.lastgroup or ""
    old, new, said = dict.fromkeys(_named(question)), dict.fromkeys(_named("")), ""
    for said in sentences(answer[:HEAD])[:3]:
        for name in _named(said):
            (old if name.lower() in question.lower() else new)[name] = None
        if new:
            break
    if kind == "vague":
        return [], said if new and not old else ""
    if new and (not old or (BRINGS[kind].match(question) and not DESCRIBE.match(question))):
        return list(new), said
    return ([] if kind == "thing" and OTHER.search(question) else list(old)), ""


def _named(text: str) -> list[str]:
    return [text[start - 4 if text[:start].lower().endswith("the ") else start : end] for start, end in _names(text)]


def points_back(ask: str) -> bool:
    """Whether an ask needs what was said before it: it takes over the question, says nothing, or points."""
    return bool(_fragment(ask) or _says_nothing(ask) or _pointer(ask))


def _put(name: str, ask: str, pointer: re.Match[str]) -> str:
    """`ask` with a name in the place of its pointer."""
    front = ask[: pointer.start()]
    if _possessive(ask, pointer):
        name += "'" if name.endswith("s") else "'s"
    elif pointer.lastgroup == "place" and not re.search(rf"\b{PREPOSITION.pattern}$", front, re.I):
        name = f"in {name}"
    return front + name + ask[pointer.end() :]


def _alike(phrase: str, text: str) -> list[tuple[int, int]]:
    """Where `text` holds what a phrase that is nothing but a number, a job or a name may take the place of."""
    core = re.sub(r"^the\s+", "", phrase, flags=re.I)
    for kind in (NUMBER, JOB):
        if kind.fullmatch(core):
            return [found.span() for found in kind.finditer(text)]
    return _names(text) if _names(core) == [(0, len(core))] else []


def _swap(question: str, fragment: str) -> str:
    """`question` about what `fragment` names, like in the place of like; empty when that cannot be done."""
    preposition = PREPOSITION.match(fragment)
    new = fragment[preposition.end() :] if preposition else fragment
    spans = _alike(new, question)
    if preposition and new.count(" ") < 2:
        same = [found.end() for found in re.finditer(rf"\b{preposition[1]}\s+(?:the\s+)?(?=\w)", question, re.I)]
        words = [found.span() for at in same[-1:] if (found := TOKEN.match(question, at))]
        spans = [span for span in spans if span[0] in same] or spans or words
    if not spans:
        return ""
    start, end = spans[-1]
    return re.sub(r"the\s+$", "", question[:start], flags=re.I) + new + question[end:]
