"""Edits: the wanted changes of behaviour, as validated frozen values.

`Fact` (a statement that shall hold), `Feedback` (MemPrompt, Madaan et al. 2022), `Patch` (language patches, Murty et
al. 2022), `Demonstration` (IKE, Zheng et al. 2023), `Description` (what a thing is; ECBD, Onoe et al. 2022),
`Behaviour` (how a topic is spoken of; ConvSent, Mitchell et al. 2022) and `Erasure` (what is not to be revealed). A
plain string stands for a Fact given by its statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memedit.edits.base import MAX_NAME, MAX_RADIUS, MAX_TEXT, SLOT, Edit, Probe, new_id
from memedit.edits.behaviour import Behaviour
from memedit.edits.demonstration import Demonstration
from memedit.edits.description import Description
from memedit.edits.erasure import Erasure
from memedit.edits.fact import Fact
from memedit.edits.feedback import Feedback
from memedit.edits.patch import Patch
from memedit.errors import EditRejected
from memedit.text import one_line, storable

__all__ = [
    "ASKED",
    "KINDS",
    "MAX_NAME",
    "MAX_RADIUS",
    "MAX_TEXT",
    "SCOPED",
    "SLOT",
    "AnyEdit",
    "Behaviour",
    "Demonstration",
    "Description",
    "Edit",
    "EditLike",
    "Erasure",
    "Fact",
    "Feedback",
    "Named",
    "Patch",
    "Probe",
    "as_edit",
    "new_id",
]

AnyEdit = Fact | Feedback | Patch | Demonstration | Description | Behaviour | Erasure
EditLike = AnyEdit | str | Mapping[str, Any]
KINDS: dict[str, type[AnyEdit]] = {
    "fact": Fact,
    "feedback": Feedback,
    "patch": Patch,
    "demonstration": Demonstration,
    "description": Description,
    "behaviour": Behaviour,
    "erasure": Erasure,
}
Named = Fact | Description | Behaviour | Erasure
"""The kinds that are about something, which has names."""
ASKED = ("fact", "erasure")
"""The kinds that say what is asked of a subject, and so have a relation text."""
SCOPED = tuple(kind for kind in KINDS if kind != "demonstration")
"""The kinds that are in scope of inputs; a Demonstration only shows how others are used."""


def as_edit(value: EditLike, **defaults: Any) -> AnyEdit:
    """An edit from an edit, a plain statement, or a mapping such as `to_dict` gives.

    Args:
        value: The edit. A mapping without `kind` is a Fact.
        defaults: Fields to set where the value leaves them out (author, source, tags, …).

    Raises:
        EditRejected: It is none of these, or not a valid edit.
    """
    if isinstance(value, AnyEdit):
        unset = {name: given for name, given in defaults.items() if not getattr(value, name, None)}
        return value.with_(**unset) if unset else value
    if isinstance(value, str):
        return Fact(value, **defaults)
    if not isinstance(value, Mapping):
        raise EditRejected(
            f"An edit was expected, not {type(value).__name__}.",
            do=f"give a statement, or one of {', '.join(kind.__name__ for kind in KINDS.values())}",
        )
    data = dict(value)
    kind = data.pop("kind", "fact")
    if not isinstance(kind, str) or kind not in KINDS:
        given = f"`{one_line(storable(kind))}`" if isinstance(kind, str) else f"a {type(kind).__name__}"
        raise EditRejected(f"Unknown kind of edit: {given}.", do=f"use one of {', '.join(KINDS)}")
    if not all(isinstance(key, str) for key in data):
        raise EditRejected("The names of an edit's fields are text.", do="see the fields of the kind of edit")
    return KINDS[kind](**{**defaults, **data})
