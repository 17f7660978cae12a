"""Whether a question asks for the opposite of what a statement tells: the maximum of a minimum, how to uninstall what
can be installed. It decides nothing; the weighing learns what it is worth (`weighing.py`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from memedit.text import words

PAIRS = """
    minimum min least lowest fewest | maximum max most highest
    cheapest | most_expensive priciest dearest costliest
    smallest tiniest | largest biggest greatest
    shortest | longest tallest
    slowest | fastest quickest
    youngest newest latest | oldest earliest
    nearest closest | farthest furthest
    worst | best
    lightest weakest | heaviest strongest
    first | last
    open opens opening | close closes closing
    start starts started begin begins began beginning | end ends ended ending finish finishes finished stop stops
    arrive arrives arrived arrival arrivals | depart departs departed departure departures leave leaves
    check_in checkin | check_out checkout
    turn_on switch_on turned_on | turn_off switch_off turned_off
    log_in login sign_in | log_out logout sign_out
    enter enters entry entrance | exit exits
    import imports imported importing | export exports exported exporting
    upload uploads uploading | download downloads downloading
    enable enables enabled | disable disables disabled
    include includes included | exclude excludes excluded
    encrypt encrypts | decrypt decrypts
    add adds | remove removes delete deletes
    increase increases raise raises | decrease decreases lower lowers
    accept accepts | reject rejects decline declines
    pull pulls | push pushes
    inbound incoming | outbound outgoing
    revenue income turnover | expenses costs spending
    profit | loss losses
    debit | credit
    father dad | mother mum mom
    brother brothers | sister sisters
    son sons | daughter daughters
    husband | wife
    grandfather grandpa | grandmother granny grandma
    uncle | aunt
    men male | women female
    weekday weekdays | weekend weekends
    summer | winter
    upper top | bottom
    mindestens minimal mindest | höchstens maximal höchst
    öffnet öffnen | schließt schließen
    ankunft ankommt | abfahrt abflug
    erste erster erstes | letzte letzter letztes
    abre abren apertura | cierra cierran cierre
    ouvre ouvrent ouverture | ferme ferment fermeture
    apre aprono | chiude chiudono chiusura
"""
SIDES = [
    [["_".join(words(word.replace("_", " "))) for word in side.split()] for side in line.split("|")]
    for line in PAIRS.strip().splitlines()
]
SIDE_OF = {word: (at, side) for at, pair in enumerate(SIDES) for side in (0, 1) for word in pair[side]}
TURNED = ("un", "de", "dis", "non")  # what turns a word into its opposite: install, uninstall
LEAST = 5  # letters of a word that may be turned
WHETHER = re.compile(r"^\W*(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|may|isn|aren|don)\b")


def opposed(question: str, statement: str) -> bool:
    """Whether the question names the other side of what the statement names, and not the same one.

    A question whether something is so may well name the other side of what settles it; it never is opposed.
    """
    if WHETHER.match(question.casefold()):
        return False
    asked, said = named(question), named(statement)
    if any((at, 1 - side) in said[0] and (at, side) not in said[0] and (at, 1 - side) not in asked[0]
           for at, side in asked[0]):  # fmt: skip
        return True
    return not (asked[2] & said[1] <= asked[1] and said[2] & asked[1] <= said[1])


@lru_cache(maxsize=4096)
def named(text: str) -> tuple[frozenset[tuple[int, int]], frozenset[str], frozenset[str]]:
    """The sides that a text names, its words, and what those of them that may be turned would be, turned back."""
    said = words(text)
    both = [*said, *(f"{one}_{two}" for one, two in pairwise(said))]
    back = (
        word[len(start) :]
        for word in said
        for start in TURNED
        if word.startswith(start) and len(word) >= LEAST + len(start)
    )
    return frozenset(SIDE_OF[word] for word in both if word in SIDE_OF), frozenset(said), frozenset(back)
