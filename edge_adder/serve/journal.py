"""What is told of each request: a line of JSON on stderr, and figures for Prometheus."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)
"""Limits of the histogram of durations; 20 ms is what `benchmarks.serve` looks at."""

UNANSWERED = 499
"""Status in the journal of a request whose client went away; nginx's number."""


class Journal:
    """ASGI middleware that logs and counts requests. Of a picture only its size is told.

    Args:
        app: What answers them.
        log: Takes a line.
        pending: Returns the number of requests that wait for a thread or are on one.
    """

    def __init__(
        self, app: ASGIApp, *, log: Callable[[str], object], pending: Callable[[], int]
    ) -> None:
        self._app, self._log = app, log
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "edge_adder_requests", "Requests.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "edge_adder_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("path",),
            buckets=SECONDS,
            registry=self._registry,
        )
        Gauge(
            "edge_adder_pending",
            "Requests that wait for a thread or are on one.",
            registry=self._registry,
        ).set_function(pending)

    def metrics(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self._registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, received = UNANSWERED, 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def watching_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, counting_receive, watching_send)
        finally:
            self._tell(scope, status, received, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, received: int, seconds: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", "other")  # a bounded number of names
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        entry = {
            "time": _now(),
            "client": (scope.get("client") or ("", 0))[0],
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(1000 * seconds, 3),
            "body_bytes": received,
        }
        self._log(json.dumps(entry))


class JsonFormatter(logging.Formatter):
    """Formats what the server itself logs, such as a fault with its traceback, in the same way."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        entry = {"time": _now(), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
