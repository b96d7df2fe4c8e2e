"""The tensor contract: names, dtypes, shapes, ranges and meaning of a model's inputs and outputs.

The one place that states them. `export` writes `CONTRACT.to_dict()` into a model's metadata under
`CONTRACT_KEY`; the runtime reads it from there and refuses a model whose contract differs. Standard
library only, so that both sides can import it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONTRACT_KEY = "edge_adder.contract"
"""Key of the contract (JSON) in an ONNX model's `metadata_props`."""

PROVENANCE_KEY = "edge_adder.provenance"
"""Key of the provenance (JSON) in an ONNX model's `metadata_props`."""

IMAGE_SIDE = 28
"""Height and width of `image`, in pixels."""

DIGITS = 10
"""Number of digits, 0 to 9, and of the numbers that can be added to them."""

SUMS = 2 * (DIGITS - 1) + 1
"""Number of possible sums: 0 to 18."""

FULL_INK = 255
"""Value of a pixel of full ink; 0 is background."""

BATCH = "batch"
"""Name of the symbolic first axis of all four tensors."""

IMPOSSIBLE_LOG_PROBABILITY = -10_000.0
"""Log-probability of a sum that cannot occur, such as 3 for the number 7.

Finite, so that every output is; far below -103, where exp underflows to 0 in float32, so that its
probability is exactly 0; far below any log-probability of a trained network.
"""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named input or output.

    Attributes:
        name: The tensor's name, in the ONNX file, in `forward` and everywhere else.
        dtype: Element type, as numpy names it.
        shape: Size of each axis; a string is a symbolic one.
        range: Lowest and highest value; None if unbounded.
        meaning: What its values stand for.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    range: tuple[float | None, float | None]
    meaning: str

    def to_dict(self, batch: str | int = BATCH) -> dict[str, Any]:
        """Return the specification in JSON's types, with `batch` as the size of the first axis."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": [batch, *self.shape[1:]],
            "range": list(self.range),
            "meaning": self.meaning,
        }


@dataclass(frozen=True, slots=True)
class Contract:
    """The inputs and outputs of a model, with the version of this description."""

    version: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_dict(self, batch: str | int = BATCH) -> dict[str, Any]:
        """Return the contract in JSON's types, as in a model's metadata.

        Args:
            batch: Size of the first axis if it is fixed; `BATCH` if it is symbolic.
        """
        return {
            "version": self.version,
            "inputs": [spec.to_dict(batch) for spec in self.inputs],
            "outputs": [spec.to_dict(batch) for spec in self.outputs],
        }


IMAGE = TensorSpec(
    name="image",
    dtype="uint8",
    shape=(BATCH, 1, IMAGE_SIDE, IMAGE_SIDE),
    range=(0, FULL_INK),
    meaning="a handwritten digit; 0 = background, 255 = full ink",
)
NUMBER = TensorSpec(
    name="number",
    dtype="int64",
    shape=(BATCH,),
    range=(0, DIGITS - 1),
    meaning="the number to add to the digit",
)
DIGIT = TensorSpec(
    name="digit",
    dtype="float32",
    shape=(BATCH, DIGITS),
    range=(None, 0),
    meaning="log-probability of each digit 0-9",
)
SUM = TensorSpec(
    name="sum",
    dtype="float32",
    shape=(BATCH, SUMS),
    range=(None, 0),
    meaning="log-probability of each sum 0-18; finite everywhere",
)

CONTRACT = Contract(version=1, inputs=(IMAGE, NUMBER), outputs=(DIGIT, SUM))
"""The contract of every model of this project."""


INK_STEP = 16
"""Both sides of a picture for the ink model are multiples of this, in pixels."""

PICTURE = TensorSpec(
    name="picture",
    dtype="uint8",
    shape=(BATCH, 3, "height", "width"),
    range=(0, 255),
    meaning="red, green and blue of a picture; height and width are multiples of 16",
)
INK = TensorSpec(
    name="ink",
    dtype="float32",
    shape=(BATCH, 2, "height", "width"),
    range=(None, None),
    meaning="log-odds that a pixel is written on; and that this is a mark rather than a digit",
)

INK_CONTRACT = Contract(version=1, inputs=(PICTURE,), outputs=(INK,))
"""The contract of the ink model."""


def differences(found: object, expected: object, where: str = "contract") -> Iterator[str]:
    """Yield a line for each difference between two values of JSON's types.

    Args:
        found: The value in a model's metadata.
        expected: The value it should be, such as `CONTRACT.to_dict()`.
        where: Name of the value, which each line begins with.

    Yields:
        Lines such as ``contract.inputs[0].dtype: expected 'uint8', got 'float32'``.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in expected | found:
            if key not in found:
                yield f"{where}.{key} is missing"
            elif key not in expected:
                yield f"{where}.{key} is unknown"
            else:
                yield from differences(found[key], expected[key], f"{where}.{key}")
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for index, (a, b) in enumerate(zip(found, expected, strict=True)):
            yield from differences(a, b, f"{where}[{index}]")
    elif found != expected:
        yield f"{where}: expected {expected!r}, got {found!r}"
