"""EditMemory: the edits of many namespaces, kept in a ledger and found through an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from memedit.edits import KINDS, SCOPED, AnyEdit, EditLike
from memedit.embedders import Embedder, Vectors
from memedit.errors import EditRejected, FileRejected
from memedit.index import Index, IndexChoice, IndexStore
from memedit.memory import changing
from memedit.memory.adding import Adding, settled
from memedit.memory.book import Book
from memedit.memory.care import DEFAULT, Care
from memedit.memory.checks import checked_namespace, unknown
from memedit.memory.conflicts import OnConflict, Receipt, check_on_conflict
from memedit.memory.encoders import Encoders
from memedit.memory.events import Change, Event
from memedit.memory.files import read_entries, write_edits
from memedit.memory.ledger import Ledger
from memedit.memory.proposals import Proposals
from memedit.memory.purging import period
from memedit.memory.recall import Candidate, Recalled, candidates, expired
from memedit.memory.rows import as_utc
from memedit.memory.snapshot import Snapshot, read_snapshot
from memedit.memory.storage import storage_of
from memedit.memory.vectors import TextVectors
from memedit.memory.view import View, Views
from memedit.relations import shipped_relations
from memedit.text import storable, words
from memedit.threads import together

if TYPE_CHECKING:
    from memedit.memory.aio import AsyncMemory
    from memedit.memory.statements import StatementJudge

CHUNK = 512  # edits committed together by `add_many`


class EditMemory(Care, Proposals):
    """The edits of many namespaces.

    Every verb takes `namespace=`. Each call that changes something is one change set, and one revision of its
    namespace; a call that returned is durable. `aio` has every verb in its awaitable form. After `close`, or the end of
    a `with` or `async with`, verbs raise `AlreadyClosed`.

    Args:
        path: A folder, made when missing; or the address of a database, `postgresql://USER@HOST/DATABASE` (the extra
            `postgres`). None for a memory that ends with the process.
        embedder: Whatever `as_embedder` takes; the bundled MiniLM when left out. Loaded when first needed.
        finder: An embedder of whole conversations, whose vectors lie in the embedder's space, near the edits that they
            need. The one that comes with memedit when left out, where it fits the embedder; None for none.
        languages: A second finder, that reads many languages: of statements and whole conversations, in a space of its
            own. The one of the extra `languages` when left out, where that is installed and the embedder is one that
            comes with memedit; None for none.
        judge: Reads statements that are added against earlier ones (`contradictions`), and whether a text governs every
            answer (`governing`). The one that comes with memedit when left out, where it fits the embedder; None for
            none, where likeness alone counts, and a text is a Fact.
        index: `auto`, `exact`, `two-pass`, `chroma`; a store of large namespaces with its address, such as
            `pgvector:postgresql://…` (alone where it is the ledger's), `chroma:http://…` or `qdrant:http://…`; an
            `IndexStore`, an `IndexChoice`, or a function (namespace, kind) → Index.
        single_valued: Relation to whether a subject has one value of it at a time, beside the shipped table.
        query_cache: How many query vectors are kept; 0 for none.
        clock: The memory time of changes, and of expiry.
        keep_history: For how long what is out of force is kept, such as `90 days`; then it is purged, when the memory
            is opened and once a day where it changes. For good when None.

    Raises:
        EmbedderError: No embedder has the name that is given.
        LedgerError: The ledger cannot be opened; the subclass says why.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        embedder: Any = None,
        finder: Embedder | Literal["auto"] | None = "auto",
        languages: Embedder | Literal["auto"] | None = "auto",
        judge: StatementJudge | Literal["auto"] | None = "auto",
        index: str | IndexChoice | IndexStore | Callable[[str, str], Index] = "auto",
        single_valued: Mapping[str, bool] | None = None,
        query_cache: int = 4_096,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep_history: str | timedelta | None = None,
    ) -> None:
        self._keeps = None if keep_history is None else period(keep_history)
        storage = storage_of(path)
        self.path = storage.folder
        self.relations = shipped_relations().with_single(single_valued or {})
        self.clock: Callable[[], datetime] = lambda: as_utc(clock())
        self._encoders = Encoders(embedder, finder, languages, judge)
        choice = IndexChoice.of(index, None if self.path is None else self.path / "index", storage.address)
        self._ledger = Ledger(storage)  # last of what may fail: it makes the memory where there is none
        self._vectors = TextVectors(
            self._ledger, lambda: self._encoders.embedder, lambda: self._encoders.finder, query_cache
        )
        self._across: TextVectors | None = None
        self._query_cache = query_cache
        self._views = Views(
            self._ledger,
            self._vectors,
            lambda: self._languages,
            choice,
        )
        self._keep_history()

    @property
    def place(self) -> str:
        """Where its ledger lies, as it may stand in logs: without a password."""
        return self._ledger.storage.shown

    @property
    def identity(self) -> str:
        """What tells this memory from every other, wherever it is opened."""
        return self._ledger.identity

    @property
    def embedder(self) -> Embedder:
        """The embedder, loaded now if it was not.

        Raises:
            EmbedderError: None is given and the default is not installed; the message names the choices.
        """
        return self._encoders.embedder

    @property
    def judge(self) -> StatementJudge | None:
        """What reads statements against earlier ones; None where nothing can."""
        return self._encoders.judge

    @property
    def aio(self) -> AsyncMemory:
        """Every verb, awaitable: `await memory.aio.add(…)`, `async for receipt in memory.aio.add_many(…)`."""
        from memedit.memory.aio import AsyncMemory

        return AsyncMemory(self)

    def close(self) -> None:
        """Let go of the ledger's file, once no change is under way. Closing twice is fine."""
        self._ledger.close()
        self._views.drop()

    # ---- changing -------------------------------------------------------------------------------------------------

    def add(
        self,
        edit: EditLike,
        *,
        namespace: str = DEFAULT,
        on_conflict: OnConflict = "supersede",
        author: str | None = None,
        source: str | None = None,
        reason: str | None = None,
    ) -> Receipt:
        """Put an edit in force.

        A Fact supersedes an older one with the same subject and relation where the relation has one value at a time; so
        does a statement that surely takes the place of an older, short one, in whatever words. Otherwise nothing is
        removed, and the receipt lists `possible_conflicts`.

        A plain text that says how every message is to be answered (“Never use emojis with me.”) becomes a Behaviour
        that governs every answer; any other is a Fact. `Fact("…")` is one whatever it says.

        Args:
            edit: An edit, or a plain text.
            on_conflict: `supersede` does the above; `keep` leaves both in force; `error` refuses the edit.
            author, source, reason: Set on the edit where it leaves them out, and recorded with the change.

        Raises:
            EditRejected: It is not a valid edit, or its id names another edit.
            EditConflict: It contradicts edits in force, and `on_conflict` is `error`.
        """
        many = self.add_many(
            [edit], namespace=namespace, on_conflict=on_conflict, author=author, source=source, reason=reason
        )
        return next(iter(many))

    def add_many(
        self,
        edits: Iterable[EditLike],
        *,
        namespace: str = DEFAULT,
        on_conflict: OnConflict = "supersede",
        author: str | None = None,
        source: str | None = None,
        reason: str | None = None,
        chunk: int = CHUNK,
    ) -> Iterator[Receipt]:
        """Put edits in force, in chunks, yielding receipts as it goes: iterate over it, or nothing happens.

        A yielded receipt is durable. The call is one change set, and so one `undo`; only where another writer changes
        the namespace between two chunks does the rest become a change set of its own, so that undo stays in order.

        Args:
            edits: Any iterable, read lazily.
            chunk: How many are embedded and committed together. Embedding runs ahead of committing by one chunk.

        Raises:
            EditRejected: One of them is not valid. Edits whose receipts were yielded stay in force.
            EditConflict: As in `add`.
            ValueError: `chunk` is less than 1, or `on_conflict` is none of the three.
        """
        check_on_conflict(on_conflict)
        if chunk < 1:
            raise ValueError(f"chunk is at least 1, not {chunk}")
        change = self._change("add", namespace, author, reason)
        made = {"author": change.author, "source": source, "reason": change.reason}
        defaults = {name: value for name, value in made.items() if value is not None}
        return self._adding(change, on_conflict).run(settled(edits, change.namespace, defaults), chunk)

    def apply(
        self, edits: Sequence[EditLike], *, retract: Sequence[str] = (), namespace: str = DEFAULT,
        on_conflict: OnConflict = "supersede", author: str | None = None, reason: str | None = None,
    ) -> list[Receipt]:  # fmt: skip
        """Retract some edits and add others, all or nothing, as one change set.

        Raises:
            UnknownEdit: One of `retract` is not in force; nothing is changed.
            EditRejected: One of the edits is not valid; nothing is changed.
        """
        check_on_conflict(on_conflict)
        change = self._change("apply", namespace, author, reason)
        if not edits:
            changing.retract(self._ledger, change, retract)
            return []
        adding = self._adding(change, on_conflict, [storable(edit_id) for edit_id in dict.fromkeys(retract)])
        return list(adding.run(settled(edits, change.namespace, {}), len(edits)))

    def retract(
        self, ids: str | Sequence[str], *, namespace: str = DEFAULT, author: str | None = None,
        reason: str | None = None,
    ) -> Change:  # fmt: skip
        """Take edits out of force. What a retracted edit had superseded stays superseded (`undo` brings it back).

        Raises:
            UnknownEdit: One of them is not in force; nothing is changed.
        """
        change = self._change("retract", namespace, author, reason)
        return changing.retract(self._ledger, change, [ids] if isinstance(ids, str) else ids)

    def record(
        self, kind: Literal["bake", "unbake", "fallback"], events: Sequence[Event], *, namespace: str = DEFAULT,
        author: str | None = None, reason: str | None = None,
    ) -> Change:  # fmt: skip
        """Record what was done with edits in force that stay in force, as one change set, which `undo` takes back.

        Raises:
            UnknownEdit: One of them is not in force; nothing is recorded.
        """
        return changing.record(self._ledger, self._change(kind, namespace, author, reason), events)

    def undo(self, *, namespace: str = DEFAULT, author: str | None = None, reason: str | None = None) -> Change:
        """Take back the namespace's last change set; once more, the one before it.

        Raises:
            NothingToUndo: There is none left.
        """
        return changing.undo(self._ledger, self._change("undo", namespace, author, reason))

    def revert(
        self, *, to: int, namespace: str = DEFAULT, author: str | None = None, reason: str | None = None
    ) -> Change:
        """Put the namespace into the state it had at a revision. This is a change of its own, which `undo` takes back.

        Where it has that state already, nothing is recorded.

        Raises:
            UnknownRevision: The namespace never had it.
        """
        return changing.revert(self._ledger, self._change("revert", namespace, author, reason), to=to)

    # ---- reading --------------------------------------------------------------------------------------------------

    def get(self, edit_id: str, *, namespace: str = DEFAULT) -> AnyEdit:
        """The edit in force of this id, or of an id that begins so.

        Raises:
            UnknownEdit: There is none, or more than one.
        """
        where = checked_namespace(namespace)
        with self._ledger.reading() as reader:
            head = reader.head(where)
            ids = reader.ids(head.namespace_id, beginning=storable(edit_id)) if edit_id else []
            known = reader.edits(head.namespace_id, reader.active_among(head.namespace_id, ids))
        found = {edit.id: edit for edit in known.values() if not expired(edit, self.clock())}
        if edit_id in found:
            return found[edit_id]
        if len(found) != 1:
            raise unknown([edit_id], where, several=len(found) > 1)
        return next(iter(found.values()))

    def recorded(self, ids: Iterable[str], *, namespace: str = DEFAULT) -> dict[str, AnyEdit]:
        """The edits of these ids that were ever added, in force or not: for reading the history."""
        where = checked_namespace(namespace)
        with self._ledger.reading() as reader:
            return reader.edits(reader.head(where).namespace_id, map(storable, ids))

    def edits(self, *, namespace: str = DEFAULT, kind: str | None = None, tag: str | None = None) -> list[AnyEdit]:
        """All edits in force, oldest first."""
        return self.as_of(None, namespace=namespace).edits(kind=kind, tag=tag)

    def search(self, query: str, *, k: int = 10, namespace: str = DEFAULT, kind: str | None = None) -> list[Candidate]:
        """The `k` edits nearest to a text, for people to look at; whether they are in scope is the gate's question."""
        recalled = self.recall(query, k=k, namespace=namespace, kinds=[kind] if kind else list(KINDS))
        return list(recalled.candidates[:k])

    def recall(
        self,
        query: str,
        *,
        k: int = 16,
        namespace: str = DEFAULT,
        kinds: Sequence[str] = SCOPED,
        whole: str = "",
    ) -> Recalled:
        """The edits that may be in scope of a query: the `k` nearest, and those whose subject it names.

        It sees every edit that any process has committed when it is called, and none that is undone or expired.
        An empty namespace costs one look at the ledger and needs no embedder.

        Args:
            query: What is asked.
            k: How many are proposed for each text.
            namespace: Whose edits.
            kinds: Of edit.
            whole: The conversation it is of, which is looked up too, and which the gate reads; empty where it is none.
        """
        where = checked_namespace(namespace)
        if not query.strip() or self._views.is_empty(where):
            return Recalled(query, self._ledger.head(where).revision)
        vectors, across = self._embedded(query, whole)
        named = words(f"{query}\n{whole}")

        def propose(view: View) -> Recalled:
            standing = self._encoders.standing if whole else None
            found = candidates(
                self._views, view, vectors, named, kinds=kinds, k=max(k, 0), now=self.clock(), standing=standing,
                across=across,
            )  # fmt: skip
            index = "+".join(sorted({index.name for index in view.indexes.values()}))
            return Recalled(query, view.head.revision, found, index, vectors[0], self.embedder, whole)

        # The view is made current after embedding, which takes its time: nothing undone meanwhile is used.
        return self._views.read(where, propose)

    def of_kind(self, kind: str, *, namespace: str = DEFAULT, nameless: bool = False) -> list[AnyEdit]:
        """All edits of a kind that are in force, as of now; costs nothing where there are none.

        nameless: Whether only those that are about nothing by name.
        """
        where = checked_namespace(namespace)

        def read(view: View) -> list[AnyEdit]:
            of_kind = (row for row in view.rows.values() if row.kind == kind) if view.counts[kind] else ()
            ids = [row.id for row in of_kind if not (nameless and row.names_text)]
            known = self._views.edits(view.head.namespace_id, ids)
            return [edit for edit in map(known.get, ids) if edit is not None and not expired(edit, self.clock())]

        return [] if self._views.is_empty(where) else self._views.read(where, read)

    def prepare(self, queries: Sequence[str], wholes: Sequence[str] = (), *, namespace: str = DEFAULT) -> None:
        """Embed the texts of several look-ups in one pass before they are recalled one by one."""
        if len(queries) > 1 and not self._views.is_empty(checked_namespace(namespace)):
            self._vectors.of_queries([query for query in queries if query.strip()] or ["?"])
            said = [whole for whole in wholes if whole] or ["?"]
            self._vectors.of_messages(said)
            if self._languages:
                self._languages.of_messages(said)

    def history(self, edit_id: str | None = None, *, namespace: str = DEFAULT) -> list[Change]:
        """The change sets of a namespace, oldest first; with an id, only those that touched this edit."""
        where = checked_namespace(namespace)
        with self._ledger.reading() as reader:
            return reader.changes(reader.head(where), where, edit_id=None if edit_id is None else storable(edit_id))

    def revision(self, *, namespace: str = DEFAULT) -> int:
        """The number of the namespace's last change set; 0 when it has none."""
        return self._ledger.head(checked_namespace(namespace)).revision

    def as_of(self, when: int | datetime | None, *, namespace: str = DEFAULT) -> Snapshot:
        """The namespace as the memory knew it at a revision, or at a (memory) time. None for now.

        Raises:
            UnknownRevision: The namespace never had this revision.
        """
        where = checked_namespace(namespace)
        return read_snapshot(self._ledger, self._vectors, where, when, now=self.clock())

    # ---- files ----------------------------------------------------------------------------------------------------

    def export(self, path: str | Path, *, namespace: str = DEFAULT, secrets: bool = False) -> int:
        """Write the edits in force, and those that wait, to a file: `.jsonl`, or `.yaml` for people and git.

        Gives how many. Those that wait for approval are marked, and wait again where the file is imported.

        secrets: Also Erasures, with what they keep; without, they are left out.
        """
        edits, waiting = (
            [edit for edit in found if secrets or not edit.SECRET]
            for found in (self.edits(namespace=namespace), self.proposed(namespace=namespace))
        )
        write_edits(Path(path), edits, waiting)
        return len(edits) + len(waiting)

    def import_(
        self, path: str | Path, *, namespace: str = DEFAULT, on_conflict: OnConflict = "supersede",
        author: str | None = None, reason: str | None = None,
    ) -> list[Receipt]:  # fmt: skip
        """Add the edits of a file (`.jsonl`, `.yaml`, `.csv`) as one change set, whatever namespace they came from.

        What it marks as waiting for approval is proposed, as a further change set.

        Raises:
            FileRejected: The file, or an entry of it, cannot be read; nothing was imported.
        """
        check_on_conflict(on_conflict)
        found = read_entries(Path(path))
        change = self._change("import", namespace, author, reason or storable(f"import of {Path(path).name}"))
        own, waiting = (
            [edit.with_(namespace=change.namespace) for edit in edits] for edits in (found.edits, found.proposed)
        )
        try:
            adding = self._adding(change, on_conflict)
            receipts = list(adding.run(settled(own, change.namespace, {}), max(len(own), 1)))
            if waiting:
                by, why = change.author, change.reason
                receipts += self.propose(waiting, namespace=change.namespace, author=by, reason=why)
            return receipts
        except EditRejected as error:
            raise FileRejected(f"{path}: {error.what}", do=error.do) from error

    # ---- how it is done -------------------------------------------------------------------------------------------

    def _embedded(self, query: str, whole: str) -> tuple[Vectors, Vectors | None]:
        """The vectors of a query and of its conversation (texts, dimension), and of the latter across languages.

        What several encoders make is made at the same time: they compute outside of Python's lock.
        """
        if not whole:
            return self._vectors.of_queries([query]), None
        first, across = self._vectors, self._languages
        if first.finds_by_itself and across is None:
            vectors = first.of_queries([query, whole])
            return (vectors[:1] if query == whole else vectors), None
        further = [] if across is None else [lambda: across.of_messages([whole])]
        asked, said, *second = together(
            lambda: first.of_queries([query]), lambda: first.of_messages([whole]), *further
        )  # fmt: skip
        return np.concatenate((asked, said)), second[0][0] if second else None

    @property
    def _languages(self) -> TextVectors | None:
        """The vectors of the encoder of many languages; None where there is none."""
        encoder = self._encoders.languages
        if encoder is not None and self._across is None:
            self._across = TextVectors(self._ledger, lambda: encoder, lambda: encoder, self._query_cache)
        return self._across

    def _adding(
        self, change: Change, on_conflict: OnConflict, retracting: Sequence[str] = (), book: type[Book] = Book
    ) -> Adding:
        parts = self._ledger, self._views, self._vectors, lambda: self._languages, self.relations, self._encoders
        return Adding(*parts, change, on_conflict, retracting, book)
