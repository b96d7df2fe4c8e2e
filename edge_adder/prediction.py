"""What the network answers: `Outputs` as arrays, and a `Prediction` for one image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGIT, DIGITS, SUM, SUMS
from edge_adder.preprocessing.prepare import UNCHANGED, Preparation

MIN_CONFIDENCE = 0.6
"""An answer below this probability is uncertain. `python -m benchmarks.robustness.uncertain FOLDER`
measures what the limit does to pictures without a digit, and to the digits in a folder."""


class Outputs(NamedTuple):
    """The network's outputs.

    Attributes:
        digit: float32 (batch, 10); log-probability of each digit 0-9.
        sum: float32 (batch, 19); log-probability of each sum 0-18.
    """

    digit: NDArray[np.float32]
    sum: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image and one number: immutable, comparable and small.

    Attributes:
        digit: The most probable digit, 0 to 9.
        sum: The most probable sum, 0 to 18.
        digit_probability: Probability of that digit, 0 to 1.
        sum_probability: Probability of that sum, 0 to 1.
        number: The number that was added, 0 to 9.
        provider: The execution provider that computed it, ``cpu`` or ``cuda``.
        requested_provider: The one that was requested, which may be ``auto``.
        preparation: How the image was prepared for the network.
    """

    digit: int
    sum: int
    digit_probability: float
    sum_probability: float
    number: int
    provider: str
    requested_provider: str
    preparation: Preparation
    _digit_row: bytes = field(repr=False)  # float32 (10,): a view would keep its batch alive
    _sum_row: bytes = field(repr=False)  # float32 (19,)

    @property
    def probability(self) -> float:
        """The smaller of both probabilities, 0 to 1: the confidence in the whole answer."""
        return min(self.digit_probability, self.sum_probability)

    @property
    def uncertain(self) -> bool:
        """Whether `probability` is below `MIN_CONFIDENCE`: perhaps not a digit, or illegible."""
        return self.probability < MIN_CONFIDENCE

    @property
    def digit_log_probabilities(self) -> NDArray[np.float32]:
        """Log-probability of each digit: float32 (10,), read-only."""
        return np.frombuffer(self._digit_row, np.float32)

    @property
    def sum_log_probabilities(self) -> NDArray[np.float32]:
        """Log-probability of each sum: float32 (19,), read-only."""
        return np.frombuffer(self._sum_row, np.float32)

    def top_digits(self, count: int) -> list[tuple[int, float]]:
        """Return the `count` most probable digits with their probabilities, best first."""
        return _top(self.digit_log_probabilities, count)

    def top_sums(self, count: int) -> list[tuple[int, float]]:
        """Return the `count` most probable sums with their probabilities, best first."""
        return _top(self.sum_log_probabilities, count)

    def to_dict(self, *, distributions: bool = False) -> dict[str, Any]:
        """Return the answer in JSON's types.

        Args:
            distributions: Also include ``digit_probabilities`` (10 floats) and
                ``sum_probabilities`` (19 floats).

        Returns:
            ``number``, ``digit``, ``sum``, ``digit_probability``, ``sum_probability``,
            ``uncertain``, ``provider`` (``requested`` and ``active``) and ``preparation``.
        """
        result: dict[str, Any] = {
            "number": self.number,
            "digit": self.digit,
            "sum": self.sum,
            "digit_probability": self.digit_probability,
            "sum_probability": self.sum_probability,
            "uncertain": self.uncertain,
            "provider": {"requested": self.requested_provider, "active": self.provider},
            "preparation": asdict(self.preparation),
        }
        if distributions:
            for name, row in (
                ("digit_probabilities", self.digit_log_probabilities),
                ("sum_probabilities", self.sum_log_probabilities),
            ):
                result[name] = [_probability(value) for value in row.tolist()]
        return result


def make_prediction(
    number: int,
    outputs: Outputs,
    provider: str,
    requested_provider: str,
    preparation: Preparation = UNCHANGED,
) -> Prediction:
    """Return the answer for the first image of a batch.

    Args:
        number: The number that was added, 0 to 9.
        outputs: What the network answered.
        provider: The execution provider that computed it.
        requested_provider: The one that was requested.
        preparation: How the image was prepared.
    """
    digits, sums = outputs.digit[0].tolist(), outputs.sum[0].tolist()
    digit, total = max(digits), max(sums)  # on so few values faster than numpy
    return Prediction(
        digits.index(digit),
        sums.index(total),
        _probability(digit),
        _probability(total),
        number,
        provider,
        requested_provider,
        preparation,
        outputs.digit[0].tobytes(),
        outputs.sum[0].tobytes(),
    )


def make_predictions(
    numbers: NDArray[np.int64],
    outputs: Outputs,
    provider: str,
    requested_provider: str,
    preparations: Iterable[Preparation],
) -> Iterator[Prediction]:
    """Yield `make_prediction` for each row of a batch; numpy does its share for all at once.

    Args:
        numbers: int64 (batch,); the numbers that were added.
        outputs: What the network answered.
        provider: The execution provider that computed it.
        requested_provider: The one that was requested.
        preparations: One for each row.
    """
    digit, total = (output.argmax(1) for output in outputs)
    return map(
        Prediction,
        digit.tolist(),
        total.tolist(),
        _probabilities(outputs.digit, digit),
        _probabilities(outputs.sum, total),
        numbers.tolist(),
        itertools.repeat(provider),
        itertools.repeat(requested_provider),
        preparations,
        _rows(outputs.digit, DIGITS * np.dtype(DIGIT.dtype).itemsize),
        _rows(outputs.sum, SUMS * np.dtype(SUM.dtype).itemsize),
    )


def _probability(log_probability: float) -> float:
    return min(1.0, math.exp(log_probability))  # a log-softmax may round to just above 0


def _probabilities(output: NDArray[np.float32], columns: NDArray[np.intp]) -> list[float]:
    """Return `_probability` of one column of each row."""
    chosen = output[np.arange(len(output)), columns]
    probabilities: list[float] = np.exp(np.minimum(chosen, 0), dtype=np.float64).tolist()
    return probabilities


def _rows(output: NDArray[np.float32], row_bytes: int) -> Sequence[bytes]:
    """Return the bytes of each row."""
    data = output.tobytes()
    return [data[start : start + row_bytes] for start in range(0, len(data), row_bytes)]


def _top(log_probabilities: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    best = np.argsort(-log_probabilities, kind="stable")[:count]
    return [(int(index), _probability(log_probabilities[index])) for index in best]
