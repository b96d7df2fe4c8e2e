"""`edge-adder export --triton`: a model repository that Triton's own classes read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_adder import CONTRACT, EdgeAdder
from edge_adder.serve.settings import MAX_BATCH, MODEL_NAME
from export.triton import config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def model_config():
    """Triton's `ModelConfig` of our text."""
    reason = "needs tritonclient[grpc]"
    classes = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason=reason)
    text_format = pytest.importorskip("google.protobuf.text_format", reason=reason)
    return lambda text: text_format.Parse(text, classes.ModelConfig())


def test_the_settings_are_those_of_the_contract(model_config) -> None:
    parsed = model_config(config())
    assert (parsed.name, parsed.backend, parsed.max_batch_size) == (
        MODEL_NAME,
        "onnxruntime",
        MAX_BATCH,
    )
    assert parsed.HasField("dynamic_batching")
    types = {"uint8": "TYPE_UINT8", "int64": "TYPE_INT64", "float32": "TYPE_FP32"}
    for specs, tensors in ((CONTRACT.inputs, parsed.input), (CONTRACT.outputs, parsed.output)):
        names = type(parsed).DESCRIPTOR.fields_by_name["input"].message_type
        kinds = names.fields_by_name["data_type"].enum_type.values_by_number
        for spec, tensor in zip(specs, tensors, strict=True):
            assert tensor.name == spec.name
            assert kinds[tensor.data_type].name == types[spec.dtype]
            handed_on = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
            assert tuple(handed_on) == spec.shape[1:]  # what the model gets, after the batch
            assert len(tensor.dims) >= 1  # of nothing Triton makes no batch


def test_the_repository_holds_the_model_and_its_settings(edge_adder, model_config) -> None:
    done = edge_adder("export", "--triton", "models")
    assert done.returncode == 0, done.stderr
    found = {path.as_posix() for path in Path("models").rglob("*") if path.is_file()}
    assert found == {
        "models/edge/config.pbtxt",
        "models/edge/1/model.onnx",
        "models/edge/1/model.parity.npz",
    }
    assert str(Path("models/edge/config.pbtxt")) in done.stdout
    parsed = model_config(Path("models/edge/config.pbtxt").read_text())
    adder = EdgeAdder("models/edge/1/model.onnx")
    assert adder.batch is None
    size = parsed.max_batch_size
    outputs = adder.run(np.zeros((size, 1, 28, 28), np.uint8), np.zeros(size, np.int64))
    assert outputs.sum.shape == (size, 19)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--out", "model.onnx"), "--out or --triton"),
        (("--batch", "4"), "takes no --batch"),
        (("--checkpoint", "missing.safetensors"), "missing.safetensors"),
        (("--opset", "3"), "opset"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(edge_adder, options, word: str) -> None:
    done = edge_adder("export", "--triton", "models", *options)
    assert done.returncode in {2, 3}
    assert word in done.stderr
    assert not Path("models").exists()


def test_other_models_of_a_repository_are_left_alone(edge_adder) -> None:
    Path("models/other").mkdir(parents=True)
    done = edge_adder("export", "--triton", "models", "--checkpoint", "missing.safetensors")
    assert done.returncode != 0
    assert [path.name for path in Path("models").iterdir()] == ["other"]
