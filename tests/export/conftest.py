"""A short training, and the committed checkpoint with its ONNX file."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the development tools need the extra `export`")

import torch

from edge_adder.evaluation.datasets import DATA_VARIABLE
from export import checkpoint as checkpoints
from export import to_onnx
from export.checkpoint import Checkpoint
from export.config import TrainConfig
from export.train import train


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """PyTorch computes on one thread: two that share a busy core wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def short(tiny_mnist: Path) -> dict[str, object]:
    """The settings of a run that takes a second."""
    return {"epochs": 2, "batch_size": 50, "device": "cpu", "data_dir": tiny_mnist}


@pytest.fixture(scope="session")
def trained(short: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished short run."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    train(TrainConfig(**short, out=out))
    return out


@pytest.fixture(scope="session")
def committed() -> Checkpoint:
    """The committed checkpoint of the default network."""
    return checkpoints.load(checkpoints.committed("edge"))


@pytest.fixture(scope="session")
def content(committed: Checkpoint) -> bytes:
    """The committed checkpoint as ONNX."""
    return to_onnx.to_onnx(committed.build(), committed)


@pytest.fixture
def small_gate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A gate of 20 synthetic digits, for tests that are about something else."""
    monkeypatch.setattr(to_onnx, "GATE_IMAGES", 20)
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
