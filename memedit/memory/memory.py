"""EditMemory: the edits of many namespaces, kept in a ledger and found through an index."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

from memedit.edits import KINDS, AnyEdit, EditLike, as_edit
from memedit.embedders import Embedder, QueryCache, Vectors, as_embedder, default_embedder
from memedit.embedders.port import text_hash
from memedit.errors import EditRejected, FileRejected, NothingToUndo, UnknownEdit, UnknownRevision
from memedit.index import Index, IndexChoice
from memedit.memory.book import Book
from memedit.memory.conflicts import ALIKE, OnConflict, Receipt, check_on_conflict
from memedit.memory.events import Change, ChangeKind, Event, removed, restored, retracted
from memedit.memory.files import read_edits, write_edits
from memedit.memory.ledger import NOWHERE, Head, Ledger, Row, Writer
from memedit.memory.recall import Candidate, Recalled, candidates, expired, in_force
from memedit.memory.snapshot import Snapshot
from memedit.memory.view import View, Views
from memedit.relations import shipped_relations
from memedit.text import deceptive_character, words

CHUNK = 512  # edits committed together by `add_many`
DEFAULT = "default"
MAX_NAMESPACE = 200


class EditMemory:
    """The edits of many namespaces.

    Every verb takes `namespace=`. Each call that changes something is one change set, and one revision of its
    namespace; a call that returned is durable.

    Args:
        path: A folder, made when missing. None for a memory that ends with the process.
        embedder: Whatever `as_embedder` takes; the bundled MiniLM when left out. Loaded when first needed.
        index: `auto`, `exact`, `chroma`, or a function (namespace, kind) → Index.
        single_valued: Relation to whether a subject has one value of it at a time, beside the shipped table.
        query_cache: How many query vectors are kept; 0 for none.
        clock: The memory time of changes, and of expiry.

    Raises:
        LedgerError: The ledger cannot be opened; the subclass says why.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        embedder: Any = None,
        index: str | Callable[[str, str], Index] = "auto",
        single_valued: Mapping[str, bool] | None = None,
        query_cache: int = 4_096,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = None if path is None else Path(path).expanduser()
        self.relations = shipped_relations().with_single(single_valued or {})
        self.clock = clock
        self._ledger = Ledger(self.path)
        self._given_embedder = embedder
        self._embedder: Embedder | None = None
        self._queries = QueryCache(query_cache)
        self._views = Views(self._ledger, lambda: self.embedder, _choice(index, self.path))

    @property
    def embedder(self) -> Embedder:
        """The embedder, loaded now if it was not.

        Raises:
            EmbedderError: None is given and the default is not installed; the message names the choices.
        """
        if self._embedder is None:
            given = self._given_embedder
            self._embedder = default_embedder() if given is None else as_embedder(given)
        return self._embedder

    def close(self) -> None:
        """Let go of the ledger's file."""
        self._views.drop()
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

        A Fact supersedes an older one with the same subject and relation where the relation has one value at a time.
        Otherwise nothing is removed, and the receipt lists `possible_conflicts`.

        Args:
            edit: An edit, or a plain statement.
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
        """
        check_on_conflict(on_conflict)
        where = _checked(namespace)
        made = {"author": author, "source": source, "reason": reason}
        defaults = {name: value for name, value in made.items() if value is not None}
        change = Change(where, 0, "add", self.clock(), author=author, reason=reason)
        return self._add(_settled(edits, where, defaults), change, on_conflict, chunk)

    def retract(
        self, ids: str | Sequence[str], *, namespace: str = DEFAULT, author: str | None = None,
        reason: str | None = None,
    ) -> Change:  # fmt: skip
        """Take edits out of force. What a retracted edit had superseded stays superseded (`undo` brings it back).

        Raises:
            UnknownEdit: One of them is not in force; nothing is changed.
        """
        wanted = [ids] if isinstance(ids, str) else list(dict.fromkeys(ids))

        def events(writer: Writer, head: Head) -> list[Event]:
            active = writer.active_among(head.namespace_id, wanted)
            if missing := [edit_id for edit_id in wanted if edit_id not in active]:
                raise _unknown(missing, where)
            return [retracted(edit_id) for edit_id in wanted]

        where = _checked(namespace)
        return self._record(where, "retract", events, author=author, reason=reason)

    def undo(self, *, namespace: str = DEFAULT, author: str | None = None, reason: str | None = None) -> Change:
        """Take back the namespace's last change set; once more, the one before it.

        Raises:
            NothingToUndo: There is none left.
        """
        where = _checked(namespace)
        with self._ledger.writing() as writer:
            head = writer.head(where)
            target = writer.undoable(head.namespace_id)
            if target is None:
                raise NothingToUndo(f"Namespace `{where}` has nothing to undo.", do="see `history()`")
            change = Change(where, 0, "undo", self.clock(), author, reason, target)
            return self._go_back(writer, head, change, to=target - 1)

    def revert(
        self, *, to: int, namespace: str = DEFAULT, author: str | None = None, reason: str | None = None
    ) -> Change:
        """Put the namespace into the state it had at a revision. This is a change of its own, which `undo` takes back.

        Raises:
            UnknownRevision: The namespace never had it.
        """
        where = _checked(namespace)
        with self._ledger.writing() as writer:
            head = writer.head(where)
            _check_revision(to, head, where)
            change = Change(where, 0, "revert", self.clock(), author, reason, to)
            return self._go_back(writer, head, change, to=to)

    # ---- reading --------------------------------------------------------------------------------------------------

    def get(self, edit_id: str, *, namespace: str = DEFAULT) -> AnyEdit:
        """The edit in force of this id, or of an id that begins so.

        Raises:
            UnknownEdit: There is none, or more than one.
        """
        where = _checked(namespace)
        view = self._views.current(where)
        with view.lock:
            ids = [edit_id] if edit_id in view.rows else [known for known in view.rows if known.startswith(edit_id)]
            found = list(in_force(self._views, view, ids[:3], self.clock()).values()) if edit_id else []
        if len(found) != 1:
            raise _unknown([edit_id], where, several=len(found) > 1)
        return found[0]

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
        kinds: Sequence[str] = ("fact", "feedback", "patch"),
    ) -> Recalled:
        """The edits that may be in scope of a query: the `k` nearest, and those whose subject it names.

        It sees every edit that any process has committed when it is called, and none that is undone or expired.
        An empty namespace costs one look at the ledger and needs no embedder.
        """
        where = _checked(namespace)
        view = self._views.current(where)
        if not view.rows or not query.strip():
            return Recalled(query, view.head.revision)
        vector = self._queries.embed(self.embedder, [query])[0]
        view = self._views.current(where)  # embedding took its time; what was undone meanwhile must not be used
        with view.lock:
            found = candidates(self._views, view, vector, words(query), kinds=kinds, k=k, now=self.clock())
            names = {index.name for index in view.indexes.values()}
            return Recalled(query, view.head.revision, found, "+".join(sorted(names)), vector, self.embedder)

    def prepare(self, queries: Sequence[str], *, namespace: str = DEFAULT) -> None:
        """Embed several queries in one pass before they are recalled one by one."""
        if len(queries) > 1 and self._views.current(_checked(namespace)).rows:
            self._queries.embed(self.embedder, [query for query in queries if query.strip()] or ["?"])

    def history(self, edit_id: str | None = None, *, namespace: str = DEFAULT) -> list[Change]:
        """The change sets of a namespace, oldest first; with an id, only those that touched this edit."""
        where = _checked(namespace)
        with self._ledger.reading() as reader:
            return reader.changes(reader.head(where), where, edit_id=edit_id)

    def revision(self, *, namespace: str = DEFAULT) -> int:
        """The number of the namespace's last change set; 0 when it has none."""
        return self._ledger.head(_checked(namespace)).revision

    def namespaces(self) -> list[str]:
        """The names of all namespaces that ever held an edit."""
        with self._ledger.reading() as reader:
            return reader.namespaces()

    def as_of(self, when: int | datetime | None, *, namespace: str = DEFAULT) -> Snapshot:
        """The namespace as the memory knew it at a revision, or at a (memory) time. None for now.

        Raises:
            UnknownRevision: The namespace never had this revision.
        """
        where = _checked(namespace)
        with self._ledger.reading() as reader:
            head = reader.head(where)
            if isinstance(when, datetime):
                revision = reader.revision_at(head.namespace_id, when)
            else:
                revision = head.revision if when is None else when
                _check_revision(revision, head, where)
            ids = reader.in_force(head.namespace_id, until=reader.last_seq(head.namespace_id, revision))
            known = reader.edits(head.namespace_id, ids if len(ids) < 5_000 else None)
        at = when if isinstance(when, datetime) else self.clock()
        edits = sorted((known[edit_id] for edit_id in ids), key=lambda edit: (edit.created_at, edit.id))
        return Snapshot(
            where, revision, tuple(edit for edit in edits if not expired(edit, at)), self._ledger, lambda: self.embedder
        )

    # ---- files ----------------------------------------------------------------------------------------------------

    def export(self, path: str | Path, *, namespace: str = DEFAULT) -> int:
        """Write the edits in force to a file: `.jsonl`, or `.yaml` for people and git. Gives how many."""
        edits = self.edits(namespace=namespace)
        write_edits(Path(path), edits)
        return len(edits)

    def import_(
        self, path: str | Path, *, namespace: str = DEFAULT, on_conflict: OnConflict = "supersede",
        author: str | None = None, reason: str | None = None,
    ) -> list[Receipt]:  # fmt: skip
        """Add the edits of a file (`.jsonl`, `.yaml`) as one change set, whatever namespace they came from.

        Raises:
            FileRejected: The file, or an entry of it, cannot be read; nothing was imported.
        """
        check_on_conflict(on_conflict)
        where = _checked(namespace)
        edits = [edit.with_(namespace=where) for edit in read_edits(Path(path))]
        change = Change(where, 0, "import", self.clock(), author, reason or f"import of {Path(path).name}")
        try:
            return list(self._add(_settled(edits, where, {}), change, on_conflict, max(len(edits), 1)))
        except EditRejected as error:
            raise FileRejected(f"{path}: {error.what}", do=error.do) from error

    def rebuild_index(self, *, namespace: str = DEFAULT, embed: bool = False) -> int:
        """Build the namespace's index again from the ledger. Gives how many edits it holds.

        Args:
            embed: Also make all vectors of this embedder anew, instead of taking those in the ledger.
        """
        where = _checked(namespace)
        if embed:
            with self._ledger.writing() as writer:
                writer.forget_vectors(self.embedder.id)
        view = self._views.current(where)
        with view.lock:
            for index in view.indexes.values():
                index.clear()
            view.clear()
        view = self._views.current(where)
        return len(view.rows)

    def check(self, *, namespace: str | None = None) -> list[str]:
        """What is wrong with ledger and index, in words; empty when both are whole and agree."""
        faults = []
        with self._ledger.reading() as reader:
            if (report := reader.check()) != "ok":
                faults.append(f"ledger: {report}")
        for where in self.namespaces() if namespace is None else [_checked(namespace)]:
            view = self._views.current(where)
            with view.lock, self._ledger.reading() as reader:
                head = reader.head(where)
                if head == view.head and reader.in_force(head.namespace_id) != view.rows.keys():
                    faults.append(f"namespace {where}: what is loaded differs from the ledger")
                indexed = sum(len(index) for index in view.indexes.values())
                if indexed != len(view.rows):
                    faults.append(f"namespace {where}: {len(view.rows)} edits, but {indexed} in the index")
        return faults

    # ---- how it is done -------------------------------------------------------------------------------------------

    def _add(self, edits: Iterator[AnyEdit], change: Change, on_conflict: OnConflict, chunk: int) -> Iterator[Receipt]:
        embedder = self.embedder
        begun: Head | None = None
        ahead: deque[tuple[list[AnyEdit], Future[dict[str, Vectors]]]] = deque()
        with ThreadPoolExecutor(1, "memedit-embed") as pool:
            while batch := list(islice(edits, chunk)):
                ahead.append((batch, pool.submit(self._lacking_vectors, embedder, batch)))
                if len(ahead) > 1:
                    begun, receipts = self._commit(*_wait(ahead.popleft()), change, begun, on_conflict)
                    yield from receipts
            while ahead:
                begun, receipts = self._commit(*_wait(ahead.popleft()), change, begun, on_conflict)
                yield from receipts

    def _lacking_vectors(self, embedder: Embedder, edits: Sequence[AnyEdit]) -> dict[str, Vectors]:
        """The vectors, by text hash, that the ledger does not have yet."""
        texts = {text_hash(edit.key_text): edit.key_text for edit in edits}
        texts |= {text_hash(edit.relation_text): edit.relation_text for edit in edits if edit.kind == "fact"}
        with self._ledger.reading() as reader:
            known = reader.vectors(embedder.id, texts)
        lacking = {key: text for key, text in texts.items() if key not in known}
        return dict(zip(lacking, embedder.embed(list(lacking.values())), strict=True))

    def _commit(
        self, edits: Sequence[AnyEdit], vectors: dict[str, Vectors], change: Change, begun: Head | None,
        on_conflict: OnConflict,
    ) -> tuple[Head, list[Receipt]]:  # fmt: skip
        rows = [Row.of(edit, self.relations) for edit in edits]
        with self._ledger.writing() as writer:
            head = writer.namespace(change.namespace)
            if begun is None or head.revision != begun.revision:
                head = writer.begin_change(head, change)
            book = Book(writer, head, rows, self.relations)
            receipts = [book.enter(row, edit, on_conflict) for row, edit in zip(rows, edits, strict=True)]
            writer.put_edits(head.namespace_id, book.fresh)
            writer.put_vectors(self.embedder.id, vectors)
            head = writer.append(head, book.events)
        return head, self._with_likenesses(change.namespace, rows, receipts)

    def _with_likenesses(self, where: str, rows: Sequence[Row], receipts: list[Receipt]) -> list[Receipt]:
        """The receipts, with statements that lack subject and relation listed against the ones they are like."""
        if not (self._views.loaded(where) or any(row.slotless for row in rows)):
            return receipts
        view = self._views.current(where)
        with view.lock:
            if not view.counts["slotless"]:
                return receipts
            index = view.indexes["fact"]
            return [
                replace(receipt, possible_conflicts=(*receipt.possible_conflicts, *alike))
                if row.kind == "fact" and receipt.status == "added" and (alike := self._alike(view, index, row))
                else receipt
                for row, receipt in zip(rows, receipts, strict=True)
            ]

    def _alike(self, view: View, index: Index, row: Row) -> tuple[str, ...]:
        with self._ledger.reading() as reader:
            vector = reader.vectors(self.embedder.id, [row.text_hash])[row.text_hash]
        return tuple(
            edit_id
            for edit_id, cosine in index.search(vector, 6)
            if edit_id != row.id
            and edit_id in view.rows
            and cosine >= ALIKE
            and (row.slotless or view.rows[edit_id].slotless)
        )

    def _record(
        self, where: str, kind: ChangeKind, events: Callable[[Writer, Head], list[Event]], *, author: str | None,
        reason: str | None,
    ) -> Change:  # fmt: skip
        with self._ledger.writing() as writer:
            head = writer.namespace(where)
            change = Change(where, 0, kind, self.clock(), author, reason)
            happened = events(writer, head)
            head = writer.append(writer.begin_change(head, change), happened)
        return replace(change, revision=head.revision, events=tuple(happened))

    def _go_back(self, writer: Writer, head: Head, change: Change, *, to: int) -> Change:
        then = writer.last_seq(head.namespace_id, to)
        touched = writer.states_since(head.namespace_id, then)
        before = writer.active_among(head.namespace_id, list(touched), until=then)
        events = [removed(edit_id) for edit_id, active in touched.items() if active and edit_id not in before]
        events += [restored(edit_id) for edit_id, active in touched.items() if not active and edit_id in before]
        head = writer.append(writer.begin_change(head, change), events)
        return replace(change, revision=head.revision, events=tuple(events))


def _settled(edits: Iterable[EditLike], where: str, defaults: Mapping[str, Any]) -> Iterator[AnyEdit]:
    """Valid edits of this namespace, made as they are asked for."""
    for place, given in enumerate(edits, start=1):
        try:
            edit = as_edit(given, **defaults)
            if edit.namespace not in (None, where):
                raise EditRejected(
                    f"The edit belongs to namespace `{edit.namespace}`, not to `{where}`.",
                    do="leave its namespace out, or add it with namespace=",
                )
        except EditRejected as error:
            raise EditRejected(f"Edit {place}: {error.what}", do=error.do) from error
        yield edit if edit.namespace else edit.model_copy(update={"namespace": where})


def _wait(
    ahead: tuple[list[AnyEdit], Future[dict[str, Vectors]]],
) -> tuple[list[AnyEdit], dict[str, Vectors]]:
    return ahead[0], ahead[1].result()


def _choice(index: str | Callable[[str, str], Index], path: Path | None) -> IndexChoice:
    folder = None if path is None else path / "index"
    if callable(index):
        return IndexChoice(folder=folder, custom=index)
    if index not in ("auto", "exact", "chroma"):
        raise ValueError(f"index is 'auto', 'exact', 'chroma' or a function, not {index!r}")
    return IndexChoice(index, folder)  # type: ignore[arg-type]


def _checked(namespace: str) -> str:
    fine = isinstance(namespace, str) and 0 < len(namespace) <= MAX_NAMESPACE and namespace == namespace.strip()
    if not fine or deceptive_character(namespace) or "\n" in namespace:
        raise EditRejected(
            "A namespace is one line of text without blanks at its ends, of 1 to "
            f"{MAX_NAMESPACE} characters; {namespace!r:.60} is not.",
            do="give another name",
        )
    return namespace


def _check_revision(revision: int, head: Head, where: str) -> None:
    if (head is not NOWHERE and not 0 <= revision <= head.revision) or (head is NOWHERE and revision):
        raise UnknownRevision(
            f"Namespace `{where}` has revisions 0 to {head.revision}, not {revision}.", do="see `history()`"
        )


def _unknown(ids: Sequence[str], where: str, *, several: bool = False) -> UnknownEdit:
    names = ", ".join(f"`{edit_id:.40}`" for edit_id in ids)
    what = "names several edits" if several else "is not in force"
    return UnknownEdit(f"{names} {what} in namespace `{where}`.", do="see the ids with `memedit list` or `edits()`")
