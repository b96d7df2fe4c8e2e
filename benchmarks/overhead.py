"""What the runtime adds to onnxruntime: python -m benchmarks.overhead.

One image at a time, one thread, p50 over many calls: an identity graph (the floor of any call from
Python), raw `session.run`, `EdgeAdder.run` and `EdgeAdder.predict` on a ready 28×28 array. The four
run in turn in short blocks, so that a slow moment of the machine meets them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import typer
from onnx import TensorProto, helper
from PIL import Image

from edge_adder import EdgeAdder

SAMPLE = Path(__file__).parent.parent / "examples" / "seven.png"
BLOCK = 200
BOUND = 1.5


def identity_session(options: ort.SessionOptions) -> ort.InferenceSession:
    """A session that returns its two inputs."""
    image = ("image", TensorProto.UINT8, ["batch", 1, 28, 28])
    number = ("number", TensorProto.INT64, ["batch"])
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["image"], ["digit"]),
            helper.make_node("Identity", ["number"], ["sum"]),
        ],
        "identity",
        [helper.make_tensor_value_info(*spec) for spec in (image, number)],
        [
            helper.make_tensor_value_info(name, *spec[1:])
            for name, spec in (("digit", image), ("sum", number))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def measure(calls: dict[str, Callable[[], object]], blocks: int) -> dict[str, float]:
    """The p50 of each call in microseconds; each runs in blocks of `BLOCK`, in turn."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    for block in range(blocks + 1):
        for name, call in calls.items():
            for _ in range(BLOCK):
                began = time.perf_counter_ns()
                call()
                took = time.perf_counter_ns() - began
                if block:  # the first warms up
                    times[name].append(took)
    return {name: float(np.median(values)) / 1000 for name, values in times.items()}


def main(
    blocks: Annotated[int, typer.Option(min=1, help="Blocks of 200 calls to count.")] = 100,
) -> None:
    """Print the p50 of each call and its ratio to raw `session.run`."""
    image = np.asarray(Image.open(SAMPLE))
    batch, number = image[None, None], np.array([7])
    adder = EdgeAdder()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    raw = ort.InferenceSession(adder.model_bytes, options, providers=["CPUExecutionProvider"])
    identity = identity_session(options)
    inputs, outputs = {"image": batch, "number": number}, ["digit", "sum"]
    p50 = measure(
        {
            "identity graph": lambda: identity.run(outputs, inputs),
            "raw session.run": lambda: raw.run(outputs, inputs),
            "EdgeAdder.run": lambda: adder.run(batch, number),
            "EdgeAdder.predict": lambda: adder.predict(image, 7),
        },
        blocks,
    )
    print(f"onnxruntime {ort.__version__}, one thread, batch 1, p50 of {blocks * BLOCK:,} calls")
    for name, value in p50.items():
        print(f"{name:18}{value:8.1f} µs{value / p50['raw session.run']:8.2f} × raw")
    ratio = p50["EdgeAdder.predict"] / p50["raw session.run"]
    print(f"predict / raw: bound {BOUND}: {'held' if ratio <= BOUND else 'missed'}")


if __name__ == "__main__":
    typer.run(main)
