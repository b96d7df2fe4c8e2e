"""How calls are timed, and what is computed from their times.

- Each call is timed by itself with `time.perf_counter_ns`. Nothing is removed, and the garbage
  collector runs as it always does.
- All kinds of call take part in each round, `BLOCK` calls of one kind after the other, so that a
  slow spell affects all of them alike.
- A ratio of two kinds of call is the median, over all rounds, of the ratio of their medians in one
  round. A clock speed that changes from second to second changes both.
- Warmup calls are not counted: those before the first round, and the first `ROUND_WARMUP` of each
  kind in each round, when the CPU caches hold other data. The very first of these is kept as
  ``first``: the latency of a device that predicts only now and then.
- A percentile needs `MIN_TAIL_SAMPLES` calls beyond it; with fewer it is None.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder.predictor import BUNDLED_MODEL

PERCENTILES = {f"p{value:g}": value for value in (50.0, 90.0, 99.0, 99.9)}
"""Percentiles by name, such as ``p99.9``."""

MIN_TAIL_SAMPLES = 10
"""Calls that must lie beyond a percentile. With fewer, chance decides it rather than the device."""

BLOCK = 100
"""Counted calls of each kind in a round."""

ROUND_WARMUP = 5
"""Calls of each kind at the start of each round that are not counted."""

IDENTITY_MODEL = BUNDLED_MODEL.with_name("identity.onnx")
"""A graph that returns its inputs, with the names, dtypes and shapes of the contract. A call of it
takes what Python and onnxruntime need before a network computes anything."""


class Times(NamedTuple):
    """Measured times of one kind of call, in nanoseconds, in the order of the calls.

    Attributes:
        counted: int64 (calls,).
        first: int64 (rounds,); the first call of each round, which is not counted.
    """

    counted: NDArray[np.int64]
    first: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CallLatency:
    """Latency of one kind of call, in microseconds.

    Attributes:
        count: Number of counted calls.
        percentiles: Value of each percentile, by its name; see `percentiles`.
        max: Longest counted call.
        first: Median of the first calls of the rounds, which are not counted.
        ratio: Ratio to the reference; see `ratio`.
    """

    count: int
    percentiles: dict[str, float | None]
    max: float
    first: float
    ratio: float

    @classmethod
    def from_times(cls, times: Times, reference: Times) -> CallLatency:
        """Summarise measured times.

        Args:
            times: Times of this kind of call.
            reference: Times of the kind to compare with, from the same rounds.
        """
        return cls(
            count=len(times.counted),
            percentiles=percentiles(times),
            max=float(times.counted.max()) / 1000,
            first=float(np.median(times.first)) / 1000,
            ratio=ratio(times, reference),
        )

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> CallLatency:
        """Return the latency that `to_dict` was called on."""
        others = {key: stored[key] for key in ("count", "max", "first", "ratio")}
        return cls(percentiles={name: stored[name] for name in PERCENTILES}, **others)

    def to_dict(self) -> dict[str, Any]:
        """Return the latency in JSON's types, with a key for each percentile."""
        return {
            "count": self.count,
            **self.percentiles,
            "max": self.max,
            "first": self.first,
            "ratio": self.ratio,
        }


def time_interleaved(
    calls: Mapping[str, Callable[[], object]], count: int, warmup: int
) -> dict[str, Times]:
    """Time each kind of call `count` times, in rounds of `BLOCK` calls of each kind.

    Args:
        calls: What to call, by name.
        count: Counted calls of each kind; `ROUND_WARMUP` uncounted ones in each round come on top.
        warmup: Calls of each kind before the first round.

    Returns:
        Times by name.
    """
    for call in calls.values():
        for _ in range(warmup):
            call()
    rounds = range(0, count, BLOCK)
    times = {
        name: Times(np.empty(count, np.int64), np.empty(len(rounds), np.int64)) for name in calls
    }
    clock = time.perf_counter_ns
    for number, start in enumerate(rounds):
        for name, call in calls.items():
            taken = times[name].counted
            began = clock()
            call()
            times[name].first[number] = clock() - began
            for _ in range(ROUND_WARMUP - 1):
                call()
            for index in range(start, min(start + BLOCK, count)):
                began = clock()
                call()
                taken[index] = clock() - began
    return times


def percentiles(times: Times) -> dict[str, Any]:
    """Return the percentiles of the counted calls, in microseconds.

    A percentile is the measured value that this share of the calls does not exceed, not an average
    of two.

    Returns:
        ``p50``, ``p90``, ``p99`` and ``p99.9``; None where fewer than `MIN_TAIL_SAMPLES` calls lie
        beyond the percentile.
    """
    ordered = np.sort(times.counted)
    return {
        name: float(ordered[rank(len(ordered), percentile)]) / 1000
        if calls_beyond(len(ordered), percentile) >= MIN_TAIL_SAMPLES
        else None
        for name, percentile in PERCENTILES.items()
    }


def rank(count: int, percentile: float) -> int:
    """Return the index of a percentile among `count` sorted calls."""
    return -(-count * round(percentile * 10) // 1000) - 1  # in integers, as 99.9 % is inexact


def calls_beyond(count: int, percentile: float) -> int:
    """Return how many of `count` calls lie beyond a percentile."""
    return count - 1 - rank(count, percentile)


def ratio(times: Times, reference: Times) -> float:
    """Return how many times as long one kind of call takes as another from the same rounds.

    Returns:
        The median, over the rounds, of the ratio of both medians in a round.
    """
    ratios = [
        np.median(times.counted[start : start + BLOCK])
        / np.median(reference.counted[start : start + BLOCK])
        for start in range(0, len(times.counted), BLOCK)
    ]
    return float(np.median(ratios))


def clock_overhead() -> float:
    """Return what two readings of the clock add to a measured time: the median, in microseconds."""
    clock = time.perf_counter_ns
    times = [-clock() + clock() for _ in range(1000)]
    return float(np.median(times)) / 1000
