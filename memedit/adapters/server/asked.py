"""What the operations of the management API are given: read from a query or a JSON body, and described by OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from memedit.edits import MAX_TEXT
from memedit.memory.conflicts import OnConflict

MOST = 1_000  # edits of one answer
Id = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Said = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Tags = Annotated[list[Said], Field(max_length=100)]
Kind = Literal["fact", "feedback", "patch", "demonstration", "description", "behaviour", "erasure"]


class Asked(BaseModel):
    """Values of one request; what is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Nothing(Asked):
    """No values."""


class Listing(Asked):
    """Which edits."""

    search: Said | None = Field(
        None,
        description="Those that hold this text, or whose id begins so, or that this author made; then "
        "the others, nearest first, each with its `similarity`.",
    )
    kind: Kind | None = Field(None, description="Only of this kind.")
    tag: Said | None = Field(None, description="Only with this label; not with `search`.")
    as_of: int | None = Field(
        None, ge=0, le=2**53, description="What was in force at this revision; not with `search`."
    )
    limit: int = Field(100, ge=1, le=MOST)
    offset: int = Field(0, ge=0, le=2**53, description="How many of the newest are passed over.")

    @model_validator(mode="after")
    def _is_one_question(self) -> Self:
        if self.search is not None and (self.tag is not None or self.as_of is not None):
            raise PydanticCustomError("one_question", "`search` goes with neither `tag` nor `as_of`")
        return self


class One(Asked):
    """One edit."""

    id: Id = Field(description="Of the edit, or how it begins.")


class Reasoned(Asked):
    """A change, and why."""

    reason: Said | None = None


class Undoing(Reasoned):
    """A change to be taken back."""

    revision: int | None = Field(
        None,
        ge=1,
        le=2**53,
        description="Of the change that is meant, as `undo` of /history tells it; refused with 409 (`RevisionMoved`) "
        "where another one would be taken back by now. Left out, whatever is last.",
    )


class Adding(Reasoned):
    """An edit to be put in force."""

    edit: str | dict[str, Any] = Field(description="A statement, or an edit with its `kind` and fields.")
    tags: Tags = Field(default=[], description="Its labels, where it names none.")
    on_conflict: OnConflict = "supersede"
    replaces: Annotated[list[Id], Field(max_length=100)] = Field(
        default=[], description="Ids of edits in force whose place it takes, whatever it says."
    )


class Proposing(Reasoned):
    """Edits that shall wait for approval."""

    edits: Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=100)] = Field(
        description="Statements, or edits with their `kind` and fields."
    )
    tags: Tags = Field(default=[], description="Labels of each that names none.")
    source: Said | None = Field(None, description="Where they are from, such as a document.")


class Rejecting(Reasoned):
    """Edits that wait for approval."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=MOST)] = Field(description="Of the edits, whole.")


class Accepting(Rejecting):
    """Edits that wait for approval, to be put in force."""

    on_conflict: OnConflict = "supersede"


class Retracting(One, Reasoned):
    """An edit to be taken out of force."""


class Reverting(Reasoned):
    """The revision to go back to."""

    to: int = Field(ge=0, le=2**53)


class Past(Asked):
    """Which changes."""

    edit: Id | None = Field(None, description="Only those that touched this edit.")
    limit: int = Field(50, ge=1, le=MOST, description="How many of the newest.")


class Explaining(Asked):
    """What would be asked."""

    input: Said | Annotated[list[dict[str, Any]], Field(min_length=1)] = Field(description="A text, or chat messages.")
    by_word: bool = Field(False, description="Also name the words that spoke for and against the likeliest edits.")


class Asking(Asked):
    """What is asked of the model, with the memory and without."""

    input: Said | Annotated[list[dict[str, Any]], Field(min_length=1)] = Field(description="A text, or chat messages.")
    model: Said | None = Field(None, description="Its name, where a server has many.")
    max_tokens: int = Field(256, ge=1, le=100_000)


class Verifying(One):
    """The edit to be proved."""

    model: Said | None = Field(None, description="Its name, where a server has many.")
    max_tokens: int = Field(32, ge=1, le=100_000)


class Exporting(Asked):
    """The form of a file."""

    form: Literal["jsonl", "yaml"] = "jsonl"


class Importing(Reasoned):
    """A file of edits."""

    form: Literal["jsonl", "yaml", "csv", "tsv", "txt"] = Field(default="jsonl", description="What its name ends in.")
    text: str = Field(description="What stands in it.")
    on_conflict: OnConflict = "supersede"
