"""Fixtures of the benchmarks' tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from export.networks.parts import Network

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "results.json"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """PyTorch computes on one thread: two that share a busy core wait for each other."""
    pytest.importorskip("torch", reason="needs the development tools").set_num_threads(1)


@pytest.fixture
def results() -> dict:
    """The committed results of the suite."""
    return json.loads(RESULTS.read_text())


@pytest.fixture(scope="session")
def network() -> Network:
    """The network of the bundled model."""
    from export import checkpoint as checkpoints

    return checkpoints.load(checkpoints.committed("edge")).build()


@pytest.fixture(scope="session")
def untrained() -> Network:
    """The same network with random weights."""
    import torch

    from export import networks

    torch.manual_seed(3)
    return networks.create("edge").eval()
