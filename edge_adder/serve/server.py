"""The server: a bound socket, uvicorn, and time-outs for requests that do not arrive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_adder.errors import InputError
from edge_adder.serve.journal import JsonFormatter
from edge_adder.serve.settings import Settings

BACKLOG = 2048
"""Connections that wait to be accepted; uvicorn's own number."""


class PatientProtocol(H11Protocol):
    """Uvicorn's protocol with a limit on the time that a request's head may take.

    Uvicorn closes idle connections between requests, but waits for ever for the first byte, and for
    the rest of a head whose first byte has come.
    """

    header_seconds: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and wait for the rest of a head that they began."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """Set the deadline while a head is incomplete; bytes that come do not move it."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self._give_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.close()


def bind(settings: Settings) -> socket.socket:
    """Return a socket that listens at the address of the settings.

    Raises:
        InputError: The address cannot be bound.
    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With its protocol, or asyncio leaves Nagle's delay on: 40 ms for each answer.
        bound = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":  # where it would let others take the address
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(BACKLOG)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen at {host} port {port}: {reason}; name others with --host and --port"
        ) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the URL at which a socket listens."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def run(app: ASGIApp, bound: socket.socket, settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is running, and return."""
    raise_file_limit()
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [handler], False
    protocol = type("Protocol", (PatientProtocol,), {"header_seconds": settings.header_seconds})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=settings.grace_seconds,  # type: ignore[arg-type]  # whole or not
    )
    server = uvicorn.Server(config)

    def end(number: int, frame: Any) -> None:  # noqa: ARG001  the signature of a handler
        server.should_exit = True

    # Uvicorn raises the signal again when it has ended; without a handler it would kill us.
    signal.signal(signal.SIGTERM, end)
    server.run(sockets=[bound])


def raise_file_limit() -> None:
    """Allow as many connections as the system does; often 1,024 are open to begin with."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  not on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS has a further limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
