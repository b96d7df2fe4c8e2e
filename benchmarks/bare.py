"""The shortest script that answers; `benchmarks.startup` compares `edge-adder predict` with it."""

import sys

import numpy as np
import onnxruntime as ort
import typer
from PIL import Image

model, path, number = sys.argv[1:]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
image = np.asarray(Image.open(path))[None, None]
inputs = {"image": image, "number": np.array([int(number)])}
digit, total = session.run(["digit", "sum"], inputs)
typer.echo(f"{path}: {digit.argmax()} + {number} = {total.argmax()}")
