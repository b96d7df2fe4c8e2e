"""MLPerf-style scenarios, driven by MLCommons' own LoadGen: python -m benchmarks.scenarios.

LoadGen issues the queries, keeps the clock and decides what is valid; `EdgeAdder.run` answers. The
scenarios are those of MLPerf Inference, the model and the data are not: these are no MLPerf
results. A sample is one of the drawn digits of the stored parity vectors.
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
"""p99 that the server scenario must keep: a few of a shared machine's time slices."""

LEAST_RATE = 100.0
"""Queries a second at which the search for the server's rate gives up."""

MULTI_STREAM_SAMPLES = 8
"""Samples of each multi-stream query, as in MLPerf Inference."""


def run_scenarios(adder: EdgeAdder, seconds: float) -> dict[str, dict[str, Any]] | None:
    """Run the four scenarios.

    Args:
        adder: The model; one with a symbolic batch.
        seconds: Least duration of each run.

    Returns:
        By scenario LoadGen's verdict (``valid``) and its figure: latencies in microseconds, rates
        in samples for each second. None where LoadGen is not installed.
    """
    try:
        import mlperf_loadgen  # noqa: F401, PLC0415  of the extra `bench`
    except ImportError:
        return None
    target = _Target(adder)
    single = target.run(
        "SingleStream", seconds, single_stream_expected_latency_ns=target.shortest_ns(1)
    )
    multi = target.run(
        "MultiStream",
        seconds,
        multi_stream_samples_per_query=MULTI_STREAM_SAMPLES,
        multi_stream_expected_latency_ns=target.shortest_ns(MULTI_STREAM_SAMPLES),
    )
    peak, server = target.find_server_rate(seconds)
    expected = 1e9 / target.shortest_ns(1)
    while True:  # LoadGen wants to know the rate before it has measured it
        offline = target.run("Offline", seconds, offline_expected_qps=expected)
        if offline["result_min_duration_met"]:
            break
        expected = 1.5 * offline["result_samples_per_second"]
    return {
        "SingleStream": {
            "valid": _valid(single),
            "queries": single["result_query_count"],
            "p90_us": single["result_90.00_percentile_latency_ns"] / 1000,
            "early_stopping_p90_us": single["early_stopping_latency_ss"] / 1000,
        },
        "MultiStream": {
            "valid": _valid(multi),
            "queries": multi["result_query_count"],
            "samples": MULTI_STREAM_SAMPLES,
            "p99_us": multi["result_99.00_percentile_per_query_latency_ns"] / 1000,
            "early_stopping_p99_us": multi["early_stopping_latency_ms"] / 1000,
        },
        "Server": {
            "valid": _valid(server),
            "queries": server["result_query_count"],
            "bound_ms": SERVER_BOUND_MS,
            "samples_per_second": peak,
            "p99_us": server["result_99.00_percentile_latency_ns"] / 1000,
        },
        "Offline": {
            "valid": _valid(offline),
            "batch": BATCH_SIZE,
            "samples_per_second": offline["result_samples_per_second"],
        },
    }


class _Target:
    """The system under test."""

    def __init__(self, adder: EdgeAdder) -> None:
        vectors = bundled_vectors()
        self.adder, self.images, self.numbers = adder, vectors[IMAGE.name], vectors[NUMBER.name]

    def shortest_ns(self, size: int) -> int:
        """Least time of a batch: LoadGen makes its queries beforehand, and must not run out."""
        call = partial(self.adder.run, self.images[:size], self.numbers[:size])
        return int(time_interleaved({"run": call}, 200, warm_up=20)["run"].counted.min())

    def run(self, scenario: str, seconds: float, **settings: object) -> dict[str, Any]:
        """LoadGen's results of one run, by the names in its log."""
        import mlperf_loadgen as lg  # noqa: PLC0415  of the extra `bench`

        wanted = lg.TestSettings()
        wanted.scenario = getattr(lg.TestScenario, scenario)
        wanted.mode = lg.TestMode.PerformanceOnly
        wanted.min_duration_ms = int(1000 * seconds)
        wanted.min_query_count = 100
        for name, value in settings.items():
            setattr(wanted, name, value)

        failures: list[Exception] = []

        def issue(samples: list[Any]) -> None:
            for start in range(0, len(samples), BATCH_SIZE):
                part = samples[start : start + BATCH_SIZE]
                indices = [sample.index for sample in part]
                try:
                    self.adder.run(self.images[indices], self.numbers[indices])
                except Exception as error:  # noqa: BLE001  LoadGen's own thread cannot raise it
                    failures.append(error)
                lg.QuerySamplesComplete([lg.QuerySampleResponse(s.id, 0, 0) for s in part])

        with tempfile.TemporaryDirectory() as folder:
            log = lg.LogSettings()
            log.enable_trace = False
            output = lg.LogOutputSettings()
            output.outdir, output.copy_summary_to_stdout = folder, False
            log.log_output = output
            count = len(self.numbers)
            sut = lg.ConstructSUT(issue, lambda: None)
            qsl = lg.ConstructQSL(count, count, lambda _: None, lambda _: None)
            lg.StartTestWithLogSettings(sut, qsl, wanted, log, "")
            lg.DestroyQSL(qsl)
            lg.DestroySUT(sut)
            if failures:
                raise failures[0]
            return dict(_log(Path(folder) / "mlperf_log_detail.txt"))

    def find_server_rate(self, seconds: float) -> tuple[float, dict[str, Any]]:
        """The highest rate that LoadGen calls valid, within 5 %, and its results.

        Doubled or halved until one rate holds and one does not, then the middle of the two. Where
        not even `LEAST_RATE` holds, 0 and the last results.
        """
        holds, fails = 0.0, float("inf")
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
            if _valid(found):
                holds, best = rate, found
            else:
                fails = rate
            if holds == 0.0:
                rate = fails / 2
                if rate < LEAST_RATE:
                    return 0.0, found
            elif fails <= 1.05 * holds:
                return holds, best
            else:
                rate = min(2 * holds, (holds + fails) / 2)


def _valid(results: dict[str, Any]) -> bool:
    return bool(results["result_validity"] == "VALID")


def _log(path: Path) -> Iterator[tuple[str, Any]]:
    """The entries of LoadGen's detailed log."""
    for line in path.read_text().splitlines():
        entry = json.loads(line.partition(":::MLLOG ")[2])
        yield entry["key"], entry["value"]


def main(
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Least duration of each run.")] = 5.0,
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
