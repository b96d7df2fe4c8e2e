"""Where the time of one image goes inside onnxruntime: python -m benchmarks.graph.

onnxruntime's own profile says how long each operator takes, and the fastest matrix product that the
same runtime computes on one thread says how much arithmetic the core can do.
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
from onnx import TensorProto, helper
from PIL import Image

from benchmarks.report import table
from benchmarks.untrained import SAMPLE, time_adders
from edge_adder import EdgeAdder
from edge_adder.bench import time_in_turn
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.predictor import open_session
from export import checkpoint as checkpoints
from export.catalogue import count_multiply_adds

_SIDE = 512
"""Of the square matrices whose product measures the core: they fit into its second-level cache."""


def main(
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    calls: Annotated[int, typer.Option(min=10, help="Runs to profile.")] = 3000,
) -> None:
    """Print each operator's share, the weights, and the share of the core's peak."""
    adder = EdgeAdder(model)
    rows = profile(adder, calls)
    timed = time_adders({"model": adder}, calls)
    whole, floor = timed["model"]["p50"], timed["identity"]["p50"]
    # What the profiler itself adds to each operator: what they take too long together, divided.
    added = max(0.0, (sum(row["us"] for row in rows) - (whole - floor)) / len(rows))
    shares = [(row, max(0.0, row["us"] - added)) for row in rows]
    print(
        table(
            ("operator", "node", "µs in the profile", "without the profiler", "share of the p50"),
            [
                ("floor", "an identity graph", "", f"{floor:.1f}", f"{floor / whole:.0%}"),
                *(
                    (
                        row["operator"],
                        row["node"],
                        f"{row['us']:.1f}",
                        f"{us:.1f}",
                        f"{us / whole:.0%}",
                    )
                    for row, us in shares
                ),
            ],
        )
    )
    weights = sum(
        onnx.numpy_helper.to_array(tensor).nbytes
        for tensor in onnx.load_from_string(adder.model_bytes).graph.initializer
    )
    network = checkpoints.load(checkpoints.committed(adder.provenance["network"])).build()
    adds = count_multiply_adds(network)
    peak, reached = peak_multiply_adds(), adds / (whole / 1e6)
    print(
        f"\np50 of raw session.run {whole:.1f} µs, {timed['model']['ratio']:.2f} times the "
        f"identity graph; the profiler adds {added:.1f} µs to each operator"
    )
    print(f"weights and tables {weights:,} bytes, multiply-adds {adds:,}")
    print(
        f"{reached / 1e9:.1f} thousand million multiply-adds a second, {reached / peak:.0%} of the "
        f"{peak / 1e9:.1f} that a product of {_SIDE}x{_SIDE} matrices reaches on one thread; "
        f"{adds / ((whole - floor) / 1e6) / peak:.0%} without the floor"
    )


def profile(adder: EdgeAdder, calls: int) -> list[dict[str, Any]]:
    """The mean time of each operator, batch 1, one thread, in the order of execution.

    Args:
        adder: The model.
        calls: Runs to profile; as many more warm up.

    Returns:
        ``operator``, ``node`` and ``us`` of each.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
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
        {"operator": operator, "node": node, "us": float(np.mean(values[calls:]))}
        for (operator, node), values in times.items()
    ]


def peak_multiply_adds() -> float:
    """Multiply-adds a second of a float32 matrix product on one thread of onnxruntime."""
    shape = [_SIDE, _SIDE]
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "abc"]
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", tensors[:2], tensors[2:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = open_session(made.SerializeToString())
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)
    times = time_in_turn(
        {"product": lambda: session.run(None, {"a": matrix, "b": matrix})}, 200, warm_up=20
    )
    return float(_SIDE**3 / (np.median(times["product"].counted) / 1e9))


if __name__ == "__main__":
    typer.run(main)
