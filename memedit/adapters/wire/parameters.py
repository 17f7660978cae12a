"""Which parameters a server takes for a model: the length of an answer has two names, and some models know no `stop`.

What a server refuses is told by its error, which names the parameter, and is remembered for the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from memedit.messages import Reply

LIMIT = "max_tokens"
"""memedit's own word for the greatest length of an answer, and the older of OpenAI's two."""
CHAT_LIMITS = ("max_completion_tokens", LIMIT)
REFUSED = (400, 422)
REFUSAL = re.compile(
    r"(?i)unsupported|unrecogni[sz]ed|unknown|unexpected|extra (?:fields|inputs|parameter)|extra_forbidden"
    r"|not (?:supported|permitted|allowed|recogni[sz]ed|available)|does ?n[o']t support"
)


class Parameters:
    """What servers said of the parameters that can be named otherwise or be left out.

    Args:
        limits: What the API calls the greatest length of an answer, the newest name in front.
        stops: What it calls the texts at which an answer ends; None where it knows none.
    """

    def __init__(self, limits: Sequence[str] = CHAT_LIMITS, stops: str | None = "stop") -> None:
        self._limits = tuple(limits)
        self._stops = stops
        self._refused: dict[str, set[str]] = {}

    def fitted(self, model: str, options: Mapping[str, Any], own: frozenset[str]) -> dict[str, Any]:
        """The options as this model takes them.

        The length is asked for under the newest name that was not refused where memedit limits it itself, and else
        under the caller's. What is memedit's own and is refused is left out.
        """
        refused = self._refused.get(model, set())
        fitted = dict(options)
        if LIMIT in options:
            names = self._limits if LIMIT in own else (LIMIT, *self._limits)
            name = next((name for name in names if name not in refused), None if LIMIT in own else LIMIT)
            others = self._limits if LIMIT in own else (LIMIT,)
            fitted = {other: value for other, value in options.items() if other not in (*others, LIMIT)}
            fitted |= {name: options[LIMIT]} if name else {}
        if "stop" in own:
            stops = fitted.pop("stop")
            fitted |= {self._stops: stops} if self._stops and self._stops not in refused else {}
        return fitted

    def learn(self, model: str, sent: Mapping[str, Any], options: Mapping[str, Any], own: frozenset[str],
              status: int, said: str) -> bool:  # fmt: skip
        """Whether an error names a parameter that can be named otherwise or left out, so that it is worth asking again.

        Args:
            model: That was asked.
            sent: The body as it was sent.
            options: As they were given to `fitted`.
            own: Those that memedit set.
            status: Of the answer.
            said: Its text.
        """
        if status not in REFUSED or not REFUSAL.search(said):
            return False
        names = (*(self._limits if LIMIT in options else ()), *((self._stops,) if "stop" in own else ()))
        refused = self._refused.setdefault(model, set())
        found = {name for name in names if name in sent and re.search(rf"\b{name}\b", said)}
        refused |= found  # maybe for the second time, where calls are under way together
        return not found <= self.fitted(model, options, own).keys()

    def notice(self, model: str, sent: Mapping[str, Any], own: frozenset[str], reply: Reply) -> None:
        """Remember a limit of memedit's own that a server let pass without heeding it."""
        newest = self._limits[0]
        if LIMIT in own and len(self._limits) > 1 and reply.usage.get("output", 0) > sent.get(newest, float("inf")):
            self._refused.setdefault(model, set()).add(newest)
