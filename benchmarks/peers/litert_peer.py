"""A peer in an environment of its own: LiteRT. Needs ai-edge-litert and numpy alone.

python litert_peer.py MODEL VECTORS: answers lines on stdin with lines of JSON, as
`benchmarks.peers.children` asks.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time

import numpy as np

with contextlib.redirect_stdout(sys.stderr):
    from ai_edge_litert.interpreter import Interpreter


def main(model: str, vectors: str) -> None:
    """Load a model whose batch is fixed, and answer."""
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    places = {each["name"].split(":")[0]: each for each in interpreter.get_input_details()}
    image, number = (
        next(each for name, each in places.items() if wanted in name)
        for wanted in ("image", "number")
    )
    count = int(image["shape"][0])
    with np.load(vectors) as stored:
        images = np.resize(stored["image"], (count, 1, 28, 28)).reshape(image["shape"])
        numbers = np.resize(stored["number"], count).astype(number["dtype"])
    outputs = sorted(interpreter.get_output_details(), key=lambda each: int(each["shape"][-1]))

    def call() -> list[np.ndarray]:
        interpreter.set_tensor(image["index"], images)
        interpreter.set_tensor(number["index"], numbers)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in outputs]

    for line in sys.stdin:
        calls = int(line)
        if calls == 0:
            print(json.dumps([each.tolist() for each in call()]), flush=True)
            continue
        times = []
        for _ in range(calls):
            began = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - began)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
