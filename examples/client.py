"""Asks a server about a picture in the Open Inference Protocol: python examples/client.py.

Works with `edge-adder serve`, Triton, and whatever else speaks the protocol: the picture is
prepared here, and `number` has the shape (batch, 1), which both take. Needs tritonclient[http].
"""

from __future__ import annotations

import sys

import numpy as np
import tritonclient.http as triton

from edge_adder import prepare_image


def main(
    picture: str = "examples/seven.png", number: str = "5", server: str = "127.0.0.1:8000"
) -> None:
    """Print the answer of a server for a picture and a number."""
    image = prepare_image(picture).reshape(1, 1, 28, 28)
    inputs = [
        triton.InferInput("image", [1, 1, 28, 28], "UINT8").set_data_from_numpy(image),
        triton.InferInput("number", [1, 1], "INT64").set_data_from_numpy(
            np.array([[int(number)]], np.int64)
        ),
    ]
    with triton.InferenceServerClient(server) as client:
        answer = client.infer("edge", inputs)
    digit, total = (int(answer.as_numpy(name)[0].argmax()) for name in ("digit", "sum"))
    print(f"{digit} + {number} = {total}")


if __name__ == "__main__":
    main(*sys.argv[1:])
