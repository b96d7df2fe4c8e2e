"""Where the time of one image goes inside onnxruntime: python -m benchmarks.graph.

onnxruntime's own profile tells how long each operator takes, and the fastest matrix product of the
same runtime on one thread tells how much arithmetic a core can do.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import onnxruntime as ort
import typer
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image
from torch import nn

from benchmarks.report import graph_paragraphs
from benchmarks.search.time import SAMPLE, time_adders
from edge_adder import EdgeAdder
from edge_adder.bench.timing import time_interleaved
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.errors import InputError
from edge_adder.session import open_session, session_options
from export import checkpoint as checkpoints
from export.catalogue import count_multiply_adds

MATRIX_SIDE = 512
"""Side of the square matrices whose product measures the core; they fit into its L2 cache."""

MAX_EVENTS = 1_000_000
"""Events in a profile; later ones are dropped (onnxruntime/core/common/profiler.cc)."""

TRIMMED = 0.1
"""Fraction of an operator's times, the slowest, that do not count: something else ran meanwhile."""


def main(
    calls: Annotated[int, typer.Option(min=10, help="Runs to profile.")] = 3000,
) -> None:
    """Print what the bundled model's time consists of."""
    adder = EdgeAdder()
    network = checkpoints.load(checkpoints.committed(adder.provenance["network"])).build()
    print("\n\n".join(graph_paragraphs(measure(adder, network, calls))))


def measure(adder: EdgeAdder, network: nn.Module, calls: int) -> dict[str, Any]:
    """Measure each operator's share of the median, and how near the whole is to the core's peak.

    Args:
        adder: The model.
        network: The network that it was exported from, for its multiply-adds.
        calls: Runs to profile.

    Returns:
        ``operators`` in the order of execution: ``operator``, ``node``, ``us`` in the profile and
        ``share`` of the median as `shares`; ``added_us``, what profiler and dispatch are assumed to
        add to each operator; ``p50_us`` and ``floor_us`` of raw `session.run`, batch 1, one thread,
        of the model and of an identity graph; their ``ratio``; ``weights_bytes``;
        ``multiply_adds``; ``peak_per_second`` as `peak_multiply_adds`; ``peak_side``.

    Raises:
        InputError: `calls` are too many for a profile.
    """
    rows = profile(adder, calls)
    timed = time_adders({"model": adder}, calls)
    whole, floor = timed["model"]["p50"], timed["identity"]["p50"]
    us = [row["us"] for row in rows]
    parts = shares(us, whole, floor)
    weights = onnx.load_from_string(adder.model_bytes).graph.initializer
    return {
        "operators": [row | {"share": part} for row, part in zip(rows, parts, strict=True)],
        "added_us": min(us),
        "p50_us": whole,
        "floor_us": floor,
        "ratio": timed["model"]["ratio"],
        "weights_bytes": sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in weights),
        "multiply_adds": count_multiply_adds(network),
        "peak_per_second": peak_multiply_adds(),
        "peak_side": MATRIX_SIDE,
    }


def shares(us: list[float], whole: float, floor: float) -> list[float]:
    """Return each operator's share of the whole, without what measuring it adds.

    Profiler and dispatch are assumed to add the same to each operator, as much as the cheapest one
    takes. What is above that is scaled so that all shares and the floor's sum to 1.

    Args:
        us: Time of each operator in the profile, in microseconds.
        whole: Time of the model without a profiler, in microseconds.
        floor: Time of a graph that computes nothing, in microseconds; less than `whole`.

    Returns:
        Fractions of `whole`; equal ones where all operators take the same time.
    """
    above = [each - min(us) for each in us]
    if not any(above):
        above = [1.0] * len(us)
    return [each / sum(above) * (whole - floor) / whole for each in above]


def profile(adder: EdgeAdder, calls: int) -> list[dict[str, Any]]:
    """Measure the time of each operator, batch 1, one thread, in the order of execution.

    Args:
        adder: The model.
        calls: Runs to profile; as many more warm up.

    Returns:
        ``operator``, ``node`` and ``us`` of each, the mean without the slowest tenth.

    Raises:
        InputError: `calls` are too many for a profile.
    """
    nodes = len(onnx.load_from_string(adder.model_bytes).graph.node)
    most = MAX_EVENTS // (2 * (3 * nodes + 2))  # up to 3 events for a node, 2 for a run
    if calls > most:
        raise InputError(f"calls must be at most {most:,} for this model, got {calls:,}")
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in _record_events(adder, 2 * calls):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            times[event["args"]["op_name"], name].append(event["dur"])
    return [
        {"operator": operator, "node": node, "us": trimmed_mean(np.array(values[calls:]))}
        for (operator, node), values in times.items()
    ]


def trimmed_mean(values: NDArray[np.int64]) -> float:
    """Return the mean of (count,) values without the slowest tenth."""
    kept = len(values) - int(TRIMMED * len(values))
    return float(np.sort(values)[:kept].mean())


def peak_multiply_adds() -> float:
    """Measure multiply-adds per second of a float32 matrix product on one thread of onnxruntime."""
    shape = [MATRIX_SIDE, MATRIX_SIDE]
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "abc"]
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", tensors[:2], tensors[2:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = open_session(made.SerializeToString())
    matrix = np.random.default_rng(0).random((MATRIX_SIDE, MATRIX_SIDE), np.float32)
    times = time_interleaved(
        {"product": lambda: session.run(None, {"a": matrix, "b": matrix})}, 200, warmup=20
    )
    return float(MATRIX_SIDE**3 / (np.median(times["product"].counted) / 1e9))


def _record_events(adder: EdgeAdder, runs: int) -> list[dict[str, Any]]:
    """Run a model and return the events of onnxruntime's profile."""
    options = session_options()
    options.enable_profiling = True
    feeds = {IMAGE.name: np.asarray(Image.open(SAMPLE))[None, None], NUMBER.name: np.array([7])}
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(
            adder.model_bytes, options, providers=["CPUExecutionProvider"]
        )
        for _ in range(runs):
            session.run([DIGIT.name, SUM.name], feeds)
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
    return events


if __name__ == "__main__":
    typer.run(main)
