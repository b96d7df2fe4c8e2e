"""What a server accepts, from whom, and how long it waits. Standard library only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from edge_adder.errors import InputError

MODEL_NAME, MODEL_VERSION = "edge", "1"
"""Under which a model is served, whichever it is."""

MAX_BATCH = 256
"""Largest batch; larger ones are no faster for each image."""

DEFAULT_MAX_BODY_MIB = 16
"""Largest body of a request, in MiB: photographs of 48 megapixels have about 12."""

DEFAULT_QUEUE = 64
"""How many requests may wait for a thread; each takes a few milliseconds."""

DEFAULT_GRACE_SECONDS = 10.0
"""How long running requests may take to end after SIGTERM; Kubernetes kills after 30 s."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server.

    Attributes:
        host: Address to bind: a name or an IP address.
        port: Port to bind; 0 for any free one.
        token: What requests carry as ``Authorization: Bearer TOKEN``; None for no check.
        hosts: Names, beside ``localhost``, `host` and IP addresses, by which the server is called.
        origins: Origins of other pages that may use it from a browser (CORS).
        max_body_bytes: Largest body of a request.
        queue: How many requests may wait for a thread.
        header_seconds: How long a request's head may take to arrive.
        body_seconds: How long its body may take.
        grace_seconds: How long running requests may take to end after SIGTERM.

    Raises:
        InputError: A value is out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body_bytes: int = DEFAULT_MAX_BODY_MIB * 2**20
    queue: int = DEFAULT_QUEUE
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    grace_seconds: float = DEFAULT_GRACE_SECONDS

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"port must be 0 to 65535, got {self.port}")
        if self.token is not None and not _is_token(self.token):
            raise InputError("the token must be printable ASCII characters without spaces")
        if self.max_body_bytes < 1:
            raise InputError("the limit of a body must be above 0")
        if self.queue < 0:
            raise InputError(f"the queue must be 0 or longer, got {self.queue}")
        if not 0 <= self.grace_seconds < float("inf"):  # nor NaN
            raise InputError(f"the grace time must be 0 or more seconds, got {self.grace_seconds}")
        for origin in self.origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise InputError(
                    f"an origin must be like https://example.org, without a path, got {origin!r}"
                )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host == "localhost" or is_loopback(self.host)

    def is_own_name(self, name: str) -> bool:
        """Check whether the server may be called by a name, without port or brackets.

        A page of another site can have its own name resolved to this machine (DNS rebinding), but
        not an IP address.
        """
        return name.lower() in ("localhost", self.host.lower(), *map(str.lower, self.hosts)) or (
            is_address(name)
        )


def is_address(name: str) -> bool:
    """Check whether a host's name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Check whether a host's name is an address of this machine alone."""
    return is_address(name) and ipaddress.ip_address(name).is_loopback


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and bool(text) and " " not in text
