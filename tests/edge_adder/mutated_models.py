"""Loads the bundled model with one bit flipped, again and again: a process of its own.

python mutated_models.py FIRST STOP  →  the index of each mutation and a space, before it is loaded;
then its outcome: ``ran``, ``refused`` by our error, or the name of any other exception. A process
that ends after an index crashed on it.
"""

from __future__ import annotations

import contextlib
import random
import resource
import sys

import numpy as np

from edge_adder import EdgeAdder, EdgeAdderError
from edge_adder.onnx_scan import _known_fields
from edge_adder.predictor import BUNDLED_MODEL

SEED = 20_250_607
MEMORY_BYTES = 4_000_000_000  # a mutation that asks for more gets an error, not the machine


def structure(data: bytes) -> list[int]:
    """The bytes outside of the weights: a fifteenth of the file, and nearly all that can break."""
    spans, todo = [], [("ModelProto", 0, len(data))]
    while todo:
        for name, start, end in _known_fields(data, *todo.pop(), iter(range(10_000))):
            if name == "TensorProto":
                spans.append((start + 60, end))  # shape, type and name come first
            elif name[0].isupper():
                todo.append((name, start, end))
    inside = {index for span in spans for index in range(*span)}
    return [index for index in range(len(data)) if index not in inside]


def mutated(data: bytes, anywhere: int, skeleton: list[int], index: int) -> bytes:
    """`data` with one bit flipped: with an even index anywhere, else outside of the weights."""
    random_ = random.Random(SEED + index)  # noqa: S311  to be repeated, not to be secret
    at = random_.randrange(anywhere) if index % 2 == 0 else random_.choice(skeleton)
    changed = bytearray(data)
    changed[at] ^= 1 << random_.randrange(8)
    return bytes(changed)


def outcome(model: bytes) -> str:
    """What happens to a model that is loaded and asked with every number."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # old versions of onnxruntime print
            adder = EdgeAdder(model)
            for number in range(10):
                adder.run(np.full((1, 1, 28, 28), 25 * number, np.uint8), np.array([number]))
    except EdgeAdderError:
        return "refused"
    except Exception as error:  # noqa: BLE001  whatever it is, it is counted
        return type(error).__name__
    return "ran"


def main(first: int, stop: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = BUNDLED_MODEL.read_bytes()
    skeleton = structure(data)
    for index in range(first, stop):
        print(index, end=" ", flush=True)
        print(outcome(mutated(data, len(data), skeleton, index)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
