"""One answer in a fresh process, for its start and its memory: python one_answer.py PEER MODEL."""

from __future__ import annotations

import sys

import numpy as np


def main(peer: str, model: str) -> None:
    """Load an ONNX file and answer a blank image."""
    image, number = np.zeros((1, 1, 28, 28), np.uint8), np.zeros(1, np.int64)
    if peer == "edge-adder":
        from edge_adder import EdgeAdder  # noqa: PLC0415  each peer alone

        EdgeAdder(model).run(image, number)
    elif peer == "raw onnxruntime":
        import onnxruntime  # noqa: PLC0415

        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        session.run(None, {"image": image, "number": number})
    elif peer == "OpenVINO":
        import openvino  # noqa: PLC0415

        network = openvino.Core().read_model(model)
        network.reshape({"image": image.shape, "number": number.shape})
        openvino.compile_model(network, "CPU")([image, number])
    elif peer != "numpy alone":
        raise SystemExit(f"no peer {peer}")


if __name__ == "__main__":
    main(*sys.argv[1:])
