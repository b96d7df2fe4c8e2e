"""Who may ask, and how much: the checks before a request reaches a route."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_adder.serve.problems import Problem, answer_problem
from edge_adder.serve.settings import Settings

OPEN_PATHS = {"/v2/health/live", "/v2/health/ready"}
"""Paths of the interface that need no token: orchestrators ask them."""

GUARDED = ("/v1/", "/v2", "/metrics")
"""What the paths that need a token begin with; the page holds no secret."""

BUFFERED_BODIES = 16
"""How many of the largest bodies all requests together may hold in memory."""

LINGER_SECONDS = 2.0
"""How long the rest of a refused body is dropped before its connection is closed."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer; the policy lets the page load and call nothing but this server."""


class Guard:
    """ASGI middleware that refuses requests by host, origin and token, and bounds their bodies.

    Args:
        app: What answers the others.
        settings: What is allowed.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._buffered_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app do it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive, Headers(scope=scope), self._settings)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                await body.discard()
                if not body.is_complete:  # the rest of it may never come
                    headers["Connection"] = "close"
            await send(message)

        try:
            self._check(scope, Headers(scope=scope))
        except Problem as problem:
            await answer_problem(scope["path"], problem)(scope, receive, send_safely)
            return
        try:
            await self._app(scope, body.receive, send_safely)
        finally:
            self._buffered_bytes -= body.size

    def buffer(self, size: int) -> None:
        """Count bytes that a request holds.

        Raises:
            Problem: All requests together hold too many; 503.
        """
        self._buffered_bytes += size
        if self._buffered_bytes > BUFFERED_BODIES * self._settings.max_body_bytes:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many large requests at once: come again later"
            )

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a request by its head.

        Raises:
            Problem: It calls the server by another's name, comes from another site's page, lacks
                the token, or announces a body that is too large.
        """
        settings, host = self._settings, headers.get("host", "")
        if not settings.is_own_name(_name(host)):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server is not called {_name(host)!r}; edge-adder serve --allow-host adds a "
                "name",
            )
        origin = headers.get("origin")
        if origin is not None and origin not in settings.origins and _authority(origin) != host:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "pages of other sites may not use this server; edge-adder serve --cors allows one",
            )
        path = scope["path"]
        is_preflight = scope["method"] == "OPTIONS"  # which carries no token
        if path.startswith(GUARDED) and path not in OPEN_PATHS and not is_preflight:
            self._check_token(headers)

    def _check_token(self, headers: Headers) -> None:
        token = self._settings.token
        given = headers.get("authorization", "")
        expected = f"Bearer {token}"
        if token is not None and not hmac.compare_digest(given.encode(), expected.encode()):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "this server needs the token that it was started with, as the header "
                "'Authorization: Bearer TOKEN'",
            )


class _Body:
    """The body of one request, as it arrives.

    Attributes:
        size: Number of bytes that have arrived.
        is_complete: Whether all have.
    """

    def __init__(self, guard: Guard, receive: Receive, headers: Headers, limits: Settings) -> None:
        self._guard, self._receive, self._limits = guard, receive, limits
        self._deadline = asyncio.get_running_loop().time() + limits.body_seconds
        length = headers.get("content-length", "0")
        self._announced = int(length) if length.isdecimal() else 0
        self.is_complete = self._announced == 0 and "transfer-encoding" not in headers
        self.size = 0

    async def receive(self) -> Message:
        """Return the next message, as ASGI's ``receive``.

        Raises:
            Problem: The body is too large (413), takes too long (408), or there is no room for
                it now (503).
        """
        if self.is_complete:
            return await self._receive()
        self._check_size(self._announced)
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body did not arrive within {self._limits.body_seconds:g} s",
            ) from error
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.size += size
            self.is_complete = not message.get("more_body", False)
            self._guard.buffer(size)
            self._check_size(self.size)
        return message

    async def discard(self) -> None:
        """Drop what still arrives: most clients read a refusal only once they have sent all."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.is_complete:
                    message = await self._receive()
                    if message["type"] != "http.request":  # the client went away
                        return
                    self.is_complete = not message.get("more_body", False)

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"expected at most {self._limits.max_body_bytes} bytes, got more: send a smaller "
                "picture, or start the server with --max-body-mib",
            )


def _name(host: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _authority(origin: str) -> str:
    """Return host and port of an origin, as a Host header has them; nothing for ``null``."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
