"""What a server counts, for Prometheus: requests and their seconds, by route; nothing of edits, keys or namespaces."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which processes that count together name their folder to one another; Prometheus' client reads it."""
LOG = logging.getLogger("memedit.server")
ROUTES = (
    "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions", "/v1/embeddings", "/v1/models",
    "/healthz", "/readyz", "/metrics",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metered:
    """An application whose requests are counted and logged, each by the name of its route and never by its address.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "memedit_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "memedit_first_byte_seconds", "Until an answer began.", ["route"], buckets=SECONDS, registry=self._registry
        )
        self._open = Gauge(
            "memedit_open_requests", "Requests under way.", registry=self._registry, multiprocess_mode="livesum"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, route, status = time.perf_counter(), route_of(scope["path"]), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._seconds.labels(route).observe(time.perf_counter() - began)
            await send(message)

        self._open.inc()
        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            # It was answered, or its answer breaks off here. What it says may hold what a caller wrote.
            LOG.error("a request failed: %s", type(error).__name__, exc_info=bool(os.environ.get("MEMEDIT_TRACEBACK")))
        finally:
            self._open.dec()
            self._requests.labels(route, method_of(scope["method"]), status or "none").inc()
            LOG.info(
                "%s %s %s %.0f ms", method_of(scope["method"]), route, status, 1000 * (time.perf_counter() - began)
            )

    def shown(self) -> Response:
        """What was counted, by all workers where there are several, in Prometheus' form."""
        registry = self._registry
        if folder := os.environ.get(FOLDER):
            registry = CollectorRegistry()
            _forget_the_dead(Path(folder))
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _forget_the_dead(folder: Path) -> None:
    """A worker that was killed has no open requests any more; what else it counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not _is_alive(pid):
            multiprocess.mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: str) -> bool:
    """Whether a process is there and not a zombie; where the system cannot tell, it is taken to be."""
    try:
        return "\nState:\tZ" not in Path("/proc", pid, "status").read_text()
    except OSError:
        return not Path("/proc/self").exists()


def route_of(path: str) -> str:
    """The name of a path: one of few, so that no caller makes up more of them."""
    if path in ROUTES:
        return path
    group = next((group for group in ("/v1/", "/memedit/") if path.startswith(group)), "")
    return f"{group}…"


def method_of(method: str) -> str:
    """The name of a method: likewise."""
    return method if method in METHODS else "other"
