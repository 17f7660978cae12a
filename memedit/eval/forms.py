"""How each form of probe is asked and judged: by free generation, and by likelihood."""

from __future__ import annotations

from collections.abc import Sequence

from memedit.eval.cases import Kind, Probe
from memedit.eval.metrics import chosen_letter, contains, last_number, mean_logprob, prefers, same_number
from memedit.eval.runs import Row
from memedit.llms import Likelihood


def is_generated(probe: Probe) -> bool:
    """Whether the probe is answered by free generation; spans of running text and picks are not."""
    return probe.form not in ("span", "pick")


def continuations(probe: Probe) -> tuple[str, ...]:
    """The texts whose likelihood is taken behind the prompt; with a leading blank, as running text has them."""
    if probe.kind in (Kind.FLUENCY, Kind.CONDITION):
        return ()
    if probe.form in ("choice", "pick"):
        return tuple(_blank(choice) + probe.after for choice in probe.choices)
    if probe.form in ("judge", "none"):
        return ()
    if probe.form == "span":
        return probe.answers[:1]
    return tuple(map(_blank, (*probe.answers[:1], *probe.rejected[:1])))


def right(probe: Probe, row: Row) -> bool | None:
    """Whether a free answer is right; None where this form, or this row, cannot be scored by generation."""
    if row.text is None or probe.form == "none" or (probe.form != "judge" and not probe.answers):
        return None
    if probe.form == "judge":
        return row.judged
    if probe.form == "choice":
        return chosen_letter(row.text, probe.choices) in probe.answers
    if probe.form == "number":
        number = last_number(row.text)
        return number is not None and any(same_number(number, answer) for answer in probe.answers)
    if probe.form == "text":
        return None  # a long text is not right or wrong: it has ROUGE-L and F1
    return contains(row.text, probe.answers)


def right_by_likelihood(probe: Probe, row: Row) -> bool | None:
    """Whether the accepted answer is likelier per token than the rejected one, or is the likeliest choice."""
    found = row.likelihoods
    if not found:
        return None
    if probe.form in ("choice", "pick"):
        best = max(range(len(found)), key=lambda place: mean_logprob(found[place]))
        return probe.choices[best] in probe.answers
    pair = accepted_and_rejected(probe, found)
    return prefers(*pair) if pair else None


def accepted_and_rejected(probe: Probe, found: Sequence[Likelihood]) -> tuple[Likelihood, Likelihood] | None:
    """The likelihoods of the accepted and the rejected answer, where both were taken."""
    if probe.form in ("choice", "pick") or len(found) < 2 or not (probe.answers and probe.rejected):
        return None
    return found[0], found[1]


def accepted(probe: Probe, row: Row) -> Likelihood | None:
    """The likelihood of the first accepted answer, where it was taken."""
    if not row.likelihoods or not probe.answers:
        return None
    if probe.form in ("choice", "pick"):
        return row.likelihoods[probe.choices.index(probe.answers[0])]
    return row.likelihoods[0]


def _blank(text: str) -> str:
    return text if text[:1].isspace() else f" {text}"
