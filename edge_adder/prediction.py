"""What the network answers: `Outputs`, a `Prediction` for one image, `Predictions` for many."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGITS, SUMS
from edge_adder.errors import EdgeAdderError, ModelError
from edge_adder.limits import MIN_CONFIDENCE
from edge_adder.preprocessing.prepare import UNCHANGED, Preparation

_ROUNDING = 1e-4
"""How far above 0 a log-probability may be: rounding of float32 leaves about 1e-7."""

NO_ANSWER = -1
"""Digit and sum of an image in `Predictions` that has an error instead."""


class Outputs(NamedTuple):
    """The network's outputs.

    Attributes:
        digit: float32 (batch, 10); log-probability of each digit 0-9.
        sum: float32 (batch, 19); log-probability of each sum 0-18.
    """

    digit: NDArray[np.float32]
    sum: NDArray[np.float32]


@final
class Prediction:
    """The answer for one image and one number: an immutable value, comparable and hashable.

    ``dict(prediction)`` is `to_dict`, so that web frameworks can return it as it is. A frozen
    dataclass would be the same and costs 0.8 µs more for each answer, a tenth of the network.

    The constructor takes the properties and ``outputs``, float32 (29,) as bytes: the
    log-probabilities of all digits, then of all sums.
    """

    __slots__ = (
        "_digit",
        "_digit_probability",
        "_number",
        "_outputs",
        "_preparation",
        "_provider",
        "_requested_provider",
        "_sum",
        "_sum_probability",
    )

    def __init__(  # noqa: PLR0917  a keyword for each would take as long as all of it
        self,
        digit: int,
        sum: int,  # noqa: A002  the contract's name
        digit_probability: float,
        sum_probability: float,
        number: int,
        provider: str,
        requested_provider: str,
        preparation: Preparation,
        outputs: bytes,
    ) -> None:
        self._digit = digit
        self._sum = sum
        self._digit_probability = digit_probability
        self._sum_probability = sum_probability
        self._number = number
        self._provider = provider
        self._requested_provider = requested_provider
        self._preparation = preparation
        self._outputs = outputs  # a copy: a view would keep its whole batch alive

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prediction):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self)
        return f"Prediction({values})"

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.to_dict().items())

    @property
    def digit(self) -> int:
        """The most probable digit, 0 to 9."""
        return self._digit

    @property
    def sum(self) -> int:
        """The most probable sum, 0 to 18."""
        return self._sum

    @property
    def digit_probability(self) -> float:
        """Probability of the digit, 0 to 1."""
        return self._digit_probability

    @property
    def sum_probability(self) -> float:
        """Probability of the sum, 0 to 1."""
        return self._sum_probability

    @property
    def number(self) -> int:
        """The number that was added, 0 to 9."""
        return self._number

    @property
    def provider(self) -> str:
        """The execution provider that computed the answer, ``cpu`` or ``cuda``."""
        return self._provider

    @property
    def requested_provider(self) -> str:
        """The execution provider that was requested, which may be ``auto``."""
        return self._requested_provider

    @property
    def preparation(self) -> Preparation:
        """How the image was prepared for the network."""
        return self._preparation

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
        return np.frombuffer(self._outputs, np.float32)[:DIGITS]

    @property
    def sum_log_probabilities(self) -> NDArray[np.float32]:
        """Log-probability of each sum: float32 (19,), read-only."""
        return np.frombuffer(self._outputs, np.float32)[DIGITS:]

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


_values = operator.attrgetter(*Prediction.__slots__)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The answers for many images, as columns: an array for each property of a `Prediction`.

    Attributes:
        number: int64 (count,); the numbers that were added, 0 to 9. Where an error says that a
            number is none of these, 0.
        digit: int64 (count,); the most probable digits, or `NO_ANSWER`.
        sum: int64 (count,); the most probable sums, or `NO_ANSWER`.
        digit_probability: float64 (count,); 0 to 1, or NaN without an answer.
        sum_probability: float64 (count,); 0 to 1, or NaN without an answer.
        preparations: How images were prepared, by index; the others were in MNIST's format.
        errors: Why an image has no answer, by index.
        provider: The execution provider that computed the answers.
        requested_provider: The one that was requested.
    """

    number: NDArray[np.int64]
    digit: NDArray[np.int64]
    sum: NDArray[np.int64]
    digit_probability: NDArray[np.float64]
    sum_probability: NDArray[np.float64]
    preparations: Mapping[int, Preparation]
    errors: Mapping[int, EdgeAdderError]
    provider: str
    requested_provider: str

    def __len__(self) -> int:
        return len(self.digit)

    @property
    def probability(self) -> NDArray[np.float64]:
        """The smaller of both probabilities, float64 (count,); NaN without an answer."""
        return np.minimum(self.digit_probability, self.sum_probability)

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """Whether `probability` is below `MIN_CONFIDENCE`, bool (count,); not without an answer."""
        return self.probability < MIN_CONFIDENCE


class Columns(NamedTuple):
    """The arrays of `Predictions`, which describes them, for a batch."""

    number: NDArray[np.int64]
    digit: NDArray[np.int64]
    sum: NDArray[np.int64]
    digit_probability: NDArray[np.float64]
    sum_probability: NDArray[np.float64]


def make_prediction(
    number: int,
    outputs: NDArray[np.float32],
    provider: str,
    requested_provider: str,
    preparation: Preparation = UNCHANGED,
) -> Prediction:
    """Return the answer for an image.

    Args:
        number: The number that was added, 0 to 9.
        outputs: float32 (29,); the log-probabilities of all digits, then of all sums.
        provider: The execution provider that computed it.
        requested_provider: The one that was requested.
        preparation: How the image was prepared.

    Raises:
        ModelError: The best answers are not log-probabilities, but NaN, infinite or above 0.
    """
    values = outputs.tolist()  # so few that Python is faster than numpy
    digits, sums = values[:DIGITS], values[DIGITS:]
    digit, total = max(digits), max(sums)
    for value in (digit, total):
        if not -math.inf < value <= _ROUNDING:  # nor NaN
            raise _not_a_log_probability(value)
    return Prediction(
        digits.index(digit),
        sums.index(total),
        _probability(digit),
        _probability(total),
        number,
        provider,
        requested_provider,
        preparation,
        outputs.tobytes(),
    )


def make_predictions(
    numbers: Sequence[int],
    outputs: Outputs,
    provider: str,
    requested_provider: str,
    preparations: Iterable[Preparation],
) -> Iterator[Prediction]:
    """Return `make_prediction` of each row of a batch; numpy does its share for all at once.

    Args:
        numbers: The numbers that were added.
        outputs: What the network answered.
        provider: The execution provider that computed it.
        requested_provider: The one that was requested.
        preparations: One for each row, or more.

    Raises:
        ModelError: As `make_prediction`, for any row; before the first answer.
    """
    (digit, digit_probability), (total, sum_probability) = map(_most_probable, outputs)
    return map(
        Prediction,
        digit.tolist(),
        total.tolist(),
        digit_probability.tolist(),
        sum_probability.tolist(),
        numbers,
        itertools.repeat(provider),
        itertools.repeat(requested_provider),
        preparations,
        _rows(np.concatenate(outputs, axis=1)),
    )


def make_columns(
    numbers: NDArray[np.int64], outputs: Outputs, without_answer: Collection[int]
) -> Columns:
    """Return the columns of a batch.

    Args:
        numbers: int64 (batch,); the numbers that were added.
        outputs: What the network answered.
        without_answer: Indices of the images with an error, for which it answered nothing useful.

    Raises:
        ModelError: As `make_prediction`, for any row.
    """
    (digit, digit_probability), (total, sum_probability) = map(_most_probable, outputs)
    if without_answer:
        rows = list(without_answer)
        digit[rows] = total[rows] = NO_ANSWER
        digit_probability[rows] = sum_probability[rows] = np.nan
    return Columns(numbers, digit, total, digit_probability, sum_probability)


def join(columns: Sequence[Columns]) -> Columns:
    """Return the columns of several batches, at least one, as those of all their images."""
    return Columns(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def _most_probable(
    log_probabilities: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the column of the most probable answer in each row, and its probability."""
    answers = log_probabilities.argmax(1)
    values = log_probabilities[np.arange(len(answers)), answers]
    check_answers(values)
    return answers, np.exp(np.minimum(values, 0), dtype=np.float64)


def _probability(log_probability: float) -> float:
    return min(1.0, math.exp(log_probability))  # a log-softmax may round to just above 0


def check_answers(log_probabilities: NDArray[np.float32]) -> None:
    """Refuse the answers of a model that are not log-probabilities.

    Args:
        log_probabilities: Those of the most probable answers, any shape; NaN propagates to them.

    Raises:
        ModelError: A value is NaN, infinite, or above 0 by more than rounding.
    """
    valid = (log_probabilities > -np.inf) & (log_probabilities <= _ROUNDING)
    if not valid.all():
        raise _not_a_log_probability(float(log_probabilities[~valid][0]))


def _not_a_log_probability(value: float) -> ModelError:
    return ModelError(
        f"the model answered {value:g}, expected log-probabilities, finite and at most 0: it is "
        "damaged, or does not end in log_softmax"
    )


def _rows(array: NDArray[np.float32]) -> list[bytes]:
    """Return the bytes of each row."""
    rows: list[bytes] = array.view(f"V{array.itemsize * array.shape[1]}").ravel().tolist()
    return rows


def _top(log_probabilities: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    best = np.argsort(-log_probabilities, kind="stable")[:count]
    return [(int(index), _probability(log_probabilities[index])) for index in best]


NO_COLUMNS = make_columns(
    np.empty(0, np.int64),
    Outputs(np.empty((0, DIGITS), np.float32), np.empty((0, SUMS), np.float32)),
    (),
)
"""The columns of no images."""
