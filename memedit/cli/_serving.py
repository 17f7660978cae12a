"""What `memedit serve` serves, and how each of its processes makes it from what the command line said."""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import socket
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import open_memory, open_model, quiet_libraries
from memedit.cli._print import busy
from memedit.errors import MemeditError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from memedit.adapters.server.backend import Backend, Editing
    from memedit.editable import EditableLLM
    from memedit.llms import LLM
    from memedit.memory import EditMemory

GRACE = 30  # seconds that open requests have to end
HEALTH = 60  # seconds after which a worker that says nothing is ended: loading models takes its time
VARIABLE = "MEMEDIT_SERVED"
COUNTED = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True)
class Served:
    """What is served; JSON values throughout, so that workers can be told.

    Args:
        place, index, embedder, namespace: Of the memory, as in `Session`.
        upstream, local: The endpoint, or the model of this process.
        base_url: Of a model that is a server itself.
        key_env: The variable that holds the endpoint's key.
        keys_file: Whose requests are taken.
        gate, method, doubt: How edits are applied.
        body: Bytes of a request.
        rate: Requests a minute of each key, in each process.
        seconds: How long the endpoint may be silent.
        otel: Whether calls are told of by OpenTelemetry.
    """

    place: str = field(repr=False)
    index: str = field(repr=False)
    embedder: str | None
    namespace: str
    upstream: str | None
    local: str | None
    base_url: str | None
    key_env: str | None
    keys_file: str | None
    gate: str | None
    method: str
    doubt: str | None
    body: int
    rate: int | None
    seconds: float
    otel: bool

    def editing(self, memory: EditMemory) -> Editing:
        """How edits are applied."""
        from memedit.adapters.server.backend import Editing

        return Editing.of(memory, self.gate, self.method, self.doubt, _telling() if self.otel else None)  # type: ignore[arg-type]

    def model(self) -> LLM | None:
        """The model of this process, loaded; None where an endpoint answers."""
        if self.local is None:
            return None
        with busy(f"loading {self.local}…"):
            return open_model(self.local, self.base_url)

    def check(self, llm: LLM | None) -> None:
        """Refuse what does not fit together, before a memory is opened for it.

        llm: The model of this process; None where an endpoint answers, or each worker loads its own.
        """
        from memedit.adapters.server.backend import Editing
        from memedit.llms import as_llm, named

        if self.local is not None:
            named(self.local)
        with open_memory(None, self.embedder) as nothing:
            editing = Editing.of(nothing, self.gate, self.method, self.doubt)  # type: ignore[arg-type]
            if llm is not None or self.local is None:
                editing.around(llm or as_llm(str), self.namespace)

    def app(self, memory: EditMemory, llm: LLM | None) -> ASGIApp:
        """The application, with the model of this process."""
        from memedit.adapters.server.app import make_app
        from memedit.adapters.server.guard import Limits
        from memedit.adapters.server.keys import read_keys

        keys = read_keys(Path(self.keys_file)) if self.keys_file else None
        backend = self._backend(memory, llm, passes_keys=keys is None)
        limits = Limits(body=self.body, rate=self.rate)
        return make_app(backend, memory, keys=keys, namespace=self.namespace, limits=limits)

    def key(self) -> str | None:
        """The endpoint's key."""
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise click.UsageError(f"--upstream-key-env: the variable {self.key_env} is not set.")
        return key

    def _backend(self, memory: EditMemory, llm: LLM | None, *, passes_keys: bool) -> Backend:
        editing = self.editing(memory)
        if llm is not None:
            from memedit.adapters.server.local import LocalModel

            return LocalModel(llm, editing)
        from memedit.adapters.server.backend import Endpoint

        return Endpoint(str(self.upstream), editing, key=self.key(), passes_keys=passes_keys, seconds=self.seconds)


def check_free(host: str, port: int) -> None:
    """Refuse a place where another process listens, before a model is loaded for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            raise _cannot_listen(host, port) from None


def run_one(app: ASGIApp, host: str, port: int) -> None:
    """Serve from this process until it is told to end, by Ctrl-C or SIGTERM.

    Raises:
        KeyboardInterrupt: It was; open requests have ended.
    """
    import uvicorn

    before = signal.signal(signal.SIGTERM, _end)  # which uvicorn comes back to when it has ended
    try:
        uvicorn.Server(uvicorn.Config(app, host=host, port=port, **_how())).run()
    except SystemExit:  # uvicorn's way of saying so, after a line in the log
        raise _cannot_listen(host, port) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> None:
    """End as by Ctrl-C; told so once more, go on ending."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def run_many(served: Served, workers: int, host: str, port: int) -> None:
    """Serve from so many processes. One that dies is replaced; what they count is added up."""
    import uvicorn

    with tempfile.TemporaryDirectory(prefix="memedit-metrics-") as counted:
        os.environ |= {VARIABLE: json.dumps(asdict(served)), COUNTED: counted}
        try:
            uvicorn.run(
                f"{__name__}:worker", factory=True, workers=workers, host=host, port=port,
                timeout_worker_healthcheck=HEALTH, **_how(),
            )  # fmt: skip
        except SystemExit as end:
            if end.code:
                raise _cannot_listen(host, port) from None


def worker() -> ASGIApp:
    """The application of one process of several, made in that process."""
    quiet_libraries()
    log_to_stderr()
    served = Served(**json.loads(os.environ[VARIABLE]))
    try:
        memory = open_memory(served.place, served.embedder, served.index)
        atexit.register(memory.close)
        return served.app(memory, served.model())
    except MemeditError as error:  # the next one may find what this one did not
        logging.getLogger("memedit.server").error("a worker did not start: %s", error.what)
        sys.exit(1)


def log_to_stderr() -> None:
    """Lines of this server and of uvicorn on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("memedit.server", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)


def _telling() -> Callable[[EditableLLM], EditableLLM]:
    """What makes a model tell of its calls, by the process's own provider, which is set up here."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtra("otel", package=str(error.name)) from error
    from memedit.adapters.server.telemetry import proxied

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return proxied()


def _how() -> dict[str, Any]:
    return {
        "access_log": False, "log_config": None, "server_header": False, "timeout_graceful_shutdown": GRACE,
        "timeout_keep_alive": 75,
    }  # fmt: skip


def _cannot_listen(host: str, port: int) -> click.ClickException:
    return click.ClickException(f"Cannot listen on {host}:{port}; name another --host or --port.")
