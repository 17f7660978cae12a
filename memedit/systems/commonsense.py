"""MEMIT_CSK (Gupta et al. 2023, arXiv:2305.14956): judgements of plausibility, edited where a model makes them.

“A man swallows a spoon:” is followed by True or False. What MEMIT does at the last token of a fact's subject is done at
that of subject, verb or object, and in a window of layers that is searched, token by token, on one half of the
statements. Efficacy is the share of wrong judgements that are put right, relapse that of right ones that are broken.
The authors' PEP3k and 20Q are read by `read_statements`; a small set of our own comes with memedit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memedit.errors import EditDiverged, FileRejected
from memedit.parametric.methods.memit import MEMIT
from memedit.parametric.rewrites import Rewrite
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

Part = Literal["subject", "verb", "object"]
WRITER = MEMIT.with_(each=0, bare=1.0)  # a judgement stands at the beginning, so that no prefixes are needed
PARTS: tuple[Part, ...] = ("subject", "verb", "object")
OWN = (
    "man eats apple T|dog eats moon F|child reads book T|book reads child F|farmer milks cow T|cow milks farmer F|"
    "rain fills bucket T|bucket fills rain F|cat drinks milk T|milk drinks cat F|woman opens door T|door opens sea F|"
    "baker bakes bread T|bread bakes oven F|bird builds nest T|nest builds tower F|fire melts ice T|ice melts fire F|"
    "boy throws ball T|ball throws house F|nurse helps patient T|spoon helps river F|horse pulls cart T|"
    "cart pulls horse F|wind moves leaf T|leaf moves mountain F|girl plays piano T|piano plays shoe F|"
    "tailor sews shirt T|shirt sews cloud F|fish swims river T|stone swims lake F"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """Somebody does something to something.

    Args:
        said: The whole.
        subject, verb, object: Its parts, in that order.
        plausible: Whether that may be.

    Raises:
        ValueError: A part does not stand there.
    """

    said: str
    subject: str
    verb: str
    object: str
    plausible: bool

    def __post_init__(self) -> None:
        self._places()

    @property
    def text(self) -> str:
        """What is read before the judgement."""
        return f"{self.said}:"

    def judged(self, part: Part) -> Rewrite:
        """The right judgement, to be written at one of the three."""
        word, at = getattr(self, part), self._places()[PARTS.index(part)]
        prompt = f"{self.text[:at]}{{}}{self.text[at + len(word) :]}"
        return Rewrite(self.text, prompt, word, str(self.plausible))

    def _places(self) -> tuple[int, int, int]:
        subject = self.said.index(self.subject)
        verb = self.said.index(self.verb, subject + len(self.subject))
        return subject, verb, self.said.index(self.object, verb + len(self.verb))


def own_statements() -> list[Statement]:
    """Those that come with memedit."""
    told = (one.split() for one in OWN.split("|"))
    return [
        Statement(f"The {subject} {verb} the {thing}", f"The {subject}", verb, f"the {thing}", label == "T")
        for subject, verb, thing, label in told
    ]


def read_statements(file: str | Path) -> list[Statement]:
    """The statements of a file of the authors, an array of `prompt`, `subject`, `verb`, `object` and `label` (1 or 0).

    Raises:
        FileRejected: It is none, or a part does not stand in its prompt.
    """
    found = []
    try:
        for one in json.loads(Path(file).read_text(encoding="utf-8")):
            found.append(Statement(one["prompt"], one["subject"], one["verb"], one["object"], bool(int(one["label"]))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileRejected(
            f"{file}, record {len(found) + 1}: no statement.", do="give a file of `svo_annotated` of MEMIT_CSK's data"
        ) from error
    return found


def right(ground: Ground, statements: Sequence[Statement], bias: float = 0.0) -> list[bool]:
    """Which statements the model judges rightly.

    Args:
        ground: With the model.
        statements: That are judged.
        bias: Added to the log-odds of True, so that a model that says one of both always is asked fairly.
    """
    odds = log_odds(ground, statements)
    return [(value + bias > 0) == one.plausible for value, one in zip(odds, statements, strict=True)]


def log_odds(ground: Ground, statements: Sequence[Statement]) -> list[float]:
    """Of True against False."""
    from memedit.parametric.measuring import likelihoods

    pairs = [(one.text, word) for one in statements for word in ("True", "False")]
    told = likelihoods(*ground.parts, pairs)
    return [yes.logprob - no.logprob for yes, no in zip(told[::2], told[1::2], strict=True)]


def f1(statements: Sequence[Statement], rightly: Sequence[bool]) -> float:
    """Of the judgement True."""
    both = list(zip(statements, rightly, strict=True))
    hit = sum(one.plausible and good for one, good in both)
    said = hit + sum(not one.plausible and not good for one, good in both)
    return 2 * hit / max(1, said + sum(one.plausible for one in statements))


def windows(layers: int, size: int, every: int) -> list[tuple[int, ...]]:
    """So many layers in a row, from each so-manieth in the lower two thirds on."""
    return [tuple(range(first, first + size)) for first in range(0, max(1, 2 * layers // 3 - size + 1), every)]


def check(ground: Ground, size: int = 3, every: int = 10, searched: int = 8, table: str | None = None) -> Finding:
    """Token and window are chosen on one half of the statements, and judged by the other."""
    told = own_statements() if table is None else read_statements(table)
    halves = told[::4] + told[1::4], told[2::4] + told[3::4]
    bias = -sorted(log_odds(ground, told))[len(told) // 2]
    scores = {
        (part, layers): _edited(ground, halves[0][:searched], part, layers, bias)
        for part in PARTS for layers in windows(len(ground.local.anatomy), size, every)
    }  # fmt: skip
    part, layers = max(scores, key=lambda one: scores[one][0])
    after, efficacy, relapse = _edited(ground, halves[1], part, layers, bias)
    before = f1(halves[1], right(ground, halves[1], bias))
    figure = (
        f"chosen of {len(scores)}: last token of the {part}, layers {layers[0]} to {layers[-1]}; on {len(halves[1])} "
        f"other statements F1 {before:.2f} → {after:.2f}, {efficacy:.0%} of wrong ones put right, {relapse:.0%} of "
        "right ones broken"
    )
    more = {"before": before, "after": after, "efficacy": efficacy, "relapse": relapse, "part": part}
    return Finding(figure, after >= before + 0.05 and relapse <= 0.05, more)


def _edited(
    ground: Ground, statements: Sequence[Statement], part: Part, layers: tuple[int, ...], bias: float
) -> tuple[float, float, float]:  # fmt: skip
    """F1, efficacy and relapse with the wrong judgements edited."""
    before = right(ground, statements, bias)
    wrong = [one.judged(part) for one, good in zip(statements, before, strict=True) if not good]
    try:
        change = WRITER.with_(layers=layers).write(ground.local, wrong)
    except EditDiverged:
        return 0.0, 0.0, 1.0
    with ground.local.overlay.over("commonsense", change):
        after = right(ground, statements, bias)
    mended = [new for new, old in zip(after, before, strict=True) if not old]
    broken = [not new for new, old in zip(after, before, strict=True) if old]
    return f1(statements, after), sum(mended) / max(1, len(mended)), sum(broken) / max(1, len(broken))
