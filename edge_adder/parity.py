"""Parity: whether a model's outputs are PyTorch's. The one home of its bound and its comparison.

The export gate, `edge-adder bench`, `edge-adder doctor` and the parity matrix compare through
this module.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import CONTRACT, DIGIT, IMAGE, NUMBER, SUM
from edge_adder.errors import InputError, one_line
from edge_adder.files import read_file
from edge_adder.model_file import read_bundled
from edge_adder.prediction import Outputs
from edge_adder.predictor import BUNDLED_MODEL, EdgeAdder

PARITY_BOUND = 1e-4
"""Largest accepted difference of a log-probability, in nats. Rounding of float32 through a dozen
operators gives about 1e-5; a wrong fold or a lost padding gives far more than 1e-2."""

COMPARED_ABOVE = -20.0
"""Log-probabilities below this (probability 2e-9) are not compared: no answer depends on them."""

_MOST_CHANGED = 0.05
"""Largest share of changed answers that a file may ask for."""

MAX_VECTOR_BYTES = 64_000_000
"""Largest file of parity vectors, in bytes; the bundled model's has 62 kB."""


@dataclass(frozen=True, slots=True)
class OutputParity:
    """Difference of one output from PyTorch's.

    Attributes:
        largest_difference: Largest absolute difference of log-probabilities above
            `COMPARED_ABOVE`, in nats; None where a value is not finite.
        changed_answers: Number of pairs whose most probable answer differs.
    """

    largest_difference: float | None
    changed_answers: int

    @property
    def passed(self) -> bool:
        """Whether the difference is within `PARITY_BOUND` and no answer changed."""
        difference = self.largest_difference
        return difference is not None and difference <= PARITY_BOUND and not self.changed_answers


@dataclass(frozen=True, slots=True)
class ParityResult:
    """Difference of both outputs from PyTorch's, over a number of pairs of image and number."""

    pairs: int
    digit: OutputParity
    sum: OutputParity
    max_changed: float | None = None
    """Largest accepted share of changed answers, for a file of another precision than float32; its
    differences are reported only."""

    @property
    def passed(self) -> bool:
        """Whether both outputs passed."""
        if self.max_changed is None:
            return self.digit.passed and self.sum.passed
        allowed = math.ceil(self.max_changed * self.pairs)
        return all(
            output.largest_difference is not None and output.changed_answers <= allowed
            for output in (self.digit, self.sum)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON's types, as docs/bench.md documents it."""
        return {
            "pairs": self.pairs,
            "bound": PARITY_BOUND if self.max_changed is None else None,
            **({} if self.max_changed is None else {"max_changed": self.max_changed}),
            "passed": self.passed,
            DIGIT.name: asdict(self.digit),
            SUM.name: asdict(self.sum),
        }

    def describe(self) -> list[str]:
        """Return the two lines of a report."""
        outputs = "; ".join(
            f"{name} {_difference(each.largest_difference)}, {each.changed_answers} answers changed"
            for name, each in ((DIGIT.name, self.digit), (SUM.name, self.sum))
        )
        verdict = "passed" if self.passed else "FAILED"
        bound = f"bound {PARITY_BOUND:g}"
        if self.max_changed is not None:
            bound = f"at most {math.ceil(self.max_changed * self.pairs)} answers changed"
        return [
            f"parity with PyTorch, {self.pairs} pairs, {bound}: {verdict}",
            outputs,
        ]


def compare(found: Outputs, expected: Outputs) -> ParityResult:
    """Compare a model's outputs with PyTorch's for the same pairs.

    Args:
        found: What the model answered; each array float32 (pairs, classes).
        expected: What PyTorch answered, in the same shapes.
    """
    digit, total = (_compare_output(*pair) for pair in zip(found, expected, strict=True))
    return ParityResult(len(expected.digit), digit, total)


def check_parity(adder: EdgeAdder, vectors: Mapping[str, NDArray[Any]]) -> ParityResult:
    """Compare the answers on this device with PyTorch's stored ones.

    Args:
        adder: The model.
        vectors: What `load_vectors` returned.
    """
    pairs = len(vectors[NUMBER.name])
    size = adder.batch or pairs
    whole = -(-pairs // size) * size  # a fixed batch is filled up with pairs from the start
    images = np.resize(vectors[IMAGE.name], (whole, *vectors[IMAGE.name].shape[1:]))
    numbers = np.resize(vectors[NUMBER.name], whole)
    runs = [
        adder.run(images[start : start + size], numbers[start : start + size])
        for start in range(0, whole, size)
    ]
    found = Outputs(*(np.concatenate(parts)[:pairs] for parts in zip(*runs, strict=True)))
    result = compare(found, Outputs(vectors[DIGIT.name], vectors[SUM.name]))
    return replace(result, max_changed=_max_changed(adder.provenance))


def _max_changed(provenance: Mapping[str, Any]) -> float | None:
    """Return the bound of a file of another precision than float32, at most `_MOST_CHANGED`."""
    if provenance.get("precision", "float32") == "float32":
        return None
    parity = provenance.get("parity")
    claimed = parity.get("max_changed") if isinstance(parity, dict) else None
    return min(float(claimed), _MOST_CHANGED) if isinstance(claimed, (int, float)) else 0.0


def load_vectors(adder: EdgeAdder) -> dict[str, NDArray[Any]] | None:
    """Read PyTorch's stored answers from ``NAME.parity.npz`` beside ``NAME.onnx``.

    Returns:
        Arrays ``image``, ``number``, ``digit`` and ``sum`` as in the contract; None where no file
        lies there.

    Raises:
        InputError: The file is damaged, or belongs to other weights than the model's.
        FileAccessError: The file cannot be read.
    """
    if adder.model == "default":
        return bundled_vectors()
    path = Path(f"{adder.model.removesuffix('.onnx')}.parity.npz")
    if adder.model == "bytes" or not path.is_file():
        return None
    data = read_file(path, limit=MAX_VECTOR_BYTES, what="parity vectors")
    try:
        vectors, weights_sha256 = _parse_vectors(data)
    except Exception as error:  # numpy and zipfile raise nearly anything on broken files
        raise InputError(f"{path} holds no parity vectors: {one_line(error)}") from error
    if weights_sha256 != adder.provenance.get("weights_sha256"):
        raise InputError(f"{path} belongs to other weights than {adder.model}: export both again")
    return vectors


def bundled_vectors() -> dict[str, NDArray[Any]]:
    """Return the stored answers of the bundled model; its images serve for any model."""
    return _parse_vectors(read_bundled(BUNDLED_MODEL.with_suffix(".parity.npz")))[0]


def vectors_as_json(stored: bytes) -> bytes:
    """Return an ``.npz`` file of parity vectors as JSON, for programs without numpy.

    Each tensor has its dtype, its shape and its values in one flat list, the last axis first to
    change; a float32 has the fewest digits that name it.

    Args:
        stored: What `export.to_onnx.parity_vectors` made.

    Raises:
        Exception: Nearly any, as numpy and zipfile do; the file holds no parity vectors.
    """
    vectors, weights_sha256 = _parse_vectors(stored)
    content = {
        "weights_sha256": weights_sha256,
        "pairs": len(vectors[NUMBER.name]),
        "bound": PARITY_BOUND,
        "compared_above": COMPARED_ABOVE,
        "contract": CONTRACT.to_dict(),
        **{
            name: {"dtype": str(values.dtype), "shape": values.shape, "values": _flat(values)}
            for name, values in vectors.items()
        },
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _flat(values: NDArray[Any]) -> list[int] | list[float]:
    """Return all values in one list; each float32 as the shortest decimal that rounds to it."""
    if values.dtype.kind != "f":
        return [int(value) for value in values.ravel()]
    return [float(str(value)) for value in values.ravel()]


def _parse_vectors(data: bytes) -> tuple[dict[str, NDArray[Any]], str]:
    """Return the arrays of an ``.npz`` file and the SHA-256 of the weights that answered."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        vectors = dict(stored)
    weights_sha256 = str(vectors.pop("weights_sha256"))
    count = len(vectors[NUMBER.name])
    for spec in (IMAGE, NUMBER, DIGIT, SUM):
        found = vectors[spec.name]
        if (found.dtype, found.shape) != (spec.dtype, (count, *spec.shape[1:])) or not count:
            raise ValueError(f"{spec.name} is {found.dtype} {found.shape}")
    return {spec.name: vectors[spec.name] for spec in (IMAGE, NUMBER, DIGIT, SUM)}, weights_sha256


def _compare_output(found: NDArray[np.float32], expected: NDArray[np.float32]) -> OutputParity:
    changed = int((expected.argmax(1) != found.argmax(1)).sum())
    if not np.isfinite(found).all():
        return OutputParity(None, changed)
    compared = (expected > COMPARED_ABOVE) | (found > COMPARED_ABOVE)
    return OutputParity(float(np.abs(expected - found)[compared].max(initial=0)), changed)


def _difference(largest: float | None) -> str:
    return "is not finite" if largest is None else f"differs by at most {largest:.1e}"
