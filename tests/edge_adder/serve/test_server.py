"""How the server listens."""

from __future__ import annotations

import contextlib
import socket

import pytest

from edge_adder.serve.settings import Settings


@pytest.fixture
def server_module(_packages: None):
    from edge_adder.serve import server

    return server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_answers_do_not_wait_for_nagles_delay(server_module, host: str) -> None:
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    settings = Settings(host=host, port=0)
    with contextlib.closing(server_module.bind(settings)) as bound:
        assert bound.proto == socket.IPPROTO_TCP  # asyncio looks at it before it ends the delay
        address = server_module.address_of(bound)
    assert address.startswith("http://[::1]:" if host == "::1" else "http://127.0.0.1:")
