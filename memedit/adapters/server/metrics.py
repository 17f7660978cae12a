"""What the proxy counts, for Prometheus: calls by route, status and whether an edit was applied, and seconds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """Counters of one application; no text of a message or an edit, and no key, is in any of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter("memedit_calls", "Calls", ("route", "status", "edited"), registry=self._registry)
        self._seconds = Histogram(
            "memedit_first_byte_seconds",
            "Until the response begins",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )

    def count(self, route: str, status: int, seconds: float, *, edited: bool) -> None:
        """Count a call."""
        self._calls.labels(route, str(status), str(edited).lower()).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
