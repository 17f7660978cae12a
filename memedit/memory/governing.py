"""Whether a text says how every message is to be answered (“Never use emojis with me”): a standing instruction.

Most texts hold for some messages only, also most that say “always”. What tells the few apart is learned
(`gate/learning/governing.py`): the text's vector, how the judge reads it, and the words that such texts are made of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memedit.embedders import Vectors
from memedit.text import words

if TYPE_CHECKING:
    from memedit.encoder.judge import Judge

FILE = "governing.npz"
EVERY = " < every message"
"""What stands in a conversation's place where the judge reads whether a text governs every answer."""
SHORTEST = 2  # words; “ok” and “42” tell nobody what to do
LONGEST = 240  # characters; what is longer is a procedure or a story, of which none was learned from
BOUND = 12.0  # log-odds beyond which more says no more
OWN = re.compile(
    r"^(?:(?:i|we)\s+(?:(?:always|never|only|usually|mostly|still|also|now)\s+)?"
    r"(?:speak|write|answer|reply|talk|use|explain|keep|respond)\b"
    r"|we\s+(?:(?:always|never|only|now|also)\s+)?(?!want|need|prefer|like|hate|would|are)[a-z]+\b)"
    r"(?!.*\b(?:you|your|please|so|me)\b)",
    re.IGNORECASE,
)
"""What people say of their own doing (“I speak English and Urdu”), in words that instructions have, too."""
ONCE = re.compile(
    r"\bth(?:is|ese) (?:last |one )?(?:paragraph|e-?mail|mail|thread|text|letter|message|page|essay|error)s?\b"
    r"|\bjust (?:this|once)\b"
    r"|\b(?:ignore|disregard|forget|override|reveal|print)\b.*\b(?:previous|earlier|instructions|prompt|rules|told|above)\b"
    r"|^(?:(?:please|pls)\s+)*(?:remember(?! to)|note|save|i want you to remember|just so you know|fyi)\b"
    r"(?!.*\b(?:you|your|me|i hate|answer|reply|respond|every|always)\b)",
    re.IGNORECASE,
)
"""What is about one text that is at hand, wants other instructions forgotten, or hands a fact over."""
VECTOR, ODDS, LENGTH = 3.0, 0.2, 0.3  # what the features are brought to like size by
CUES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(always|never|every|any|all|from now on|whatever|whenever|ever|immer|nie|niemals|jede\w*|toujours|jamais|"
        r"siempre|nunca|sempre|mai|altijd|nooit|zawsze|nigdy|alltid|aldrig|aina|всегда|никогда|her zaman|hep|asla)\b|"
        r"دائم|أبد|いつも|必ず|今後|总是|以后|一直|항상|언제나|เสมอ",
        r"\b(answers?|repl(?:y|ies)|responses?|respond|speak|talk|write|explain|call me|address me|antworte?n?|"
        r"schreib\w*|sprich|r[ée]pond\w*|rispond\w*|scriv\w*|cont[eé]st\w*|escr[ií]b\w*|respond[ae]\w*|escrev\w*|antwoord\w*|"
        r"schrijf\w*|odpowiad\w*|pisz\w*|svar\w*|skriv\w*|vasta\w*|отвеча\w*|пиши\w*|говори\w*|cevap\w*|yanıt\w*|yaz)\b|"
        r"أجب|اكتب|رد|答え|返事|返答|回答|回复|说话|대답|답변|말해|ตอบ",
        r"\b(emojis?|bullets?|tone|language|german|english|french|spanish|formal|short|brief|concise|sentences?|words|"
        r"lists?|metric|units?|jargon|style|polite|markdown|headings?|simple|plain|deutsch|français|español|italiano|"
        r"nederlands|polsku|svenska|português|türkçe|kurz|einfach\w*|court\w*|cort[oa]\w*|brev\w*|krótko|коротко|по-русски|kısa)\b|"
        r"بالعربية|日本語|中文|简短|短く|한국어|짧게",
        r"\b(you|your|du|dein|tu|tes|vous|usted|tú)\b",
        r"\b(me|my|i|ich|mir|je|moi|yo)\b",
        r"^(please |pls )?(always|never|don'?t|do not|no|keep|be|use|answer|reply|speak|write|talk|call|stop|give|end|"
        r"start|explain|avoid|skip|treat|act|you are|respond|address)\b",
        r"\b(when|if|for|in|with|about|wenn|bei|quand|si|cuando|quando)\b",
        r"\b(once|this time|today|tonight|next|until|one answer|this one|heute|einmal|diesmal|hoy|oggi|vandaag)\b",
    )
)


@dataclass(frozen=True)
class Governing:
    """Tells texts that govern every answer from all others, in MiniLM's space.

    Args:
        reader: Reads a text where a conversation is expected.
        weights: Of `features`, (features,).
        least: Log-odds from which a text is taken to govern every answer.
    """

    reader: Judge
    weights: Vectors
    least: float

    def of(self, texts: Sequence[str], vectors: Vectors) -> NDArray[np.bool_]:
        """Which of the texts govern every answer, (texts,). vectors (texts, dimension): by MiniLM."""
        fits = np.array([_may_govern(text) for text in texts])
        found: NDArray[np.bool_] = fits & (features(self.reader, texts, vectors) @ self.weights >= self.least)
        return found


def _may_govern(text: str) -> bool:
    return len(text) <= LONGEST and len(words(text)) >= SHORTEST and not (OWN.search(text) or ONCE.search(text))


def features(reader: Judge, texts: Sequence[str], vectors: Vectors) -> Vectors:
    """One row a text: its vector, the judge's log-odds, and its cues and length. vectors (texts, dimension)."""
    out, direct, bridge = reader.logits([(EVERY, text) for text in texts]).T
    odds = np.clip(np.logaddexp(direct, bridge) - out, -BOUND, BOUND)
    said = [[*(bool(cue.search(text)) for cue in CUES), LENGTH * np.log1p(len(words(text)))] for text in texts]
    rows: Vectors = np.column_stack([VECTOR * vectors, ODDS * odds, np.array(said)]).astype(np.float32)
    return rows


@cache
def shipped_governing() -> Governing:
    """The one that comes with memedit."""
    from memedit.encoder.judge import shipped_judge

    with np.load(Path(str(resources.files("memedit.data"))) / "encoders" / FILE, allow_pickle=False) as kept:
        return Governing(shipped_judge(), kept["weights"], float(kept["least"]))
