"""Checkpoints: complete in one file, checked when they are read, never unpickled."""

from __future__ import annotations

import ast
import json
import os
import re
import zipfile
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
        (None, "has weights and does not say of which network: pass --network"),
        ({"other": "x"}, "has weights and does not say of which network: pass --network"),
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
def test_weights_of_a_wrapped_network(fresh: Checkpoint, tmp_path: Path, wrap: Callable) -> None:
    path = tmp_path / "wrapped.safetensors"
    network = networks.create("edge")
    network.load_state_dict(fresh.weights)
    checkpoints.save(Checkpoint("edge", wrap(network).state_dict(), {}, {}), path)
    loaded = checkpoints.load(path)
    assert loaded.sha256 == fresh.sha256
    loaded.build()


def nested(weights: dict) -> dict:
    return {"epoch": 3, "model": {"state_dict": {f"module.{k}": v for k, v in weights.items()}}}


@pytest.mark.parametrize(
    "shape",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": weights, "epoch": 3, "optimizer": {"state": {}}},
        lambda weights: {"model": weights},
        lambda weights: {"model_state_dict": weights},
        lambda weights: {f"module._orig_mod.{k}": v for k, v in weights.items()},
        lambda weights: {f"_orig_mod.module.{k}": v for k, v in weights.items()},
        lambda weights: {k: v.double() if v.is_floating_point() else v for k, v in weights.items()},
        nested,
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_pytorch_saved(
    fresh: Checkpoint, tmp_path: Path, shape: Callable, zipped: bool
) -> None:
    path = tmp_path / "it's mine.pt"
    torch.save(shape(fresh.weights), path, _use_new_zipfile_serialization=zipped)
    loaded = checkpoints.load(path, "edge")
    assert loaded.sha256 == fresh.sha256
    assert (loaded.network, loaded.config, loaded.metrics) == ("edge", {}, {})
    loaded.build()


def test_bare_weights_as_safetensors(fresh: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    halved = {
        k: v.bfloat16() if v.is_floating_point() else v.clone() for k, v in fresh.weights.items()
    }
    path.write_bytes(safetensors.torch.save(halved))
    loaded = checkpoints.load(path, "edge")
    assert {v.dtype for v in loaded.weights.values()} == {torch.float32, torch.int64}
    loaded.build()


def test_weights_saved_on_another_device(fresh: Checkpoint, tmp_path: Path) -> None:
    """The device stands in the file as text, and a machine without it reads the weights."""
    saved = tmp_path / "cpu.pt"
    torch.save(fresh.weights, saved)
    path = tmp_path / "cuda.pt"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("data.pkl"):  # BINUNICODE: the length, then the text
                device = b"X\x03\x00\x00\x00cpu"
                assert device in data
                data = data.replace(device, b"X\x06\x00\x00\x00cuda:0")
            new.writestr(name, data)
    assert checkpoints.load(path, "edge").sha256 == fresh.sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.nn.Linear(2, 2), "cannot be read as weights alone, and nothing else is unpickled"),
        ([torch.ones(2)], "holds list, expected a state_dict"),
        ({}, "holds dict, expected a state_dict"),
        ({"epoch": 3, "net": {}}, "holds 'epoch', which is no tensor: expected a state_dict, or"),
    ],
)
def test_what_is_no_state_dict(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.load(path, "edge")
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_said_by_the_first_key_of_each_kind(fresh: Checkpoint) -> None:
    weights = fresh.weights
    for name in ("conv5.bias", "conv4.conv.weight"):
        del weights[name]
    weights |= {"head.a": torch.ones(1), "head.b": torch.ones(1), "head.c": torch.ones(1)}
    weights["conv5.weight"] = torch.ones(11, 96, 2, 2)
    with pytest.raises(CheckpointError) as error:
        fresh.build()
    assert str(error.value) == (
        "checkpoint does not fit network 'edge': missing: conv4.conv.weight and 1 more; "
        "unexpected: head.a and 2 more; of another shape: conv5.weight with shape "
        "(11, 96, 2, 2), not (10, 96, 2, 2)"
    )


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
    with pytest.raises(
        CheckpointError, match="train it, or pass --checkpoint: `edge-adder train --ne"
    ):
        checkpoints.committed("edge")


def test_nothing_but_weights_is_unpickled() -> None:
    """`torch.load` is called in one place, and there it reads tensors alone.

    Ray's engine unpickles what its own actors pickled, and a measured process the network that the
    measurement has just written for it.
    """
    folders = ("edge_adder", "export", "benchmarks", "examples")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 50
    unpickles = re.compile(
        r"torch\.load\b|from torch import .*\bload\b|\bpickle\b|allow_pickle=True"
    )
    found = [path for path in sources if unpickles.search("\n".join(calls(path)))]
    ray = ROOT / "edge_adder" / "score" / "ray_engine.py"
    measured = ROOT / "benchmarks" / "peers" / "one_answer.py"
    assert found == [ray, ROOT / "export" / "checkpoint.py", measured]
    text = found[1].read_text()
    assert re.findall(r"torch\.load\((.*)\)", text) == [
        'path, map_location="cpu", weights_only=True'
    ]


def calls(path: Path) -> list[str]:
    """What a file's code imports, what it calls by a dotted name, and its keyword arguments."""
    kinds = (ast.Attribute, ast.Import, ast.ImportFrom, ast.keyword)
    nodes = ast.walk(ast.parse(path.read_text()))
    return [ast.unparse(node) for node in nodes if isinstance(node, kinds)]
