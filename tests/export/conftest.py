"""A network that was trained for a moment, and the committed one."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

from edge_adder.cli.main import main as cli
from export import checkpoint as checkpoints
from export.checkpoint import Checkpoint
from export.train import TrainConfig, train

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def in_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """The command line as `edge_adder` runs it, without a process that loads PyTorch anew."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out, err)

    return run


@pytest.fixture(scope="session")
def short(tiny_mnist: Path) -> dict[str, object]:
    """The settings of a run that takes a second or two."""
    return {"epochs": 3, "batch_size": 50, "device": "cpu", "data_dir": tiny_mnist}


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
