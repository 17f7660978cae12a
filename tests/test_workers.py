"""Several workers on one memory: real processes, one of which is killed, and servers behind them that go away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
pytest.importorskip("psutil")

import httpx2
import psutil
from servers import PASSWORD, ChromaServer, PostgresServer, free_port, wait_for
from stores import made_store
from test_server import IN, OUT, URLS, body, caller, said
from test_server_cli import ROOT
from wire_server import FACT, running

from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.index import IndexChoice
from memedit.testing import HashEmbedder, NamedGate

KEYS = {name: f"{name}-0123456789abcdef" for name in ("admin", "metrics")}
WORKERS = 2

pytestmark = pytest.mark.timeout(180)


@dataclass
class Served:
    """`memedit serve --workers 2`, and what it answers."""

    url: str
    address: str
    process: Any

    def call(self, method: str, path: str, *, role: str = "admin", **how: Any) -> httpx2.Response:
        """On a connection of its own, so that any worker may answer."""
        headers = {"authorization": f"Bearer {KEYS[role]}"}
        return httpx2.request(method, f"{self.url}{path}", headers=headers, timeout=60, **how)

    def ask(self, question: str) -> httpx2.Response:
        return self.call("POST", URLS[0], json=body(URLS[0], question))

    @property
    def workers(self) -> list[Any]:
        found = [one for one in psutil.Process(self.process.pid).children() if one.status() != psutil.STATUS_ZOMBIE]
        return [one for one in found if "spawn_main" in " ".join(one.cmdline())]

    def is_ready(self) -> bool:
        with suppress(httpx2.TransportError):
            return all(self.call("GET", "/readyz").status_code == 200 for _ in range(8))
        return False


@pytest.fixture(scope="module")
def served(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    keys = [f"{{name: {role}, key: {key}, role: {role}, namespace: default}}" for role, key in KEYS.items()]
    (folder / "keys.yaml").write_text(
        f"keys: [{', '.join(keys)}]".replace("role: metrics, namespace: default", "role: metrics")
    )
    port = free_port()
    with postgres.schema() as address:
        for upstream in running():
            command = [
                sys.executable, "-c", "from memedit.cli import main; main()", "serve", "--upstream", upstream.url,
                "--workers", str(WORKERS), "--port", str(port), "--keys", str(folder / "keys.yaml"),
            ]  # fmt: skip
            environment = os.environ | {"MEMEDIT_MEMORY": address, "OMP_NUM_THREADS": "1"}
            with (folder / "log").open("w") as log:
                process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
            served = Served(f"http://127.0.0.1:{port}", address, process)
            try:
                wait_for(served.is_ready, "memedit serve", 120)
                yield served
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(60)
        told = (folder / "log").read_text()
        assert process.returncode == 0, told
        assert "2 workers" in told
        assert "postgresql://ann@127.0.0.1" in told
        assert "Traceback" not in told
        assert not any(secret in told for secret in (PASSWORD, *KEYS.values()))


def test_what_one_worker_adds_all_use_and_what_it_undoes_none(served: Served) -> None:
    for _ in range(3):
        assert "x-memedit-edits" not in served.ask(IN).headers
        added = served.call("POST", "/memedit/edits", json={"edit": FACT})
        assert added.status_code == 200, added.text
        edit_id = added.json()["edit"]["id"]
        assert {served.ask(IN).headers.get("x-memedit-edits") for _ in range(8)} == {edit_id}
        assert served.call("POST", "/memedit/undo", json={}).status_code == 200
        assert {served.ask(IN).headers.get("x-memedit-edits") for _ in range(8)} == {None}


def test_a_worker_that_is_killed_under_load_loses_no_acknowledged_edit(served: Served) -> None:
    killed = threading.Event()
    before = served.workers
    assert len(before) == WORKERS

    def add(thread: int) -> list[str]:
        acknowledged = []
        for turn in range(12):
            edit = {"edit": f"The seat of firm {thread}.{turn} is Oslo.", "on_conflict": "keep"}
            with suppress(httpx2.TransportError):
                answer = served.call("POST", "/memedit/edits", json=edit)
                assert answer.status_code == 200, answer.text
                acknowledged.append(answer.json()["edit"]["id"])
            if turn == 3 and not killed.is_set():
                killed.set()
                before[0].send_signal(signal.SIGKILL)
        return acknowledged

    with ThreadPoolExecutor(3) as pool:
        acknowledged = {one for mine in pool.map(add, range(3)) for one in mine}
    assert len(acknowledged) >= 20
    with EditMemory(served.address, embedder=HashEmbedder(), languages=None) as memory:
        assert acknowledged <= {edit.id for edit in memory.edits()}
        assert memory.check() == []
    wait_for(lambda: len(served.workers) == WORKERS and served.is_ready(), "the worker that takes its place", 120)
    assert before[0].pid not in {one.pid for one in served.workers}
    assert said(URLS[0], served.ask(OUT).json()) == "nobody knows"


def test_a_restart_of_the_database_is_told_and_survived(served: Served, postgres: PostgresServer) -> None:
    added = served.call("POST", "/memedit/edits", json={"edit": FACT}).json()["edit"]["id"]
    postgres.stop()
    try:
        for answer in (
            *(served.ask(IN) for _ in range(4)),
            served.ask(OUT),  # whether an edit is in scope cannot be told, so nothing is answered
            served.call("POST", "/memedit/edits", json={"edit": "The seat of firm A is Rome."}),
        ):
            assert answer.status_code == 503
            error = answer.json()["error"]
            assert error["type"] == "LedgerUnreachable"
            assert "cannot be reached" in error["message"]
            assert PASSWORD not in answer.text
        assert served.call("GET", "/readyz").status_code == 503
        assert served.call("GET", "/healthz").status_code == 200
    finally:
        postgres.start()
    assert {served.ask(IN).headers.get("x-memedit-edits") for _ in range(8)} == {added}
    wait_for(served.is_ready, "memedit serve")


def test_what_workers_count_is_added_up(served: Served) -> None:
    def counted() -> float:
        lines = served.call("GET", "/metrics", role="metrics").text.splitlines()
        asked = [one for one in lines if one.startswith("memedit_requests_total") and URLS[0] in one]
        return sum(float(one.rpartition(" ")[2]) for one in asked)

    before = counted()
    for _ in range(10):
        assert served.ask(OUT).status_code == 200
    assert counted() == before + 10
    # The one that asks is open itself. Of the worker that was killed none is.
    wait_for(lambda: "memedit_open_requests 1.0" in served.call("GET", "/metrics", role="metrics").text, "the end", 10)


async def test_a_restart_of_the_vector_store_is_told_and_survived(chroma: ChromaServer, tmp_path: Path) -> None:
    choice = IndexChoice(store=made_store("chroma-server", lambda name: chroma), store_from=0)
    memory = EditMemory(tmp_path, embedder=HashEmbedder(), index=choice, languages=None)
    added = memory.add(FACT).id
    for upstream in running():
        backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()))
        async with caller(make_app(backend, memory)) as client:
            asked = {"json": body(URLS[0], IN)}
            assert (await client.post(URLS[0], **asked)).headers["x-memedit-edits"] == added
            chroma.stop()
            try:
                answer = await client.post(URLS[0], **asked)
                assert answer.status_code == 503
                assert answer.json()["error"]["type"] == "IndexUnreachable"
                assert not upstream.bodies[1:]
            finally:
                chroma.start()
            assert (await client.post(URLS[0], **asked)).headers["x-memedit-edits"] == added
        await backend.close()
    memory.close()
