"""Checkpoints: complete in one file, checked when they are read, never unpickled."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from edge_adder.errors import CheckpointError, InputError
from export import checkpoint as checkpoints
from export import networks
from export.checkpoint import HEADER_KEY, Checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh() -> Checkpoint:
    torch.manual_seed(0)
    weights = networks.create("edge").state_dict()
    return Checkpoint("edge", weights, {"epochs": 1}, {"test": {"digit": 0.5}})


@pytest.fixture
def path(fresh: Checkpoint, tmp_path: Path) -> Path:
    """The fresh checkpoint as a file."""
    checkpoints.save(fresh, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_what_is_saved_is_loaded(fresh: Checkpoint, path: Path, tmp_path: Path) -> None:
    loaded = checkpoints.load(path)
    assert loaded.details() == fresh.details()
    assert all(torch.equal(loaded.weights[k], v) for k, v in fresh.weights.items())
    assert json.loads(path.with_suffix(".json").read_text()) == fresh.details()
    assert not loaded.build().training
    checkpoints.save(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_hash_sees_values_names_shapes_and_dtypes(fresh: Checkpoint) -> None:
    ones = {"w": torch.ones(2, 3)}
    hashes = {
        checkpoints.weights_sha256(weights)
        for weights in (
            ones,
            {"v": torch.ones(2, 3)},
            {"w": torch.ones(3, 2)},
            {"w": torch.ones(2, 3, dtype=torch.int32)},
            {"w": torch.tensor([[1.0, 1, 1], [1, 1, 1.0000001]])},
            {},
        )
    }
    assert len(hashes) == 6
    assert checkpoints.weights_sha256({"w": torch.ones(3, 2).T}) == checkpoints.weights_sha256(ones)
    backwards = dict(reversed(fresh.weights.items()))
    assert checkpoints.weights_sha256(backwards) == fresh.sha256


def test_a_changed_weight_is_found(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged: its weights have SHA-256"):
        checkpoints.load(path)


@pytest.mark.parametrize("content", [b"nonsense", b"\xff" * 100])
def test_a_file_that_is_not_safetensors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        checkpoints.load(tmp_path / "mine.safetensors")


def test_a_checkpoint_that_is_truncated_at_any_point(path: Path) -> None:
    data = path.read_bytes()
    for size in (*range(300), *range(300, len(data), 997), len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match="is no safetensors file"):
            checkpoints.load(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "is no checkpoint of edge-adder"),
        ({"other": "x"}, "is no checkpoint of edge-adder"),
        ({HEADER_KEY: "{"}, "cannot be read"),
        ({HEADER_KEY: "[]"}, "cannot be read"),
        ({HEADER_KEY: "{}"}, "cannot be read"),
    ],
)
def test_safetensors_of_another_program(
    tmp_path: Path, header: dict[str, str] | None, message: str
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(safetensors.torch.save({"w": torch.ones(2)}, header))
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="make one with `edge-adder train`"):
        checkpoints.load(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="is a folder, expected a file in it, such"):
        checkpoints.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(CheckpointError, match="is a pipe or a device, expected a file"):
            checkpoints.load(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(
    fresh: Checkpoint, tmp_path: Path, edge_adder: Callable, value: float
) -> None:
    path = tmp_path / "diverged.safetensors"
    fresh.weights["conv5.bias"][0] = value
    checkpoints.save(fresh, path)
    done = edge_adder("export", "--checkpoint", path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert f"{path} has weights that are NaN or infinite, in conv5.bias: its" in done.stderr
    fresh.weights["conv5.weight"][:] = value
    checkpoints.save(fresh, path)
    with pytest.raises(CheckpointError, match=r"in conv5\.\w+ and 1 more: its training diverged"):
        checkpoints.load(path)


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, torch.compile])
def test_weights_of_a_wrapped_network(tmp_path: Path, wrap: Callable) -> None:
    path = tmp_path / "wrapped.safetensors"
    wrapped = wrap(networks.create("edge"))
    checkpoints.save(Checkpoint("edge", wrapped.state_dict(), {}, {}), path)
    with pytest.raises(CheckpointError, match=wrap.__name__) as error:
        checkpoints.load(path)
    (advice,) = re.findall("`network(.*)`", str(error.value))
    inner = eval(f"network{advice}", {"network": wrapped})  # noqa: S307  the advice is ours
    checkpoints.save(Checkpoint("edge", inner, {}, {}), path)
    checkpoints.load(path).build()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_file_and_the_line_that_converts_it(
    fresh: Checkpoint, tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "it's mine.pt"
    torch.save(fresh.weights, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="is pickled, and only safetensors are read") as error:
        checkpoints.load(path)
    assert "\n" not in str(error.value)
    _, _, line = str(error.value).partition("convert it: ")
    python, *arguments = shlex.split(line)
    assert python == "python"
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT)
    converted = checkpoints.load(path.with_suffix(".safetensors"))
    assert converted.sha256 == fresh.sha256
    converted.build()


def test_weights_of_another_network(fresh: Checkpoint) -> None:
    fresh.weights.pop("conv5.bias")
    with pytest.raises(CheckpointError, match=r"does not fit network 'edge': .*conv5\.bias") as e:
        fresh.build()
    assert "\n" not in str(e.value)


def test_an_unknown_network() -> None:
    with pytest.raises(CheckpointError, match="unknown network: network must be one of edge"):
        Checkpoint("none", {}, {}, {}).build()
    with pytest.raises(InputError, match="network must be one of edge"):
        checkpoints.committed("none")


def test_a_network_without_committed_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkpoints, "WEIGHTS_DIR", tmp_path)
    with pytest.raises(CheckpointError, match="make one with `edge-adder train --network edge`"):
        checkpoints.committed("edge")


def test_nothing_is_unpickled() -> None:
    """`torch.load` is nowhere, nor any other way to run what a file says."""
    folders = ("edge_adder", "export", "benchmarks", "examples")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 50
    unpickles = re.compile(
        r"torch\.load\b|from torch import .*\bload\b|\bpickle\b|allow_pickle=True"
    )
    assert [path for path in sources if unpickles.search("\n".join(calls(path)))] == []


def calls(path: Path) -> list[str]:
    """What a file's code imports, what it calls by a dotted name, and its keyword arguments."""
    kinds = (ast.Attribute, ast.Import, ast.ImportFrom, ast.keyword)
    nodes = ast.walk(ast.parse(path.read_text()))
    return [ast.unparse(node) for node in nodes if isinstance(node, kinds)]
