"""Where the time of one image goes inside onnxruntime: python -m benchmarks.graph.

onnxruntime's own profile says how long each operator takes, and the fastest matrix product that the
same runtime computes on one thread says how much arithmetic the core can do.

That the profiler and the dispatch add the same to each operator is an assumption; see `shares`.
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

from benchmarks.report import graph_paragraphs
from benchmarks.search.time import SAMPLE, time_adders
from edge_adder import EdgeAdder
from edge_adder.bench.timing import time_interleaved
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.errors import InputError
from edge_adder.session import open_session, session_options
from export import checkpoint as checkpoints
from export.catalogue import count_multiply_adds
from export.networks.parts import Network

_SIDE = 512
"""Of the square matrices whose product measures the core: they fit into its second-level cache."""

MOST_EVENTS = 1_000_000
"""That a profile holds; later ones are dropped (onnxruntime/core/common/profiler.cc)."""

TRIMMED = 0.1
"""Share of an operator's times, the slowest, that do not count: something else ran meanwhile."""


def main(
    calls: Annotated[int, typer.Option(min=10, help="Runs to profile.")] = 3000,
) -> None:
    """Print what the bundled model's time consists of."""
    adder = EdgeAdder()
    network = checkpoints.load(checkpoints.committed(adder.provenance["network"])).build()
    print("\n\n".join(graph_paragraphs(measure(adder, network, calls))))


def measure(adder: EdgeAdder, network: Network, calls: int) -> dict[str, Any]:
    """Each operator's share of the p50, the weights, and the share of the core's peak.

    Args:
        adder: The model.
        network: What it was exported from, for its multiply-adds.
        calls: Runs to profile.

    Returns:
        ``operators``, in the order of execution: ``operator``, ``node``, ``us`` in the profile and
        ``share`` of the p50 as `shares`; ``added_us``, what profiler and dispatch are taken to add
        to each operator; ``p50_us`` and ``floor_us`` of raw `session.run`, batch 1, one thread, of
        the model and an identity graph; their ``ratio``; ``weights_bytes``; ``multiply_adds``;
        ``peak_per_second`` as `peak_multiply_adds`, of square matrices with sides of
        ``peak_side``.

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
        "peak_side": _SIDE,
    }


def shares(us: list[float], whole: float, floor: float) -> list[float]:
    """What each operator takes of the whole, without what measuring it adds.

    Profiler and dispatch are taken to add the same to each operator, as much as the cheapest takes.
    What is above that is scaled so that the shares and the floor's are 1 together.

    Args:
        us: Of each operator in the profile, microseconds.
        whole: Of the model without a profiler, microseconds.
        floor: Of a graph that computes nothing, microseconds; less than `whole`.

    Returns:
        A fraction of `whole` for each operator; all the same where all take the same.
    """
    above = [each - min(us) for each in us]
    if not any(above):
        above = [1.0] * len(us)
    return [each / sum(above) * (whole - floor) / whole for each in above]


def profile(adder: EdgeAdder, calls: int) -> list[dict[str, Any]]:
    """The time of each operator, batch 1, one thread, in the order of execution.

    Args:
        adder: The model.
        calls: Runs to profile; as many more warm up.

    Returns:
        ``operator``, ``node`` and ``us`` of each, the mean without the slowest tenth.

    Raises:
        InputError: `calls` are too many for a profile.
    """
    nodes = len(onnx.load_from_string(adder.model_bytes).graph.node)
    most = MOST_EVENTS // (2 * (3 * nodes + 2))  # up to 3 events for a node, 2 for a run
    if calls > most:
        raise InputError(f"calls must be at most {most:,} for this model, got {calls:,}")
    options = session_options()
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(
            adder.model_bytes, options, providers=["CPUExecutionProvider"]
        )
        feeds = {IMAGE.name: np.asarray(Image.open(SAMPLE))[None, None], NUMBER.name: np.array([7])}
        for _ in range(2 * calls):
            session.run([DIGIT.name, SUM.name], feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            times[event["args"]["op_name"], name].append(event["dur"])
    return [
        {"operator": operator, "node": node, "us": trimmed_mean(np.array(values[calls:]))}
        for (operator, node), values in times.items()
    ]


def trimmed_mean(values: NDArray[np.int64]) -> float:
    """The mean without the slowest tenth; int64 (count,) in, its unit out."""
    kept = len(values) - int(TRIMMED * len(values))
    return float(np.sort(values)[:kept].mean())


def peak_multiply_adds() -> float:
    """Multiply-adds a second of a float32 matrix product on one thread of onnxruntime."""
    shape = [_SIDE, _SIDE]
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "abc"]
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", tensors[:2], tensors[2:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = open_session(made.SerializeToString())
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)
    times = time_interleaved(
        {"product": lambda: session.run(None, {"a": matrix, "b": matrix})}, 200, warm_up=20
    )
    return float(_SIDE**3 / (np.median(times["product"].counted) / 1e9))


if __name__ == "__main__":
    typer.run(main)
