"""The exception tree: every error memedit raises on purpose, each saying what was given and what to do next."""

from __future__ import annotations


class MemeditError(Exception):
    """Base of all errors of this package.

    Args:
        what: What was given, and what was expected.
        do: What to do next, shown on a line of its own.
    """

    def __init__(self, what: str, *, do: str | None = None) -> None:
        self.what = what
        self.do = do
        super().__init__(what if do is None else f"{what}\n  → {do}")


class EditRejected(MemeditError, ValueError):
    """The edit is not one the memory may hold; the message says why."""


class EditConflict(MemeditError):
    """With `on_conflict="error"`: the edit contradicts edits that are in force.

    Args:
        conflicts: Ids of the edits it contradicts.
    """

    def __init__(self, what: str, *, conflicts: tuple[str, ...], do: str | None = None) -> None:
        self.conflicts = conflicts
        super().__init__(what, do=do)


class UnknownEdit(MemeditError, KeyError):
    """No edit of this id is in force in this namespace."""

    __str__ = Exception.__str__


class UnknownRevision(MemeditError, LookupError):
    """The namespace never had this revision."""


class NothingToUndo(MemeditError):
    """Every change set of the namespace has been taken back already, or there is none."""


class RevisionMoved(MemeditError):
    """What was to be taken back is the last change set no longer; nothing was changed.

    Args:
        revision: Of the change set that `undo` would take back now.
    """

    def __init__(self, what: str, *, revision: int, do: str | None = None) -> None:
        self.revision = revision
        super().__init__(what, do=do)


class LedgerError(MemeditError):
    """The ledger could not be read or written; nothing was changed."""


class LedgerMissing(LedgerError):
    """There is no memory where one was named."""


class LedgerCorrupt(LedgerError):
    """The ledger's file is damaged, or is no ledger."""

    MEND = (
        "restore a backup with `memedit restore FILE`; or `memedit repair` saves what is whole, and "
        "`memedit doctor --deep` shows more"
    )


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer memedit."""


class LedgerReadOnly(LedgerError):
    """The ledger, or its folder, cannot be written."""


class LedgerBusy(LedgerError):
    """Another process held the ledger's write lock for too long."""


class LedgerUnreachable(LedgerError):
    """The ledger's server cannot be reached, or the connection broke: a change under way is recorded whole, or not."""


class StorageFull(LedgerError):
    """No space is left where the ledger lies."""


class AlreadyClosed(MemeditError):
    """The memory or the model was closed; nothing was changed."""


class IndexUnusable(MemeditError):
    """The index cannot be used and could not be repaired from the ledger."""


class IndexUnreachable(IndexUnusable):
    """The server that keeps the index cannot be reached. What it holds is as it was, and nothing is made anew."""


class GateUnusable(MemeditError):
    """A gate's file is missing, damaged, or was made for another version or another embedder."""


class EncoderUnusable(MemeditError):
    """An encoder that comes with memedit, or was trained with it, is damaged or of another version."""


class EmbedderError(MemeditError):
    """An embedder is missing, failed, or gave vectors of another form than it declared."""


class FileRejected(MemeditError, ValueError):
    """A file of edits could not be read; the message names the line or entry. Nothing of it was imported."""


class RunRejected(MemeditError, ValueError):
    """An evaluation cannot be run as asked, or its folder holds another one."""


class RequestRejected(MemeditError, ValueError):
    """The input of a call is neither text nor a list of chat messages, or it cannot be sent as asked."""


class RequestTooLong(RequestRejected):
    """The request does not fit into the context of the model.

    Args:
        tokens: Of the request.
        context: That the model reads, its answer among them.
    """

    def __init__(self, what: str, *, tokens: int, context: int, do: str | None = None) -> None:
        self.tokens = tokens
        self.context = context
        super().__init__(what, do=do)


class UnsupportedModel(MemeditError, TypeError):
    """This object or name cannot be wrapped as a language model."""


class CapabilityMissing(MemeditError):
    """The wrapped model cannot do what the method needs (`text`, `logprobs`, `weights`)."""


class EditDiverged(MemeditError):
    """An edit could not be written into the weights: the search or the solution broke down. They are unchanged."""


class ProviderError(MemeditError):
    """The wrapped model failed; the original exception is the `__cause__`."""


class UnknownMethod(MemeditError, LookupError):
    """No method of this name is registered."""


class MissingExtra(MemeditError, ImportError):
    """A part of memedit needs a package that is not installed.

    Args:
        extra: The extra of the `memedit` distribution that brings it.
        package: The missing package.
    """

    def __init__(self, extra: str, *, package: str) -> None:
        self.extra = extra
        self.package = package
        super().__init__(f"`{package}` is not installed.", do=f"pip install 'memedit[{extra}]'")
