"""The Storage port: how a ledger's database is opened, how its transactions begin, and what its errors mean."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, event, exc

from memedit.errors import AlreadyClosed, LedgerBusy, LedgerError
from memedit.memory.migrations import migrate

BUSY_SECONDS = 30.0


class Storage(ABC):
    """A database that holds one ledger. Nothing is opened before `open`."""

    shown: str
    """Where it lies, as it may stand in logs and errors: without a password."""

    address: str = ""
    """Of its database, with the password where one was given; for connecting to it alone."""

    folder: Path | None = None
    """Where an index may keep files; None where there is no such place."""

    driver_errors: ClassVar[tuple[type[Exception], ...]]
    """What the database's driver raises."""

    begin: dict[bool, str]
    """By whether a transaction writes: how it begins."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        # Writers of this process wait here for one another, before they wait for those of other processes.
        self._write_turn = threading.RLock()
        self._read_turn: AbstractContextManager[Any] = nullcontext()
        self._index_turn = threading.RLock()

    def open(self) -> None:
        """Open it, and take the steps of its schema that it has not taken yet.

        Raises:
            LedgerError: It cannot be opened; the subclass says why.
        """
        self._engine = engine = self._make_engine()
        event.listen(engine, "begin", self._begin)
        try:
            with self.transaction(writes=True) as connection:
                self._prepare(connection)
                migrate(connection)
        except BaseException:
            engine.dispose()
            raise

    def close(self) -> None:
        """Let go of it, once no change is under way; whatever comes later raises `AlreadyClosed`."""
        with self._write_turn:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.dispose()

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[Connection]:
        """A transaction: a consistent view for several reads, or one that holds the write lock and is then durable."""
        with (
            self._write_turn if writes else self._read_turn,
            self.typed_errors(),
            self.engine.connect().execution_options(writes=writes) as connection,
            connection.begin(),
        ):
            yield connection

    @abstractmethod
    def read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of one statement, its values marked by `?`, asked of the driver itself: decisions wait for it."""

    @contextmanager
    def index_turn(self) -> Iterator[None]:
        """While it is held, no other process brings an index that they share up to the ledger.

        Raises:
            LedgerBusy: Another process held it for too long.
        """
        with self._index_turn, ExitStack() as held:
            try:
                held.enter_context(self._turn_of_all())
            except LedgerBusy as error:
                raise LedgerBusy(
                    "Another process is still bringing the index up to the ledger.",
                    do="try again; the first time takes minutes where there are many edits",
                ) from error
            yield

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is a ledger already.

        Raises:
            LedgerError: That cannot be told, or something else is there.
        """

    def faults(self, connection: Connection) -> list[str]:
        """What the database finds wrong with its own files."""
        return []

    @abstractmethod
    def copy_to(self, file: Path) -> None:
        """Copy the ledger, as it is at one moment, into a new file of SQLite, while others write on."""

    @abstractmethod
    def scrub(self) -> None:
        """Leave nothing in its files of what was deleted.

        Raises:
            LedgerBusy: Others read for too long. What was deleted is gone for all; its old bytes may still be there.
        """

    @property
    def engine(self) -> Engine:
        """The engine, while it is open.

        Raises:
            AlreadyClosed: It was closed.
        """
        if self._engine is None:
            raise AlreadyClosed(f"The memory {self.shown} was closed.", do="open it again with EditMemory(…)")
        return self._engine

    @contextmanager
    def typed_errors(self) -> Iterator[None]:
        """Raise what the database reports as a `LedgerError` that says what to do."""
        try:
            yield
        except exc.TimeoutError as error:
            raise LedgerBusy(f"All connections to the ledger {self.shown} were in use.", do="try again") from error
        except exc.DBAPIError as error:
            raise self._typed(error.orig) from error
        except self.driver_errors as error:
            raise self._typed(error) from error

    @abstractmethod
    def _make_engine(self) -> Engine:
        """An engine whose connections do not begin transactions by themselves."""

    def _prepare(self, connection: Connection) -> None:  # noqa: B027
        """Make what has to be there before the first table."""

    @abstractmethod
    def _typed(self, cause: BaseException | None) -> LedgerError: ...

    @abstractmethod
    def _turn_of_all(self) -> AbstractContextManager[Any]:
        """A lock that processes hold in turn."""

    def _begin(self, connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        if writes is not None:  # a single statement is a transaction of its own, and needs none around it
            connection.exec_driver_sql(self.begin[writes])
