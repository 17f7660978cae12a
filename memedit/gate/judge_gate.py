"""The default gate: the finder proposes, cheap evidence decides what is plain, and the judge reads what is left.

Two questions, two parts. *Which* edits could bear: the memory's candidates, and the evidence of texts and vectors, by
which it is chosen what is read. *Whether any* bears: the judge, which reads conversation and statement together; its
thresholds (`thresholds.py`) were chosen on everyday messages that it had not seen. What stays in doubt is left to the
model that is wrapped (`methods/doubt.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from memedit.edits import AnyEdit, Fact
from memedit.embedders.folders import BUNDLED_ID
from memedit.embedders.port import Vectors
from memedit.encoder.judge import Judge, shipped_judge
from memedit.encoder.network import softmax
from memedit.gate import thresholds as chosen
from memedit.gate.evidence_gate import Evidence, EvidenceGate
from memedit.gate.house import at_home, least
from memedit.gate.likeness import facts, with_the_others
from memedit.gate.port import Gate, Role, Verdict, reach
from memedit.gate.roles import IN_WORDS, LABELS
from memedit.gate.scorer import in_scope_odds
from memedit.gate.thresholds import NEAR, RATE, Thresholds, with_doubts
from memedit.memory import Candidate, Recalled
from memedit.text.language import language_of

READ = 10  # candidates of a message that are read at most
FIRST = 2  # that are read before the others
NOTHING = -5.0  # log-odds: where neither of these reaches as much, the others are not read
FAR = 0.05  # cosine below which a candidate is not read, unless the evidence speaks for it
BEHIND = 0.25  # and how far behind the nearest one's: where one lies near, what lies far is not meant
NOWHERE = 0.1  # cosine below which the nearest means that none is
AKIN = 0.2  # probability by the evidence from which it does
LOOSE = 0.2  # cosine below which what was proposed for another reason has to be sure
SURE = 0.005  # rate of false fires at which an edit is let through beyond doubt
ACROSS = 0.2  # cosine by the encoder of many languages from which a statement in another language is read
FOREIGN = 3  # of those that are read at most
LEAN = 15.0  # on that cosine, beside the judge's log-odds, since the judge learned English
UNSURE = 2.0  # from which sum of both such a statement stays in doubt
UNLIKELY = 0.05  # probability below which people are told so
SHOWN = 4  # of the candidates in doubt, how many may be shown


@dataclass(frozen=True, slots=True)
class Read:
    """What the judge and the evidence said of an edit, and what it comes to.

    Args:
        weights: Probabilities of `LABELS`.
        judged: The same by the judge alone; None where it was not asked.
        place: Of the edit among the candidates, nearest first, from 1.
        across: Cosine by the encoder of many languages, where the edit is in another than the conversation; else 0.
        evidence: What was measured of texts and vectors.
        far: Whether it lies far, and was proposed whatever is said or across languages: it has to be sure.
        stated: Whether the edit says by itself what it is about: then the evidence decides, and not the judge.
        replaced: Whether it took another's place, which was read as well: the likelier reading counts.
        home: Whether it was also read as said of the house that the system message names.
        shift: What the manner of the message adds to the judge's log-odds.
        off: And what is added because it lies far, at most 0.
        among: How many things the message asks, of which this was read for one.
        least: Probability from which it is let through.
    """

    weights: tuple[float, ...]
    judged: tuple[float, ...] | None
    place: int
    evidence: Evidence
    across: float = 0.0
    far: bool = False
    stated: bool = False
    replaced: bool = False
    home: bool = False
    shift: float = 0.0
    off: float = 0.0
    among: int = 1
    least: float = 0.0

    def reasons(self) -> tuple[str, ...]:
        """In a person's words: how near it lies, and how it reads or, where the evidence decides, what that says."""
        found = f"number {self.place} of those found"
        if self.across:
            found += f", near to it across languages ({self.across:.2f})"
        if self.stated:
            return (*self.evidence.reasons(), found)
        if self.judged is None:
            return (f"too far from what is said to be read; {found}",)
        what = "as it reads, or what it replaced, it" if self.replaced else "as it reads, it"
        what = what.replace("reads", "reads in the house that the system message names") if self.home else what
        share, label = max(zip(self.weights[1:], LABELS[1:], strict=True))
        if share < UNLIKELY:
            return (f"{what} has little to do with it ({share:.0%})", found)
        short = "" if share >= self.least else f", let through from {self.least:.0%}"
        return (f"{what} {IN_WORDS[label]} ({share:.0%}{short})", found)

    def numbers(self) -> dict[str, float]:
        """By name."""
        _, direct, bridge = self.weights
        judged = dict(zip((f"judged {label}" for label in LABELS), self.judged or (), strict=False))
        return {
            **self.evidence.numbers(),
            **judged,
            "p(direct)": direct,
            "p(bridge)": bridge,
            "place": self.place,
            "across": self.across,
            "manner": self.shift,
            "distance": self.off,
        }


class JudgeGate(Gate):
    """Judges Facts by evidence and by reading, and the other kinds of edit by likeness.

    Args:
        judge: Reads; the one that comes with memedit when left out.
        evidence: Measures; the one that comes with memedit when left out.
        max_false_fires: Share of messages that no edit bears on for which an edit may be let through all the same; the
            threshold is that at which this held on messages of groups that were not trained on. 0.05 when left out.
        threshold: In place of the rate: probability from which an edit is let through.

    Raises:
        GateUnusable: The rate is none that the calibration reaches.
    """

    name = "judge"
    heeds_radius = True

    def __init__(
        self,
        judge: Judge | None = None,
        evidence: EvidenceGate | None = None,
        *,
        max_false_fires: float | None = None,
        threshold: float | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._judge = judge
        self.evidence = evidence or EvidenceGate(or_shipped=True)
        self.chosen = thresholds or chosen.shipped()
        direct = self.chosen.threshold(max_false_fires) if threshold is None else threshold
        self.thresholds: dict[Role, float] = {"direct": direct, "bridge": self.chosen.bridge}
        self.sure = self.chosen.threshold(SURE)
        self.rate = (RATE if max_false_fires is None else max_false_fires) if threshold is None else None

    @classmethod
    def load(cls, folder: str | Path, max_false_fires: float | None = None, threshold: float | None = None) -> Self:
        """The judge that was trained into a folder (`judge:FOLDER`)."""
        return cls(
            Judge(folder), max_false_fires=max_false_fires, threshold=threshold, thresholds=chosen.load(Path(folder))
        )

    @property
    def judge(self) -> Judge:
        """The judge, loaded now if it was not."""
        if self._judge is None:
            self._judge = shipped_judge()
        return self._judge

    def decide(self, recalled: Recalled) -> list[Verdict]:
        if not recalled.whole:  # a hop, in the words of a plan: nobody's message, and nothing that the judge ever read
            return self.evidence.decide(recalled)
        found = facts(recalled)
        return with_the_others(recalled, self._judged(recalled, found) if found else ())

    def _judged(self, recalled: Recalled, found: Sequence[Candidate]) -> list[Verdict]:
        foreign = foreigners(recalled.whole, found)
        judged, evidence = self.read(recalled, found, foreign)
        shift = self.chosen.shift(minilm_vector(recalled))
        lies = cosines(recalled, found)
        off = [0.0 if at in foreign else self.chosen.off(cosine) for at, cosine in enumerate(lies)]
        radii = [_radius(one) + shift + less for one, less in zip(found, off, strict=True)]
        weights = self.chosen.probabilities(judged, radii).tolist()
        erased = {one.edit.id for one in recalled.candidates if one.edit.kind == "erasure"}
        plain = [one.edit.id in erased or _is_plain(one.edit) for one in found]
        read = [
            Read(
                tuple(weight), _shares(judged.get(at)), at + 1, evidence[at], *_across(one, at in foreign),
                stated=plain[at], replaced=bool(one.before),
                home=bool(at_home(recalled.whole, one.edit.text, recalled.system)),
                shift=shift, off=off[at], among=recalled.among,
            )
            for at, (one, weight) in enumerate(zip(found, weights, strict=True))
        ]  # fmt: skip
        verdicts = [self._verdict(one, said) for one, said in zip(found, read, strict=True)]
        verdicts = [
            self._as_measured(one, said) if is_plain else one
            for one, said, is_plain in zip(verdicts, evidence, plain, strict=True)
        ]
        near = [at for at in foreign if found[at].edit.id not in erased and _may_bear(judged[at], found[at].across)]
        also = [found[at].edit.id for at in near]
        verdicts = with_doubts(verdicts, any_=self.chosen.any, behind=self.chosen.behind, most=SHOWN, also=also)
        return [
            one if is_plain or not one.passed else replace(one, doubtful=one.probability < self.sure)
            for one, is_plain in zip(verdicts, plain, strict=True)
        ]

    def read(
        self, recalled: Recalled, found: Sequence[Candidate], also: Sequence[int] = ()
    ) -> tuple[dict[int, Vectors], list[Evidence]]:
        """The judge's logits of the candidates that are worth reading, by place, and the evidence of all.

        also: Places of candidates that are read however far they lie.
        """
        measured = self.evidence.measure(recalled, found)
        evident = [_probability(logits, one) for one, (logits, _) in zip(found, measured, strict=True)]
        likely = [max(one.similarity, speaks) for one, speaks in zip(found, evident, strict=True)]
        best = max((one.similarity for one in found), default=0.0)
        least = max(FAR, best - BEHIND) if best >= NOWHERE else math.inf
        read = [at for at, one in enumerate(found) if one.similarity >= least or evident[at] >= AKIN]
        read = sorted(read, key=lambda at: -likely[at])[:READ]
        always = [at for at, one in enumerate(found) if one.standing or at in also]
        others = [at for at in read if at not in always]
        judged = self._logits(recalled, found, [*others[:FIRST], *always])
        if any(in_scope_odds(judged[at]) > NOTHING for at in others[:FIRST]):
            judged |= self._logits(recalled, found, others[FIRST:])
        return judged, [evidence for _, evidence in measured]

    def _logits(self, recalled: Recalled, found: Sequence[Candidate], places: Sequence[int]) -> dict[int, Vectors]:
        """The judge's, by place. Whatever asks for what a statement replaced asks for that statement, and so does what
        asks for it in the house that the statement names.
        """
        texts = [(at, text) for at in places for text in (found[at].edit.text, found[at].before) if text]
        said = list(self.judge.logits([(recalled.whole, text) for _, text in texts]))
        for at, text in list(texts):
            if ways := at_home(recalled.whole, text, recalled.system):
                texts.append((at, text))
                said.append(least(self.judge.logits([(way, text) for way in ways])))
        likeliest: dict[int, Vectors] = {}
        for (at, _), logits in zip(texts, said, strict=True):
            if at not in likeliest or in_scope_odds(logits) > in_scope_odds(likeliest[at]):
                likeliest[at] = logits
        return likeliest

    def _verdict(self, found: Candidate, read: Read) -> Verdict:
        _, direct, bridge = read.weights
        role: Role = "direct" if direct >= bridge else "bridge"
        probability = max(direct, bridge)
        read = replace(read, least=self._least(role, read))
        return Verdict(found.edit, probability, probability >= read.least, read, role)

    def _least(self, role: Role, read: Read) -> float:
        """Probability from which it is let through."""
        least = self.thresholds[role]
        return max(least, self.sure) if read.far else max(least, self._stricter(read.among))

    def _stricter(self, among: int) -> float:
        """The threshold at a rate of false fires that several things which are asked share."""
        if among == 1 or self.rate is None:
            return 0.0
        within = [least for rate, least in self.chosen.rates if rate <= self.rate / among]
        return min(within, default=self.sure)

    def reach(self, verdict: Verdict) -> float:
        read = verdict.evidence
        if isinstance(read, Read) and not _is_plain(verdict.edit):
            return reach(verdict, verdict.shares, read.least)
        measured = read.evidence if isinstance(read, Read) else read  # the evidence decided alone
        assert isinstance(measured, Evidence)  # as it does of every Fact
        return self.evidence.reach(self.evidence.verdict(verdict.edit, measured))

    def _as_measured(self, weighed: Verdict, said: Evidence) -> Verdict:
        """The verdict of the evidence alone, its probability brought to the scale of this gate's threshold."""
        measured = self.evidence.verdict(weighed.edit, said)
        own, other = self.thresholds[measured.role], self.evidence.thresholds[measured.role]
        share = measured.probability
        scaled = own * share / other if share < other else own + (1 - own) * (share - other) / (1 - other)
        return replace(weighed, probability=scaled, passed=measured.passed, role=measured.role)


def foreigners(whole: str, found: Sequence[Candidate]) -> list[int]:
    """The places of the statements in another language than the conversation that lie near it for the second finder,
    nearest first; so that nothing changes where both are in one language.
    """
    near = sorted((at for at, one in enumerate(found) if one.across >= ACROSS), key=lambda at: -found[at].across)
    said = language_of(whole) if near else ""
    return [at for at in near if language_of(found[at].edit.text) != said][:FOREIGN]


def minilm_vector(recalled: Recalled) -> Vectors | None:
    """Of the query, by MiniLM; None where another embedder made it."""
    return recalled.vector if _by_ours(recalled) else None


def cosines(recalled: Recalled, found: Sequence[Candidate]) -> list[float]:
    """Of candidates by the finder; where another embedder made them, none lies far."""
    return [one.similarity if _by_ours(recalled) else NEAR for one in found]


def _by_ours(recalled: Recalled) -> bool:
    return recalled.embedder is not None and recalled.embedder.space == BUNDLED_ID


def _may_bear(logits: Vectors, across: float) -> bool:
    """Whether a statement in another language stays in doubt. logits (3,): the judge's."""
    return bool(in_scope_odds(logits) + LEAN * across >= UNSURE)


def _is_plain(edit: AnyEdit) -> bool:
    """Whether an edit says by itself what it is about and what of it: what the evidence was trained with."""
    return isinstance(edit, Fact) and edit.subject is not None and bool(edit.prompt or edit.relation or edit.question)


def _across(found: Candidate, foreign: bool) -> tuple[float, bool]:
    """How near it lies across languages, and whether it is far otherwise: what is proposed whatever is said, or in a
    language that the judge did not learn.
    """
    return found.across * foreign, (found.standing or foreign) and found.similarity < LOOSE


def _radius(found: Candidate) -> float:
    return found.edit.radius if isinstance(found.edit, Fact) else 0.0


def _probability(logits: Vectors, found: Candidate) -> float:
    """Of being in scope in either role by the evidence, before an edit's radius, which is added in the end."""
    return float(1 / (1 + np.exp(_radius(found) - in_scope_odds(logits))))


def _shares(logits: Vectors | None) -> tuple[float, ...] | None:
    return None if logits is None else tuple(softmax(logits).tolist())
