"""Two models on the same pictures: what changes if one takes the other's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_adder import parity
from edge_adder.bench.timing import ratio, time_interleaved
from edge_adder.checks import describe_distribution
from edge_adder.contract import DIGIT, DIGITS, SUM
from edge_adder.errors import ModelError
from edge_adder.evaluation.report import percent
from edge_adder.prediction import Outputs
from edge_adder.predictor import EdgeAdder

BATCH = 64
"""Images in each run of the throughput; a model with a fixed batch takes its own."""

CALLS, WARMUP = 2000, 200
"""Timed single images of each model, and those before them that are not counted."""

BATCH_CALLS, BATCH_WARMUP = 200, 20
"""The same for whole batches."""


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One of the two models.

    Attributes:
        model: Its name.
        sha256: SHA-256 of the file.
        precision: Data type of most weights, counted from the file.
        size_bytes: Size of the file.
        digit: Accuracy of the digit, a fraction; None without labels.
        sum: Accuracy of the sum, a fraction; None without labels.
        p50_us: Median time of a run of one image, or of one fixed batch, in microseconds.
        images_per_second: Throughput in batches of `BATCH`, on one thread.
    """

    model: str
    sha256: str
    precision: str | None
    size_bytes: int
    digit: float | None
    sum: float | None
    p50_us: float
    images_per_second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changes if B takes A's place.

    Attributes:
        data: What the images are.
        pairs: Pairs of image and number; each image with all ten.
        a: The model that is there.
        b: The one that would take its place.
        changed_answers: Pairs whose digit or sum is another.
        largest_difference: Largest difference of a log-probability, in nats, as in
            `edge_adder.parity.OutputParity`.
        latency_ratio: How many times as long a run of B takes, measured in turn with A's.
    """

    data: str
    pairs: int
    a: ModelFigures
    b: ModelFigures
    changed_answers: int
    largest_difference: float
    latency_ratio: float

    @property
    def accuracy_loss(self) -> float | None:
        """How much of the accuracy B loses, the worse of digit and sum; None without labels."""
        if self.a.digit is None or self.b.digit is None or self.a.sum is None or self.b.sum is None:
            return None
        return max(self.a.digit - self.b.digit, self.a.sum - self.b.sum)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        return asdict(self) | {"accuracy_loss": self.accuracy_loss}


def compare(
    a: EdgeAdder,
    b: EdgeAdder,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    *,
    data: str,
    calls: int = CALLS,
) -> Comparison:
    """Run both models on every image with all ten numbers, and time them in turn.

    Args:
        a: The model that is there.
        b: The one that would take its place.
        images: uint8 (count, 1, 28, 28), prepared.
        labels: int64 (count,); 0 to 9; None if they are not known.
        data: What the images are, for the report.
        calls: Timed runs of each model.

    Raises:
        ModelError: A model's answers are not log-probabilities.
    """
    pairs = np.repeat(images, DIGITS, axis=0)
    numbers = np.tile(np.arange(DIGITS, dtype=np.int64), len(images))
    outputs = [_run(adder, pairs, numbers) for adder in (a, b)]
    truth = None if labels is None else np.repeat(labels, DIGITS)
    ones = {name: _run_of(adder, images, 1) for name, adder in (("a", a), ("b", b))}
    times = time_interleaved(ones, calls, WARMUP)
    batches = {name: _run_of(adder, images, BATCH) for name, adder in (("a", a), ("b", b))}
    rates = time_interleaved(batches, max(1, calls * BATCH_CALLS // CALLS), BATCH_WARMUP)
    figures = [
        ModelFigures(
            model=adder.model,
            sha256=adder.model_sha256,
            precision=adder.describe()["measured"]["precision"],
            size_bytes=len(adder.model_bytes),
            digit=_share(found.digit.argmax(1), truth),
            sum=_share(found.sum.argmax(1), None if truth is None else truth + numbers),
            p50_us=float(np.median(times[name].counted)) / 1000,
            images_per_second=(adder.batch or BATCH)
            / (float(np.median(rates[name].counted)) / 1e9),
        )
        for name, adder, found in zip("ab", (a, b), outputs, strict=True)
    ]
    result = parity.compare(outputs[1], outputs[0])
    differences = [each.largest_difference or 0.0 for each in (result.digit, result.sum)]
    changed = [one.argmax(1) != other.argmax(1) for one, other in zip(*outputs, strict=True)]
    return Comparison(
        data=data,
        pairs=len(pairs),
        a=figures[0],
        b=figures[1],
        changed_answers=int((changed[0] | changed[1]).sum()),
        largest_difference=max(differences),
        latency_ratio=ratio(times["b"], times["a"]),
    )


def _run(adder: EdgeAdder, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
    """Run all pairs; a fixed batch is filled up with pairs from the start of the last one."""
    size = adder.batch or BATCH
    runs = []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        count = len(numbers[part])
        whole = count if adder.batch is None else size
        batch = np.resize(images[part], (whole, *images.shape[1:]))
        digit, total = adder.run(batch, np.resize(numbers[part], whole))
        runs.append((digit[:count], total[:count]))
    outputs = Outputs(*(np.concatenate(parts) for parts in zip(*runs, strict=True)))
    for spec, output in zip((DIGIT, SUM), outputs, strict=True):
        wrong = describe_distribution(output)
        if wrong:
            raise ModelError(f"{adder.model} breaks the contract: {spec.name} {wrong}")
    return outputs


def _run_of(adder: EdgeAdder, images: NDArray[np.uint8], size: int) -> Callable[[], object]:
    """Return a call that runs a batch."""
    size = adder.batch or size
    batch = np.resize(images, (size, *images.shape[1:]))
    numbers = np.arange(size, dtype=np.int64) % DIGITS
    return lambda: adder.run(batch, numbers)


def _share(answers: NDArray[np.int64], truth: NDArray[np.int64] | None) -> float | None:
    return None if truth is None else float((answers == truth).mean())


def table(result: Comparison) -> str:
    """Return a comparison as a table."""
    rows: list[tuple[str, str, str]] = [
        ("", "A", "B"),
        ("model", result.a.model, result.b.model),
        ("precision", str(result.a.precision), str(result.b.precision)),
        ("size", f"{result.a.size_bytes:,} bytes", f"{result.b.size_bytes:,} bytes"),
    ]
    for name in ("digit", "sum"):
        rates = [getattr(each, name) for each in (result.a, result.b)]
        shown = ["-" if rate is None else percent(rate) for rate in rates]
        rows.append((f"{name} accuracy", shown[0], shown[1]))
    rows += [
        ("p50 of a run", f"{result.a.p50_us:.1f} µs", f"{result.b.p50_us:.1f} µs"),
        (
            f"images/s, batch {BATCH}",
            f"{result.a.images_per_second:,.0f}",
            f"{result.b.images_per_second:,.0f}",
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{name:{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}".rstrip() for name, a, b in rows
    ]
    share = percent(result.changed_answers / result.pairs)
    return "\n".join(
        [
            *lines,
            "",
            f"{result.changed_answers:,} of {result.pairs:,} answers change ({share}); "
            f"log-probabilities differ by at most {result.largest_difference:.2g}",
            f"a run of B takes {result.latency_ratio:.2f} times as long as one of A",
            f"images: {result.data}",
        ]
    )
