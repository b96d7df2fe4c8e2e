"""Models that the package onnx makes: valid files, of which the runtime refuses the strange."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edge_adder import ContractError, EdgeAdder, ModelError
from edge_adder.onnx_scan import FIELDS
from edge_adder.predictor import BUNDLED_MODEL


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.load_model(BUNDLED_MODEL)


def move_weights(model: onnx.ModelProto, location: str) -> bytes:
    """Take the largest tensor out of a model, to another file; its content."""
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    content = largest.raw_data
    onnx.external_data_helper.set_external_data(largest, location)
    largest.ClearField("raw_data")
    return content


@pytest.mark.parametrize("location", ["weights.bin", "{}/weights.bin", "../weights.bin", "link"])
def test_weights_in_another_file_are_not_read(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    weights = move_weights(model, location.format(tmp_path))
    (tmp_path / "weights.bin").write_bytes(weights)
    (folder / "weights.bin").write_bytes(weights)
    (folder / "link").symlink_to(tmp_path / "weights.bin")
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    for source in ("model.onnx", content):
        with pytest.raises(ModelError, match="has weights in another file"):
            EdgeAdder(source)


def with_float_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def with_larger_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 30
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 30


def with_another_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("extra", TensorProto.INT64, [1]))


def with_another_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["digit"], ["again"]))
    shape = ["batch", 10]
    model.graph.output.append(helper.make_tensor_value_info("again", TensorProto.FLOAT, shape))


def without_sum(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def with_another_name(model: onnx.ModelProto) -> None:
    model.graph.input[1].name = "addend"
    for node in model.graph.node:
        node.input[:] = ["addend" if name == "number" else name for name in node.input]


def with_a_fixed_batch(model: onnx.ModelProto) -> None:
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_float_image, r"inputs.image\[0\]: expected 'uint8', got 'float32'"),
        (with_larger_image, r"inputs.image\[3\]: expected 28, got 30"),
        (with_another_input, "inputs.extra is unknown"),
        (with_another_output, "outputs.again is unknown"),
        (without_sum, "outputs.sum is missing"),
        (with_another_name, "inputs.number is missing; inputs.addend is unknown"),
        (with_a_fixed_batch, r"inputs.image\[1\]: expected 'batch', got 3"),
    ],
)
def test_other_tensors_than_the_contracts(
    model: onnx.ModelProto, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    """The contract in the file says nothing of the change."""
    change(model)
    with pytest.raises(ContractError, match=message) as caught:
        EdgeAdder(model.SerializeToString())
    assert caught.value.exit_code == 3


def test_a_model_without_a_contract() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    tensors = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])] for name in "xy"]
    opset = [helper.make_opsetid("", 18)]
    graph = helper.make_graph([node], "graph", *tensors)
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    with pytest.raises(ContractError, match=r"has no 'edge_adder\.contract' in its metadata"):
        EdgeAdder(model.SerializeToString())


def test_the_walk_knows_every_way_to_operators_and_tensors() -> None:
    """`FIELDS` against the descriptors of ONNX, so that a new place for a tensor is seen."""
    messages, todo = {}, [onnx.ModelProto.DESCRIPTOR]
    while todo:
        message = todo.pop()
        if message.name not in messages:
            messages[message.name] = message
            todo += [field.message_type for field in message.fields if field.message_type]
    ways = {"OperatorSetIdProto", "NodeProto", "FunctionProto", "TensorProto"}
    before: set[str] = set()
    while ways != before:
        before = set(ways)
        ways |= {
            name
            for name, message in messages.items()
            if any(
                field.message_type and field.message_type.name in ways for field in message.fields
            )
        }
    expected = {
        name: {
            field.number: field.message_type.name if field.message_type else field.name
            for field in messages[name].fields
            if (field.message_type and field.message_type.name in ways)
            or (name != "ModelProto" and field.name == "domain")
            or field.name in ("external_data", "data_location")
        }
        for name in ways
    }
    expected["TensorProto"] = {13: "external_data", 14: "data_location"}
    assert expected == FIELDS
