"""EditMemory: the edits of many namespaces, kept in a ledger and found through an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from memedit.embedders import Embedder
from memedit.index import Index, IndexChoice, IndexStore
from memedit.memory.aio import AsyncMemory
from memedit.memory.encoders import Encoders
from memedit.memory.exchange import Exchanges
from memedit.memory.ledger import Ledger
from memedit.memory.purging import period
from memedit.memory.rows import as_utc
from memedit.memory.statements import StatementJudge
from memedit.memory.storage import storage_of
from memedit.memory.vectors import TextVectors
from memedit.memory.views import Views
from memedit.text.relations import shipped_relations


class EditMemory(Exchanges):
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
    def judge(self) -> StatementJudge | None:
        """What reads statements against earlier ones; None where nothing can."""
        return self._encoders.judge

    @property
    def aio(self) -> AsyncMemory:
        """Every verb, awaitable: `await memory.aio.add(…)`, `async for receipt in memory.aio.add_many(…)`."""
        return AsyncMemory(self)

    def close(self) -> None:
        """Let go of the ledger's file, once no change is under way. Closing twice is fine."""
        self._ledger.close()
        self._views.drop()
