"""The ink network trains, resumes to the same weights, and is exported behind its gate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edge_adder import CheckpointError, InputError, ParityError, ink_model
from export import checkpoint as checkpoints
from export.checkpoint import WEIGHTS_DIR
from export.ink import to_onnx, train
from export.ink.average import average, main
from export.ink.network import InkFinder
from export.ink.scenes import SIDE


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Scenes of noise with a bright square that is written, instead of composed ones."""
    generator = np.random.default_rng(0)
    paths = []
    for name in ("a", "b"):
        block = generator.integers(0, 60, (8, 5, SIDE, SIDE)).astype(np.uint8)
        block[:, 3:] = 0
        block[:, :4, 60:120, 60:120] = 255
        paths.append(tmp_path / f"{name}.npy")
        np.save(paths[-1], block)
    monkeypatch.setattr(train, "_BLOCK", 8)
    monkeypatch.setattr(train, "_scenes", lambda *_, validation: paths[int(validation) :])


def settings(out: Path, epochs: int) -> train.InkConfig:
    return train.InkConfig(scenes=8, epochs=epochs, batch_size=4, out=out, learning_rate=0.01)


@pytest.mark.usefixtures("few_scenes")
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = checkpoints.load(train.train(settings(tmp_path / "whole", 2)))
    epochs = iter([True, False])
    learn = train._train_epoch

    def stop_after_one(*arguments: object) -> float:
        if not next(epochs):
            raise KeyboardInterrupt
        return learn(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(train, "_train_epoch", stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            train.train(settings(tmp_path / "cut", 2))
    resumed = checkpoints.load(train.train(settings(tmp_path / "cut", 2), resume=True))
    assert resumed.sha256 == whole.sha256
    assert resumed.metrics == whole.metrics
    with pytest.raises(InputError, match="holds a run of 2 epochs"):
        train.train(settings(tmp_path / "cut", 2))
    with pytest.raises(InputError, match="epochs 2, not 3"):
        train.train(settings(tmp_path / "cut", 3), resume=True)


@pytest.mark.usefixtures("few_scenes")
def test_it_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.train(settings(tmp_path / "run", 12))
    losses = [float(line.split("loss ")[1][:6]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("changes", [{"scenes": 700}, {"scenes": 0}, {"epochs": 0}])
def test_settings_that_cannot_be_used_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        train.InkConfig(**changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def committed() -> checkpoints.Checkpoint:
    return checkpoints.load(WEIGHTS_DIR / "ink.safetensors")


def test_the_bundled_file_is_made_of_the_committed_checkpoint(
    committed: checkpoints.Checkpoint,
) -> None:
    described = ink_model.describe(ink_model.load())
    assert described.provenance["weights_sha256"] == committed.sha256
    assert described.provenance["metrics"] == committed.metrics
    network = to_onnx.build(committed)
    assert to_onnx.gate(network, ink_model.INK_MODEL.read_bytes()).passed
    picture = to_onnx.pictures(1, seed=9)
    expected = to_onnx.reference(network, picture)
    assert ink_model.compare(ink_model.run(ink_model.load(), picture), expected).passed


def test_the_mean_of_checkpoints_is_that_of_their_weights(
    committed: checkpoints.Checkpoint,
) -> None:
    doubled = {
        name: 2 * tensor if tensor.is_floating_point() else tensor + 1
        for name, tensor in committed.weights.items()
    }
    other = dataclasses.replace(committed, weights=doubled)
    mean = average([committed, other, committed, committed])
    for name, tensor in committed.weights.items():
        expected = 1.25 * tensor if tensor.is_floating_point() else tensor
        assert torch.allclose(mean.weights[name], expected)
    named = [each["weights_sha256"] for each in mean.config["mean_of"]]
    assert named == [committed.sha256, other.sha256, committed.sha256, committed.sha256]
    with pytest.raises(InputError, match="no checkpoint"):
        average([])
    with pytest.raises(CheckpointError, match="not of the ink network"):
        average([committed, checkpoints.load(WEIGHTS_DIR / "edge.safetensors")])


@pytest.mark.usefixtures("few_scenes")
def test_the_command_writes_a_mean_that_can_be_exported(
    tmp_path: Path, committed: checkpoints.Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = WEIGHTS_DIR / "ink.safetensors", tmp_path / "mean"
    main(out, [file, file])
    assert "writing found" in capsys.readouterr().out
    mean = checkpoints.load(out / "checkpoint.safetensors")
    assert torch.equal(mean.weights["answer.bias"], committed.weights["answer.bias"])
    assert set(mean.metrics["validation"]) == {"writing", "mark"}


def test_an_export_is_valid_and_the_same_each_time(committed: checkpoints.Checkpoint) -> None:
    network = to_onnx.build(committed)
    content = to_onnx.to_onnx(network, committed)
    assert content == to_onnx.to_onnx(network, committed)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert "Mul" not in {node.op_type for node in model.graph.node}  # the scale is folded
    assert len(content) < 500_000


def test_the_gate_refuses_what_computes_something_else(committed: checkpoints.Checkpoint) -> None:
    content = to_onnx.to_onnx(to_onnx.build(committed), committed)
    other = to_onnx.build(committed)
    with torch.no_grad():
        other.answer.bias += 0.01
    with pytest.raises(ParityError, match="differs from PyTorch"):
        to_onnx.gate(other, content)


def test_another_networks_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError, match="not of the ink network"):
        to_onnx.build(checkpoints.load(WEIGHTS_DIR / "edge.safetensors"))


def test_the_network_keeps_the_size_of_any_picture() -> None:
    network = InkFinder().eval()
    with torch.inference_mode():
        for height, width in ((16, 16), (48, 96)):
            found = network(torch.zeros(2, 3, height, width, dtype=torch.uint8))
            assert found.shape == (2, 2, height, width)
