"""The bundled model and all that is made of it are of the same weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

from benchmarks import renew
from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError
from export import checkpoint as checkpoints
from export.train import TrainConfig, train


def test_nothing_is_stale() -> None:
    record = json.loads((renew.ROOT / renew.RECORD).read_text())
    committed = checkpoints.load(checkpoints.committed("edge"))
    assert record["weights_sha256"] == committed.sha256
    assert EdgeAdder().provenance["weights_sha256"] == committed.sha256
    names = {f"docs/edge-{name}.png" for name in renew.PICTURES}
    names |= {"docs/samples.png", "export/weights/edge.json", "export/weights/edge.safetensors"}
    names |= {"edge_adder/models/default.onnx", "edge_adder/models/default.parity.npz"}
    assert set(record["files"]) == names
    for name, digest in record["files"].items():
        assert renew.sha256(renew.ROOT / name) == digest, f"{name} is stale: {renew.__doc__}"


def test_a_run_becomes_the_bundled_model(tmp_path: Path, tiny_mnist: Path) -> None:
    run, root = tmp_path / "run", tmp_path / "root"
    shutil.copytree(renew.ROOT / "examples", root / "examples")
    (root / "docs").mkdir()
    config = TrainConfig(epochs=1, batch_size=50, device="cpu", data_dir=tiny_mnist, out=run)
    train(config, test=False)
    with pytest.raises(CheckpointError, match="is no finished run of edge"):
        renew.renew(run, root, tiny_mnist)
    shutil.rmtree(run)
    train(config)
    made = renew.renew(run, root, tiny_mnist)
    record = json.loads((root / renew.RECORD).read_text())
    assert set(made) == {*record["files"], renew.RECORD}
    weights = checkpoints.load(run / "checkpoint.safetensors").sha256
    assert record["weights_sha256"] == weights
    model = EdgeAdder(root / "edge_adder" / "models" / "default.onnx")
    assert model.provenance["weights_sha256"] == weights
    assert all((root / name).stat().st_size > 300 for name in made)
