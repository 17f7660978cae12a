"""Patches: conditional corrections (language patches, Murty et al. 2022)."""

from __future__ import annotations

from typing import Any, Literal

from memedit.edits.base import Edit, Text
from memedit.errors import EditRejected
from memedit.text import one_line, storable
from memedit.text.conditional import split_conditional


class Patch(Edit):
    """A conditional correction: if `condition` holds of the text, then `consequence` (language patches).

    Given as one sentence, `Patch("If the review says the service was slow, then the label is negative")`, or as the two
    fields. What a sentence may look like is said at `memedit.text.conditional.split_conditional`.

    Raises:
        EditRejected: The sentence has no condition or no consequence, or a field is no valid text.
    """

    kind: Literal["patch"] = "patch"
    condition: Text
    consequence: Text

    def __init__(self, sentence: str | None = None, /, **data: Any) -> None:
        if sentence is not None:
            if given := {"condition", "consequence"} & set(data):
                raise EditRejected(
                    f"Patch: a whole sentence is given, and {' and '.join(sorted(given))} beside it.",
                    do="give the sentence, or both fields",
                )
            parts = split_conditional(sentence)
            if parts is None:
                raise EditRejected(
                    f"Patch: no condition and consequence are found in “{one_line(storable(sentence))}”.",
                    do="write “If …, then …”, or give condition= and consequence=",
                )
            data["condition"], data["consequence"] = parts
        super().__init__(**data)

    @property
    def text(self) -> str:
        return f"If {self.condition}, then {self.consequence}"

    @property
    def key_text(self) -> str:
        return self.condition
