"""The time of each operator, and the shares that follow from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the development tools")

import onnx
import onnxruntime as ort

from benchmarks import graph
from benchmarks.report import graph_paragraphs
from edge_adder import EdgeAdder
from edge_adder.errors import InputError
from edge_adder.session import session_options
from export.catalogue import count_multiply_adds
from export.networks.parts import Network


def test_the_operators_are_those_that_the_runtime_runs(adder: EdgeAdder, tmp_path: Path) -> None:
    options = session_options()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(adder.model_bytes, options, providers=["CPUExecutionProvider"])
    run = onnx.load(tmp_path / "optimised.onnx").graph.node
    rows = graph.profile(adder, 20)
    assert [(row["operator"], row["node"]) for row in rows] == [
        (node.op_type, node.name) for node in run
    ]
    assert all(row["us"] > 0 for row in rows)


def test_every_operator_is_measured_and_reported(
    adder: EdgeAdder, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MATRIX_SIDE", 64)
    found = graph.measure(adder, network, 50)
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    assert found["multiply_adds"] == count_multiply_adds(network)
    assert found["added_us"] == min(row["us"] for row in found["operators"])
    assert 1e7 < found["peak_per_second"] < 1e13
    shares = [found["floor_us"] / found["p50_us"], *(row["share"] for row in found["operators"])]
    assert sum(shares) == pytest.approx(1)
    report = "\n".join(graph_paragraphs(found))
    assert f"the cheapest operator, {found['added_us']:.1f} µs" in report
    assert f"{found['multiply_adds']:,} multiply-adds" in report
    assert len(found["operators"]) > 10
    for row in found["operators"]:
        assert f"| {row['operator']} | `{row['node']}` | {row['us']:.1f} | " in report


def test_shares() -> None:
    # 4 µs are above the cheapest and stand for the 30 µs above the floor
    assert graph.shares([2.0, 1.0, 4.0], whole=40.0, floor=10.0) == [0.1875, 0.0, 0.5625]
    assert graph.shares([3.0], whole=40.0, floor=10.0) == [0.75]
    assert graph.shares([3.0, 3.0], whole=40.0, floor=10.0) == [0.375, 0.375]


def test_the_slowest_tenth_does_not_count() -> None:
    assert graph.trimmed_mean(np.array([1, 900, *[3] * 17, 800])) == pytest.approx(52 / 18)
    assert graph.trimmed_mean(np.array([5, 7])) == 6


def test_more_runs_than_a_profile_holds_are_refused(
    adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = len(onnx.load_from_string(adder.model_bytes).graph.node)
    monkeypatch.setattr(graph, "MAX_EVENTS", 20 * (3 * nodes + 2))
    assert graph.profile(adder, 10)
    with pytest.raises(InputError, match="calls must be at most 10 for this model, got 11"):
        graph.profile(adder, 11)
