"""pgvector as an index: a table a namespace, kind and embedder, beside the ledger or in another database.

Search is exact up to `HNSW_FROM` vectors; from then on by pgvector's HNSW graph (Malkov & Yashunin 2018).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sqlalchemy import Connection, event, exc
from sqlalchemy.sql.elements import quoted_name

from memedit.embedders.port import Vectors
from memedit.errors import IndexUnreachable, IndexUnusable
from memedit.index.port import Index, IndexStore, check_dimension
from memedit.plumbing.postgres import Address, is_away
from memedit.text import one_line

CONNECTIONS = 4  # of one process
WAIT = 30.0  # seconds for a connection, or a lock
HNSW_FROM = 20_000  # vectors; exact search over fewer takes a few milliseconds
BATCH = 1_000
TABLES = "CREATE TABLE IF NOT EXISTS indexes (name text PRIMARY KEY, dimension int, seq bigint NOT NULL)"
SETTINGS = "SET hnsw.ef_search = 200; SET hnsw.iterative_scan = 'strict_order'"


class PgVectorStore(IndexStore):
    """A schema of a PostgreSQL database that has the extension `vector`.

    Args:
        address: `postgresql://USER@HOST/DATABASE`, as for a ledger.
        hnsw_from: Vectors from which a graph is made.

    Raises:
        LedgerError: The address cannot be read.
    """

    name = "pgvector"

    def __init__(self, address: str, *, hnsw_from: int = HNSW_FROM) -> None:
        self._at = Address.read(address)
        self.hnsw_from = hnsw_from
        self._engine = self._at.engine(CONNECTIONS, wait=WAIT)
        event.listen(self._engine, "connect", lambda connection, record: connection.execute(SETTINGS))
        self._is_ready = False

    def index(self, key: str) -> Index:
        if not self._is_ready:
            with self.connection(writes=True) as connection:
                self._at.make_schema(connection)
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
                connection.exec_driver_sql(TABLES)
            self._is_ready = True
        return PgVectorIndex(self, "v" + hashlib.sha256(key.encode()).hexdigest()[:40])

    @contextmanager
    def connection(self, *, writes: bool) -> Iterator[Connection]:
        """A transaction, or a connection for single statements; its errors are those of an index."""
        try:
            with self._engine.connect() as connection, connection.begin():
                if writes:
                    connection.exec_driver_sql("BEGIN")
                yield connection
        except exc.DBAPIError as error:
            reason = one_line(str(error.orig), 300).rstrip(".")
            if is_away(error.orig):
                raise IndexUnreachable(
                    f"The index {self._at.shown} cannot be reached: {reason}.", do="see whether its server runs"
                ) from error
            raise IndexUnusable(f"The index {self._at.shown} failed: {reason}.", do="see the error") from error
        except exc.TimeoutError as error:
            raise IndexUnreachable(f"All connections to {self._at.shown} were in use.", do="try again") from error


class PgVectorIndex(Index):
    """A table of ids and vectors, and its row in `indexes`.

    Args:
        store: Whose.
        table: Its name, of letters and digits.
    """

    name = PgVectorStore.name
    shared = True

    def __init__(self, store: PgVectorStore, table: str) -> None:
        self._store = store
        self._dimension: int | None = None
        self._table = quoted_name(table, quote=False)
        with self._store.connection(writes=True) as connection:
            connection.exec_driver_sql(
                "INSERT INTO indexes (name, seq) VALUES (%s, 0) ON CONFLICT DO NOTHING", (table,)
            )
        self.level()

    def level(self) -> int:
        found = self._rows("SELECT seq, dimension FROM indexes WHERE name = %s", (self._table,))
        self.seq, self._dimension = found[0] if found else (0, None)
        return self.seq

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        if not len(ids):
            return
        with self._store.connection(writes=True) as connection:
            if self._dimension is None:
                self._make(connection, vectors.shape[1])
            check_dimension(self._dimension, vectors.shape[1])
            for start in range(0, len(ids), BATCH):
                texts = [json.dumps(vector) for vector in vectors[start : start + BATCH].tolist()]
                connection.exec_driver_sql(
                    f"INSERT INTO {self._table} SELECT unnest(%s::text[]), unnest(%s::text[])::vector"
                    " ON CONFLICT (id) DO UPDATE SET vector = excluded.vector",
                    (list(ids[start : start + BATCH]), texts),
                )

    def remove(self, ids: Sequence[str]) -> None:
        if len(ids) and self._dimension is not None:
            with self._store.connection(writes=True) as connection:
                connection.exec_driver_sql(f"DELETE FROM {self._table} WHERE id = ANY(%s)", (list(ids),))

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        return [(edit_id, 1.0 - far) for edit_id, far in self._nearest("id, far", vector, k)]

    def search_whole(self, vector: Vectors, k: int) -> list[tuple[str, float, Vectors]]:
        """As `search`, each with its own vector, in one query."""
        found = self._nearest("id, far, vector_send(vector)", vector, k)
        return [(edit_id, 1.0 - far, _vector(sent)) for edit_id, far, sent in found]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        if not len(ids) or self._dimension is None:
            return {}
        asked = f"SELECT id, vector_send(vector) FROM {self._table} WHERE id = ANY(%s)"
        return {edit_id: _vector(sent) for edit_id, sent in self._rows(asked, (list(ids),))}

    def clear(self) -> None:
        with self._store.connection(writes=True) as connection:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self._table}")
            connection.exec_driver_sql("UPDATE indexes SET dimension = NULL, seq = 0 WHERE name = %s", (self._table,))
        self.seq, self._dimension = 0, None

    def __len__(self) -> int:
        return 0 if self._dimension is None else int(self._rows(f"SELECT count(*) FROM {self._table}", ())[0][0])

    def mark(self, seq: int) -> None:
        with self._store.connection(writes=True) as connection:
            connection.exec_driver_sql("UPDATE indexes SET seq = %s WHERE name = %s", (seq, self._table))
        self.seq = seq

    def settle(self) -> None:
        """Make the graph, where there are enough vectors and it is not there: faster at once than vector by vector."""
        made = self._rows("SELECT to_regclass(%s) IS NOT NULL", (f"{self._table}_hnsw",))[0][0]
        if not made and len(self) >= self._store.hnsw_from:
            with self._store.connection(writes=True) as connection:
                connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
                connection.exec_driver_sql(
                    f"CREATE INDEX {self._table}_hnsw ON {self._table} USING hnsw (vector vector_cosine_ops)"
                )
                connection.exec_driver_sql(f"ANALYZE {self._table}")

    def shed(self) -> None:
        if self._dimension is not None:
            with self._store.connection(writes=False) as connection:
                connection.exec_driver_sql(f"VACUUM (FULL) {self._table}")

    def _nearest(self, wanted: str, vector: Vectors, k: int) -> list[Any]:
        if k < 1 or self._dimension is None:
            return []
        check_dimension(self._dimension, len(vector))
        asked = json.dumps(vector.tolist())
        nearest = f"SELECT *, vector <=> %s::vector AS far FROM {self._table} ORDER BY vector <=> %s::vector LIMIT %s"
        return self._rows(f"SELECT {wanted} FROM ({nearest}) AS found ORDER BY far", (asked, asked, k))

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._store.connection(writes=False) as connection:
            return list(connection.exec_driver_sql(statement, values).fetchall())

    def _make(self, connection: Connection, dimension: int) -> None:
        connection.exec_driver_sql(
            f"CREATE TABLE {self._table} (id text PRIMARY KEY, vector vector({dimension:d}) NOT NULL)"
        )
        connection.exec_driver_sql("UPDATE indexes SET dimension = %s WHERE name = %s", (dimension, self._table))
        self._dimension = dimension


def _vector(sent: bytes) -> Vectors:
    """A vector as pgvector sends it: two short numbers, and then its own."""
    return np.frombuffer(sent, dtype=">f4", offset=4).astype(np.float32)
