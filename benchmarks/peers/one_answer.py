"""One answer in a fresh process, for its start and its memory: python one_answer.py PEER MODEL.

On one thread, as everywhere in this comparison. MODEL is the ONNX file, or what PyTorch saved.
"""

from __future__ import annotations

import sys

import numpy as np


def main(peer: str, model: str) -> None:
    """Load a file and answer a blank image."""
    image, number = np.zeros((1, 1, 28, 28), np.uint8), np.zeros(1, np.int64)
    if peer == "edge-adder":
        from edge_adder import EdgeAdder  # noqa: PLC0415  each peer alone

        EdgeAdder(model).run(image, number)
    elif peer == "raw onnxruntime":
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        session.run(None, {"image": image, "number": number})
    elif peer == "OpenVINO":
        import openvino  # noqa: PLC0415

        network = openvino.Core().read_model(model)
        network.reshape({"image": image.shape, "number": number.shape})
        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        openvino.compile_model(network, "CPU", settings)([image, number])
    elif peer.startswith("PyTorch"):
        import torch  # noqa: PLC0415

        torch.set_num_threads(1)
        if peer == "PyTorch eager":
            loaded = torch.load(model, weights_only=False)  # the caller's own file
        else:
            loaded = torch.jit.load(model)  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            loaded(torch.from_numpy(image), torch.from_numpy(number))
    elif peer != "numpy alone":
        raise SystemExit(f"no peer {peer}")


if __name__ == "__main__":
    main(*sys.argv[1:])
