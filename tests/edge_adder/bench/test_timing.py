"""Timing in rounds, percentiles and ratios, on calls and times that are known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edge_adder.bench.timing import (
    BLOCK,
    IDENTITY_MODEL,
    ROUND_WARMUP,
    CallLatency,
    Times,
    percentiles,
    ratio,
    time_interleaved,
)
from edge_adder.session import open_session


def times_of(*counted: int) -> Times:
    """A block for each value."""
    return Times(np.repeat(counted, BLOCK), np.zeros(0))


class TestPercentiles:
    def test_they_are_measured_values_in_microseconds(self) -> None:
        counted = np.random.default_rng(0).permutation(np.arange(1, 100_001)) * 1000
        times = Times(counted, np.array([9000, 7000, 8000]))
        found = CallLatency.from_times(times, times)
        figures = found.to_dict()
        names = ("count", "p50", "p90", "p99", "p99.9", "max", "first", "ratio")
        assert tuple(figures) == names
        values = (100_000, 50_000, 90_000, 99_000, 99_900, 100_000, 8, 1)
        assert tuple(figures.values()) == values
        assert CallLatency.from_dict(figures) == found

    def test_ten_calls_must_lie_beyond(self) -> None:
        for name, calls in (("p50", 20), ("p90", 100), ("p99", 1000), ("p99.9", 10_000)):
            enough, too_few = (Times(np.arange(count), np.ones(1)) for count in (calls, calls - 1))
            assert percentiles(enough)[name] is not None
            assert percentiles(too_few)[name] is None

    def test_no_outlier_is_removed(self) -> None:
        counted = np.full(1000, 1000)
        counted[5] = 10**9
        times = Times(counted, counted[:1])
        assert CallLatency.from_times(times, times).max == 10**6


class TestRounds:
    def test_calls_run_in_blocks_after_the_warmup(self) -> None:
        order: list[str] = []
        calls = {name: lambda name=name: order.append(name) for name in ("a", "b")}
        times = time_interleaved(calls, count=BLOCK + 3, warmup=2)
        blocks = [
            name * size for size in (2, ROUND_WARMUP + BLOCK, ROUND_WARMUP + 3) for name in "ab"
        ]
        assert "".join(order) == "".join(blocks)
        assert {len(each.counted) for each in times.values()} == {BLOCK + 3}
        assert {len(each.first) for each in times.values()} == {2}

    def test_the_first_call_of_a_round_is_kept_but_not_counted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = calls = 0

        def slow_at_first() -> None:
            nonlocal now, calls
            now += 1000 if calls % (ROUND_WARMUP + BLOCK) else 20_000
            calls += 1

        monkeypatch.setattr(time, "perf_counter_ns", lambda: now)
        times = time_interleaved({"a": slow_at_first}, count=2 * BLOCK, warmup=0)["a"]
        assert times.first.tolist() == [20_000, 20_000]
        assert set(times.counted.tolist()) == {1000}
        assert CallLatency.from_times(times, times).first == 20

    def test_a_ratio_is_taken_within_each_round(self) -> None:
        reference = times_of(1000, 3000, 2000)  # the clock's speed changes
        assert ratio(times_of(2000, 6000, 4000), reference) == 2
        assert ratio(times_of(2000, 6000, 50_000), reference) == 2  # something else came between
        short = Times(np.array([30, 10, 20]), np.zeros(0))
        assert ratio(short, Times(np.array([10, 10, 90]), np.zeros(0))) == 2


def test_the_identity_model_returns_its_inputs() -> None:
    session = open_session(IDENTITY_MODEL.read_bytes())
    image, number = np.ones((3, 1, 28, 28), np.uint8), np.arange(3)
    digit, total = session.run(["digit", "sum"], {"image": image, "number": number})
    assert np.array_equal(digit, image)
    assert np.array_equal(total, number)
    assert [node.name for node in session.get_inputs()] == ["image", "number"]
