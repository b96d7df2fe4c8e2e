"""Checkpoints: complete in one file, checked when they are read, never unpickled."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch

from edge_adder.errors import CheckpointError, FileAccessError, InputError
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
    with pytest.raises((CheckpointError, FileAccessError)):
        checkpoints.load(tmp_path)


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
        r"torch\.load\b|import load\b|\bpickle\.|import pickle|allow_pickle=True"
    )
    assert [path for path in sources if unpickles.search(path.read_text())] == []
