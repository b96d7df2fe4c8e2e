"""What is counted from a model file, whatever it claims."""

from __future__ import annotations

from edge_adder import EdgeAdder
from edge_adder.onnx_facts import measure


def test_the_bundled_model_is_what_it_claims_to_be(adder: EdgeAdder) -> None:
    measured, claimed = adder.describe()["measured"], adder.provenance
    for name in ("operators", "opset", "ir_version"):
        assert measured[name] == claimed[name]
    assert measured["precision"] == "float32"
    assert 55_000 < measured["values"]["float32"] < 56_000
    assert measured["producer"] == "edge-adder"


def test_a_changed_file_is_measured_and_not_believed(adder: EdgeAdder) -> None:
    """A ReLU more, as bytes appended to the graph that the file begins anew."""
    node = b"\x0a\x01a\x12\x01b\x22\x04Relu"
    graph = b"\x0a" + bytes([len(node)]) + node
    content = adder.model_bytes + b"\x3a" + bytes([len(graph)]) + graph
    assert measure(content)["operators"]["Relu"] == adder.provenance["operators"]["Relu"] + 1
