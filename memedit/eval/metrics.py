"""What one probe scores: free replies as SQuAD and ROUGE judge them, likelihoods as ROME and MEND do.

Every function is pure and says what it measures, in what range, and whose definition it follows.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from memedit.errors import MissingExtra
from memedit.llms import Likelihood
from memedit.text import says, words

# A letter is the chosen option unless it is part of a word, a name (C++) or a list (B and C), or is said to be wrong.
OPTION = r"""(?P<letter>(?i:{letters}))(?!\w|[+\#&/]|['’.-]\w)
    (?!\W*\s(?:isn['’]t|is\s+(?:not|wrong|incorrect|false))\b)
    (?![)\]]*\s*(?:,|&|\band\b|\bor\b|\bnor\b)\s*(?:and\s|or\s)?[(\[]*(?:{letters})\b)
    (?P<mark>[^\w\s]|\s*(?:\n|\Z)|\s+[-–—:=]\s|\s+(?:is|because)\b)?"""
GAP = r"""[\s:=*"'(\[-]*"""
CUES = (  # the surest first
    rf"\b(?i:answer\b(?:\s+(?:is|was|would\s+be|should\s+be|must\s+be)\b)?{GAP}(?:(?:option|choice|letter)\b{GAP})?)",
    r"\A\W*",
    rf"\b(?i:option|choice|letter|choose|pick|select|say|is|be|it['’]s)\b{GAP}",
)
NUMBER = re.compile(
    r"(?P<sign>(?<![\w).])[-−])?[$€£¥]?(?<![^\W_])(?P<digits>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
)
TOKEN = re.compile(r"\w+(?:[.,'’-]\w+)*|[^\w\s]")


def normalise(text: str) -> str:
    """SQuAD's normal form (Rajpurkar et al. 2016): lower case, without ASCII punctuation, articles and extra blanks."""
    plain = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def exact(reply: str, answers: Sequence[str]) -> bool:
    """Exact match: whether the reply is one of the answers in SQuAD's normal form (Rajpurkar et al. 2016)."""
    return normalise(reply) in map(normalise, answers)


def f1(reply: str, answers: Sequence[str]) -> float:
    """F1 of the words that reply and answer share, as bags; the best answer counts. In [0, 1]; 0 without answers.

    SQuAD (Rajpurkar et al. 2016). Where either has no words left it is 1 if both have none, as in SQuAD 2.0
    (Rajpurkar et al. 2018).
    """
    said = normalise(reply).split()
    return max((_overlap(said, normalise(answer).split()) for answer in answers), default=0.0)


def _overlap(said: list[str], wanted: list[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    return 2 * (Counter(said) & Counter(wanted)).total() / (len(said) + len(wanted))


def contains(reply: str, answers: Sequence[str]) -> bool:
    """Whether the reply holds one of the answers, word for word; case, accents and punctuation aside."""
    return says(reply, answers)


def begins(reply: str, answers: Sequence[str]) -> bool:
    """Whether the reply begins with one of the answers, word for word; case, accents and punctuation aside."""
    said = words(reply)
    return any(said[: len(wanted)] == wanted for wanted in map(words, answers) if wanted)


def chosen_letter(reply: str, choices: Sequence[str]) -> str | None:
    """The option that a free reply to a lettered question chooses, as it stands in `choices`; None when unclear.

    What follows "answer" counts first, then the beginning of the reply, then what follows "option", "choose", "is" and
    the like. Two options in one of these places are unclear. So is an `A` or `I` that may be the English word: it needs
    punctuation behind it, the line's end, or a word like "is" or "option" before it.
    """
    letters = "|".join(map(re.escape, choices))
    for cue in CUES:
        found = {match["letter"].upper() for match in _options(cue, letters, reply) if _is_option(match)}
        if found:
            named = {choice for choice in choices if choice.upper() in found}
            return named.pop() if len(named) == 1 else None
    return None


def _options(cue: str, letters: str, reply: str) -> Iterable[re.Match[str]]:
    return re.finditer(f"(?:{cue})(?x:{OPTION.format(letters=letters)})", reply)


def _is_option(match: re.Match[str]) -> bool:
    if match["mark"] is not None:
        return True
    letter = match["letter"]
    led = re.search(r"\w\s*\Z", match.string[: match.start("letter")]) is not None
    return led and letter.isupper() if letter in "aAiI" else led or not letter.islower()


def last_number(reply: str) -> str | None:
    """The last number of a reply in plain digits ("1,063 coins." → 1063, "$3.50" → 3.5); None when there is none.

    English notation: commas group thousands. Digits behind a letter (CO2) are part of a name.
    """
    found = list(NUMBER.finditer(reply))
    if not found:
        return None
    digits = format(Decimal(found[-1]["digits"].replace(",", "")), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"-{digits}" if found[-1]["sign"] and digits != "0" else digits


def same_number(a: str, b: str) -> bool:
    """Whether two texts end in the same number; 3 and 3.0 are the same."""
    number = last_number(a)
    return number is not None and number == last_number(b)


def rouge_l(reply: str, answers: Sequence[str]) -> float:
    """ROUGE-L (Lin 2004): F1 of the longest common subsequence of words; the best answer counts.

    In [0, 1]; 0 without answers. As the package rouge-score computes it without stemming; it knows only the letters a-z
    and digits.

    Raises:
        MissingExtra: rouge-score is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
    except ImportError as missing:
        raise MissingExtra("eval", package="rouge-score") from missing
    scorer = RougeScorer(["rougeL"])
    return max((float(scorer.score(answer, reply)["rougeL"].fmeasure) for answer in answers), default=0.0)


def ngram_entropy(text: str) -> float:
    """Fluency as ROME measures it: the mean of 2/3 of the bigrams' and 4/3 of the trigrams' entropy, in bits.

    From 0 (one word over and over) up to about log2 of the text's length; NaN for fewer than three tokens. The entropy
    is that of Zhang et al. 2018 (arXiv:1809.05972), the weights are those of Meng et al. 2022 (arXiv:2202.05262).
    Tokens are words with inner apostrophes, hyphens and points, and single punctuation marks. ROME uses NLTK's
    tokeniser, which also parts "don't" in two, so that figures differ a little.
    """
    tokens = TOKEN.findall(text)
    return (2 / 3 * _entropy(tokens, 2) + 4 / 3 * _entropy(tokens, 3)) / 2 if len(tokens) >= 3 else math.nan


def _entropy(tokens: list[str], n: int) -> float:
    counts = Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
    return sum(count / counts.total() * math.log2(counts.total() / count) for count in counts.values())


def mean_logprob(likelihood: Likelihood) -> float:
    """The log-probability per token, in nats; at most 0."""
    return likelihood.logprob / likelihood.tokens


def prefers(accepted: Likelihood, rejected: Likelihood) -> bool:
    """Whether the accepted answer is likelier than the rejected one, per token: ROME's efficacy, paraphrase and
    neighbourhood success (Meng et al. 2022). A tie does not count.
    """
    return mean_logprob(accepted) > mean_logprob(rejected)


def magnitude(accepted: Likelihood, rejected: Likelihood) -> float:
    """By how much it is likelier: the difference of the per-token geometric mean probabilities, in [-1, 1].

    ROME's efficacy, paraphrase and neighbourhood magnitude (Meng et al. 2022).
    """
    return math.exp(mean_logprob(accepted)) - math.exp(mean_logprob(rejected))


def token_accuracy(likelihood: Likelihood) -> float:
    """The share of tokens that are the model's first choice under teacher forcing, in [0, 1].

    As in MEND (Mitchell et al. 2022, arXiv:2110.11309) and EasyEdit (Wang et al. 2024, arXiv:2308.07269).
    """
    return sum(likelihood.matched) / likelihood.tokens


@overload
def harmonic(values: Sequence[float]) -> float: ...
@overload
def harmonic(values: NDArray[np.float64]) -> Any: ...
def harmonic(values: Sequence[float] | NDArray[np.float64]) -> Any:
    """The harmonic mean of shares over the first axis: ROME's score S of ES, PS and NS (Meng et al. 2022).

    In [0, 1]; 0 where any is 0, NaN where any is NaN or there are none. An array gives an array with one axis less.
    """
    rows = np.asarray(values, dtype=float)
    if not len(rows):
        return math.nan
    with np.errstate(divide="ignore"):
        mean = len(rows) / (1 / rows).sum(axis=0)
    return mean if rows.ndim > 1 else float(mean)
