"""A float32 model in float16, or quantised to int8.

- float16: all is computed in float16 up to the log-softmax; this and what follows stay float32, so
  that the outputs do, and an exact adder stays exact.
- int8: static, QDQ, a scale for each channel, symmetric weights. Convolutions and linear layers
  alone are quantised, so that an exact adder stays exact.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from edge_adder.contract import DIGITS, IMAGE, NUMBER, PROVENANCE_KEY
from edge_adder.errors import InputError
from edge_adder.evaluation.datasets import cached_mnist, find_data_dir

from .data import load_mnist, split_indices
from .synthetic.digits import draw_digits

Precision = Literal["float32", "float16", "int8"]
"""What an exported file computes in."""

CALIBRATION_IMAGES = 1000
"""Images from which the ranges of int8 are taken: those of a thousand are those of ten thousand."""

_BATCH = 100
_SEED = 3


def check_precision(precision: str) -> None:
    """Refuse what is no precision.

    Raises:
        InputError: It is none of `Precision`.
    """
    if precision not in get_args(Precision):
        choices = ", ".join(get_args(Precision))
        raise InputError(f"precision must be one of {choices}, got {precision!r}")


def calibration_images(data_dir: Path | None) -> tuple[str, NDArray[np.uint8]]:
    """Return training images where MNIST is at hand, else drawn digits.

    Args:
        data_dir: As in `export.to_onnx.export`.

    Returns:
        What they are, and uint8 (count, 1, 28, 28).

    Raises:
        InputError: A folder is named and MNIST is not in it.
    """
    folder = find_data_dir(data_dir) or cached_mnist()
    if folder is None:
        return "drawn digits", draw_digits(CALIBRATION_IMAGES, seed=_SEED)[0]
    mnist = load_mnist(folder, train=True)
    learned, _ = split_indices(len(mnist), "fixed", 0)
    return "training images", mnist.images[learned[:CALIBRATION_IMAGES]].numpy()


def convert(
    content: bytes, precision: str, *, batch: int | None, images: NDArray[np.uint8]
) -> bytes:
    """Return a float32 model in another precision, with the same metadata.

    Args:
        content: The model.
        precision: ``float16`` or ``int8``.
        batch: The size that its batch is fixed at; None for any.
        images: uint8 (count, 1, 28, 28), to calibrate int8 on.
    """
    model = onnx.load_model_from_string(content)
    version = model.ir_version
    if precision == "float16":
        kept = _from_log_softmax(model)
        model = convert_float_to_float16(model, keep_io_types=True, node_block_list=kept)
    else:
        model = _quantize(model, _Calibration(images, batch or _BATCH))
    model.ir_version = version
    return bytes(model.SerializeToString(deterministic=True))


def _from_log_softmax(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that compute probabilities, or from them."""
    reached: set[str] = set()
    names = []
    for node in model.graph.node:
        if node.op_type in {"LogSoftmax", "Softmax"} or reached & set(node.input):
            reached |= set(node.output)
            names.append(node.name)
    return names


def _quantize(model: onnx.ModelProto, reader: CalibrationDataReader) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            made,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            extra_options={"WeightSymmetric": True},
        )
        return onnx.load_model(made)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Feeds images in whole batches, each with other numbers."""

    def __init__(self, images: NDArray[np.uint8], batch: int) -> None:
        self._feeds = self._all(images, batch)

    @staticmethod
    def _all(images: NDArray[np.uint8], batch: int) -> Iterator[dict[str, Any]]:
        for start in range(0, len(images), batch):
            part = np.resize(images[start : start + batch], (batch, *images.shape[1:]))
            numbers = np.arange(start, start + batch, dtype=np.int64) % DIGITS
            yield {IMAGE.name: part, NUMBER.name: numbers}

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch."""
        return next(self._feeds, None)


def with_provenance(content: bytes, facts: Mapping[str, Any]) -> bytes:
    """Return a converted model whose provenance says what it is, and no longer what it was.

    The accuracies of the float32 network stand under ``float32`` then.

    Args:
        content: The converted model, with the provenance of the float32 one.
        facts: What was measured of it.
    """
    model = onnx.load_model_from_string(content)
    (entry,) = (each for each in model.metadata_props if each.key == PROVENANCE_KEY)
    provenance = json.loads(entry.value)
    provenance["float32"] = {"metrics": provenance.pop("metrics")}
    operators = Counter(node.op_type for node in model.graph.node)
    provenance |= {"operators": dict(sorted(operators.items())), **facts}
    entry.value = json.dumps(provenance)
    return bytes(model.SerializeToString(deterministic=True))
