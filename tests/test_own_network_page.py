"""docs/own-network.md from its first command to its last, in a folder of the reader's own."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the development tools need the extra `export`")

import torch
from PIL import Image

from export import networks, own_digits, to_onnx
from export.synthetic.digits import draw_digits

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own-network.md").read_text()

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def reader(tmp_path: Path, tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page supposes: the file, MNIST, a picture, weights and a model from elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGE_ADDER_DATA", str(tiny_mnist))
    (tmp_path / "mine.py").write_text(blocks("python")[0])
    shutil.copy(ROOT / "examples" / "seven.png", tmp_path)
    network = networks.create("mine.py:Mine").eval()
    torch.save({"model_state_dict": network.state_dict()}, "weights.pt")
    sample = (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    axis = {0: torch.export.Dim("n")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, sample, "theirs.onnx", dynamo=True, dynamic_shapes=(axis, axis), verbose=False
        )
    images, labels = draw_digits(40, seed=6)
    for index, (image, label) in enumerate(zip(images[:, 0], labels, strict=True)):
        place = tmp_path / "my-digits" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.kron(image, np.ones((2, 2), np.uint8))).save(place / f"{index}.png")
    return tmp_path


def test_every_command_runs(reader: Path, edge_adder: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "GATE_IMAGES", 20)
    monkeypatch.setattr(own_digits, "MNIST_IMAGES", 500)
    monkeypatch.setattr(own_digits, "SETTINGS", own_digits.SETTINGS | {"epochs": 1})
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("edge-adder ")]
    assert lines == ['pip install "edge-adder[export]"', *commands]
    assert len(commands) == 14
    for line in commands:
        words = shlex.split(line)[1:]
        words += ["--device", "cpu"] if words[0] == "train" else []
        if "--precision" in words or words[0] == "compare":
            words += ["--max-changed", "5"]  # the network is hardly trained
        done = edge_adder(*words)
        uncertain = words[0] == "predict" and done.returncode == 6  # after 3 epochs on 550 images
        assert done.returncode == 0 or uncertain, f"{line}: {done.stderr}"
    made = {path.name for path in reader.iterdir()}
    assert made >= {"mine.onnx", "mine.parity.npz", "adopted.onnx", "edge-own.onnx"}
    assert len(blocks("python")[0].strip().splitlines()) <= 30
