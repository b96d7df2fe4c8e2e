"""LoadGen drives the scenarios; the server's rate is searched."""

from __future__ import annotations

import sys

import pytest

from benchmarks import scenarios
from edge_adder import EdgeAdder


def test_loadgen_measures_four_scenarios(adder: EdgeAdder) -> None:
    pytest.importorskip("mlperf_loadgen", reason="needs the extra `bench`")
    found = scenarios.run_scenarios(adder, 0.05)
    assert set(found) == {"SingleStream", "MultiStream", "Server", "Offline"}
    assert found["SingleStream"]["queries"] >= 100
    assert found["SingleStream"]["early_stopping_p90_us"] > 1
    assert found["MultiStream"]["p99_us"] > found["SingleStream"]["p90_us"] / 4
    assert found["Offline"]["valid"]
    assert found["Offline"]["samples_per_second"] > 100
    assert found["Server"]["samples_per_second"] < found["Offline"]["samples_per_second"] * 10


def test_a_failure_in_loadgens_thread_is_raised(
    adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlperf_loadgen", reason="needs the extra `bench`")
    target = scenarios._Target(adder)
    monkeypatch.setattr(target, "images", target.images[:, 0])
    with pytest.raises(Exception, match="image"):
        target.run("SingleStream", 0.01, single_stream_expected_latency_ns=1_000_000)


@pytest.mark.parametrize("limit", [50.0, 3000.0, 100_000.0])
def test_the_server_rate_is_the_highest_valid_one(
    adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch, limit: float
) -> None:
    tried: list[float] = []

    def fake(_: object, __: str, ___: float, **settings: float) -> dict[str, str]:
        tried.append(settings["server_target_qps"])
        return {"result_validity": "VALID" if tried[-1] <= limit else "INVALID"}

    monkeypatch.setattr(scenarios._Target, "run", fake)
    rate, _ = scenarios._Target(adder).find_server_rate(1)
    assert len(tried) < 30
    if limit < scenarios.MIN_RATE:
        assert rate == 0
    else:
        assert limit / 1.05 <= rate <= limit


def test_without_loadgen_there_are_no_figures(
    adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    assert scenarios.run_scenarios(adder, 0.1) is None
