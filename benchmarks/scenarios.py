"""MLPerf-style scenarios, driven by MLCommons' own LoadGen: python -m benchmarks.scenarios.

LoadGen issues the queries, keeps the clock and decides what is valid; `EdgeAdder.run` answers. The
scenarios are those of MLPerf Inference, the model and the data are not: these are not MLPerf
results. A sample is one of the synthetic digits of the stored parity vectors.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_adder import EdgeAdder
from edge_adder.batching import BATCH_SIZE
from edge_adder.bench.timing import time_interleaved
from edge_adder.contract import IMAGE, NUMBER
from edge_adder.parity import bundled_vectors

SERVER_BOUND_MS = 10.0
"""Largest p99 in the server scenario: a few time slices of a shared machine."""

MIN_RATE = 100.0
"""Queries per second below which the search for the server's rate gives up."""

MULTI_STREAM_SAMPLES = 8
"""Samples in each multi-stream query, as in MLPerf Inference."""


def run_scenarios(adder: EdgeAdder, seconds: float) -> dict[str, dict[str, Any]] | None:
    """Run the four scenarios.

    Args:
        adder: The model, which must take any batch size.
        seconds: Shortest duration of each run.

    Returns:
        By scenario, LoadGen's verdict (``valid``) and its figures: latencies in microseconds, rates
        in samples per second. None where LoadGen is not installed.
    """
    try:
        import mlperf_loadgen  # noqa: F401, PLC0415  of the extra `bench`
    except ImportError:
        return None
    target = _Target(adder)
    return {
        "SingleStream": _single_stream(target, seconds),
        "MultiStream": _multi_stream(target, seconds),
        "Server": _server(target, seconds),
        "Offline": _offline(target, seconds),
    }


def _single_stream(target: _Target, seconds: float) -> dict[str, Any]:
    expected = target.shortest_ns(1)
    found = target.run("SingleStream", seconds, single_stream_expected_latency_ns=expected)
    return {
        "valid": _is_valid(found),
        "queries": found["result_query_count"],
        "p90_us": found["result_90.00_percentile_latency_ns"] / 1000,
        "early_stopping_p90_us": found["early_stopping_latency_ss"] / 1000,
    }


def _multi_stream(target: _Target, seconds: float) -> dict[str, Any]:
    found = target.run(
        "MultiStream",
        seconds,
        multi_stream_samples_per_query=MULTI_STREAM_SAMPLES,
        multi_stream_expected_latency_ns=target.shortest_ns(MULTI_STREAM_SAMPLES),
    )
    return {
        "valid": _is_valid(found),
        "queries": found["result_query_count"],
        "samples": MULTI_STREAM_SAMPLES,
        "p99_us": found["result_99.00_percentile_per_query_latency_ns"] / 1000,
        "early_stopping_p99_us": found["early_stopping_latency_ms"] / 1000,
    }


def _server(target: _Target, seconds: float) -> dict[str, Any]:
    rate, found = target.find_server_rate(seconds)
    return {
        "valid": _is_valid(found),
        "queries": found["result_query_count"],
        "bound_ms": SERVER_BOUND_MS,
        "samples_per_second": rate,
        "p99_us": found["result_99.00_percentile_latency_ns"] / 1000,
    }


def _offline(target: _Target, seconds: float) -> dict[str, Any]:
    expected = 1e9 / target.shortest_ns(1)
    while True:  # LoadGen needs to know the rate before it has measured it
        found = target.run("Offline", seconds, offline_expected_qps=expected)
        if found["result_min_duration_met"]:
            break
        expected = 1.5 * found["result_samples_per_second"]
    return {
        "valid": _is_valid(found),
        "batch": BATCH_SIZE,
        "samples_per_second": found["result_samples_per_second"],
    }


class _Target:
    """The system under test, as LoadGen calls it."""

    def __init__(self, adder: EdgeAdder) -> None:
        vectors = bundled_vectors()
        self.adder, self.images, self.numbers = adder, vectors[IMAGE.name], vectors[NUMBER.name]

    def shortest_ns(self, size: int) -> int:
        """Return the shortest time of a batch; LoadGen makes enough queries for it beforehand."""
        call = partial(self.adder.run, self.images[:size], self.numbers[:size])
        return int(time_interleaved({"run": call}, 200, warmup=20)["run"].counted.min())

    def run(self, scenario: str, seconds: float, **settings: object) -> dict[str, Any]:
        """Run a scenario once.

        Args:
            scenario: Name of LoadGen's scenario.
            seconds: Shortest duration.
            settings: Further fields of LoadGen's `TestSettings`.

        Returns:
            LoadGen's results by the names in its log.
        """
        import mlperf_loadgen as lg  # noqa: PLC0415  of the extra `bench`

        wanted = lg.TestSettings()
        wanted.scenario = getattr(lg.TestScenario, scenario)
        wanted.mode = lg.TestMode.PerformanceOnly
        wanted.min_duration_ms = int(1000 * seconds)
        wanted.min_query_count = 100
        for name, value in settings.items():
            setattr(wanted, name, value)
        failures: list[Exception] = []
        with tempfile.TemporaryDirectory() as folder:
            log = lg.LogSettings()
            log.enable_trace = False
            output = lg.LogOutputSettings()
            output.outdir, output.copy_summary_to_stdout = folder, False
            log.log_output = output
            count = len(self.numbers)
            sut = lg.ConstructSUT(partial(self._answer, lg, failures), lambda: None)
            qsl = lg.ConstructQSL(count, count, lambda _: None, lambda _: None)
            lg.StartTestWithLogSettings(sut, qsl, wanted, log, "")
            lg.DestroyQSL(qsl)
            lg.DestroySUT(sut)
            if failures:
                raise failures[0]
            return dict(_read_log(Path(folder) / "mlperf_log_detail.txt"))

    def _answer(self, lg: Any, failures: list[Exception], samples: list[Any]) -> None:
        """Answer the samples of a query; LoadGen calls it in a thread that cannot raise."""
        for start in range(0, len(samples), BATCH_SIZE):
            part = samples[start : start + BATCH_SIZE]
            indices = [sample.index for sample in part]
            try:
                self.adder.run(self.images[indices], self.numbers[indices])
            except Exception as error:  # noqa: BLE001  raised by `run`
                failures.append(error)
            lg.QuerySamplesComplete([lg.QuerySampleResponse(s.id, 0, 0) for s in part])

    def find_server_rate(self, seconds: float) -> tuple[float, dict[str, Any]]:
        """Search the highest rate that LoadGen calls valid, within 5 %.

        The rate is doubled or halved until one is valid and one is not, then bisected.

        Returns:
            The rate in samples per second, 0 where not even `MIN_RATE` is valid; and LoadGen's
            results at that rate, or else the last ones.
        """
        valid, invalid = 0.0, float("inf")
        best: dict[str, Any] = {}
        rate = 0.25e9 / self.shortest_ns(1)
        while True:
            found = self.run(
                "Server",
                seconds,
                server_target_qps=rate,
                server_target_latency_ns=int(SERVER_BOUND_MS * 1e6),
                server_target_latency_percentile=0.99,
            )
            if _is_valid(found):
                valid, best = rate, found
            else:
                invalid = rate
            if valid == 0.0:
                rate = invalid / 2
                if rate < MIN_RATE:
                    return 0.0, found
            elif invalid <= 1.05 * valid:
                return valid, best
            else:
                rate = min(2 * valid, (valid + invalid) / 2)


def _is_valid(results: dict[str, Any]) -> bool:
    return bool(results["result_validity"] == "VALID")


def _read_log(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the entries of LoadGen's detailed log."""
    for line in path.read_text().splitlines():
        entry = json.loads(line.partition(":::MLLOG ")[2])
        yield entry["key"], entry["value"]


def main(
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Shortest duration of each run.")] = 5.0,
) -> None:
    """Print LoadGen's figures of the four scenarios."""
    found = run_scenarios(EdgeAdder(model), seconds)
    if found is None:
        print("LoadGen is not installed: pip install -e '.[bench]'")
    for name, figures in (found or {}).items():
        shown = ", ".join(
            f"{key} {value:,.1f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in figures.items()
        )
        print(f"{name}: {shown}")


if __name__ == "__main__":
    typer.run(main)
