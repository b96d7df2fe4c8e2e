"""The servers that the tests ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from .running import Server, serving

PACKAGES = ("starlette", "uvicorn", "prometheus_client", "python_multipart")


@pytest.fixture(scope="session")
def _packages() -> None:
    for name in PACKAGES:
        pytest.importorskip(name, reason="the server needs the extra `serve`")


@pytest.fixture(scope="session")
def server(_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the settings that it has by itself."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def serve(_packages: None, tmp_path: Path) -> Callable[..., AbstractContextManager[Server]]:
    """Starts a server with options."""
    return partial(serving, tmp_path)
