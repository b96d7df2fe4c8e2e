"""A short measurement of the bundled model: its result, its table, its document, its command."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder
from edge_adder.bench import cold_start as cold
from edge_adder.bench import run
from edge_adder.bench.report import CALLS, report
from edge_adder.bench.result import BenchResult
from edge_adder.bench.run import QUICK, BenchConfig
from edge_adder.bench.timing import MIN_TAIL_SAMPLES, calls_beyond
from edge_adder.errors import EdgeAdderError
from edge_adder.parity import check_parity

DOCUMENT = Path(__file__).parents[3] / "docs" / "bench.md"
TINY = BenchConfig(
    calls=30, warmup=2, run_seconds=0.001, rounds=2, batches=(1, 4), many=300, starts=1
)


@pytest.fixture(scope="module")
def result() -> BenchResult:
    return run.bench(EdgeAdder(), config=TINY)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, result: BenchResult) -> Callable[..., None]:
    """Lets `bench` return the shared result, with changes, instead of measuring."""

    def change(**changes: object) -> None:
        monkeypatch.setattr(run, "bench", lambda *_, **__: replace(result, **changes))

    return change


class TestResult:
    def test_its_json_can_be_stored_and_read(self, result: BenchResult) -> None:
        stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert (stored["schema"], stored["version"]) == ("edge_adder.bench", 1)
        assert BenchResult.from_dict(stored) == result
        without = replace(result, parity=None)
        assert BenchResult.from_dict(without.to_dict()) == without

    def test_every_call_is_counted(self, result: BenchResult) -> None:
        calls = result.latency.calls
        assert set(calls) == set(CALLS)
        assert {call.count for call in calls.values()} == {30}
        assert all(call.max >= call.percentiles["p50"] > 0 for call in calls.values())
        assert calls["session_run"].ratio == 1
        assert 0 <= result.latency.clock < calls["predict_png"].max

    def test_too_few_calls_have_no_p99(self, result: BenchResult) -> None:
        assert result.latency.calls["predict_array"].percentiles["p99"] is None
        assert "\n-: fewer than 10 calls lie beyond this percentile\n" in report(result)
        assert calls_beyond(QUICK.calls, 99) >= MIN_TAIL_SAMPLES

    def test_throughput_names_the_best_pair(self, result: BenchResult) -> None:
        rates = result.throughput
        assert {pair.batch for pair in rates.pairs} == {1, 4}
        assert {1, result.environment["allowed_cores"]} <= {pair.threads for pair in rates.pairs}
        assert rates.best in rates.pairs
        assert rates.best.images_per_second == max(pair.images_per_second for pair in rates.pairs)
        assert rates.default.images_per_second > 0
        assert rates.default.ratio > 0

    def test_threads_are_no_more_than_allowed(
        self, adder: EdgeAdder, vectors: dict, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "allowed_cores", lambda: 384)
        monkeypatch.setattr(run, "MAX_THREADS", 2)
        found = run.throughput(adder, vectors["image"], TINY)
        assert {pair.threads for pair in found.pairs} == {1, 2}

    def test_cold_start_has_stages_that_fill_the_process(self, result: BenchResult) -> None:
        start = result.cold_start
        stages = start.interpreter, start.imports, start.session, start.first_answer
        assert min(stages) > 0
        assert sum(stages) <= start.process
        assert start.peak_memory_bytes is None or start.peak_memory_bytes > 20_000_000

    def test_it_names_the_model_and_what_ran_it(
        self, result: BenchResult, adder: EdgeAdder, vectors: dict
    ) -> None:
        assert (result.model.sha256, result.model.network) == (adder.model_sha256, "edge")
        assert (result.requested_provider, result.provider) == ("cpu", "cpu")
        assert result.environment["packages"]["onnxruntime"]
        assert result.parity == check_parity(adder, vectors)
        assert result.passed

    def test_the_table_shows_every_call_and_verdict(self, result: BenchResult) -> None:
        text = report(result)
        assert all(title in text for title in CALLS.values())
        assert "parity with PyTorch, 300 pairs, bound 0.0001: passed" in text
        assert re.search(r"best: [0-9,]+ at batch [14] on [0-9]+ threads?; predict_many", text)

    def test_a_model_given_as_bytes_has_no_parity(
        self, result: BenchResult, adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "cold_start", lambda *_: result.cold_start)
        found = run.bench(EdgeAdder(adder.model_bytes), config=replace(TINY, calls=1))
        assert found.parity is None
        assert found.passed
        assert "no stored answers of PyTorch" in report(found)


def test_a_cold_start_imports_what_is_installed_and_its_failure_is_one_line(
    adder: EdgeAdder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    assert cold.cold_start(EdgeAdder(adder.model_bytes), 1).process > 0
    monkeypatch.setattr(cold, "_PROGRAM", "print('x')\nraise OSError('no memory')")
    with pytest.raises(EdgeAdderError, match="a fresh process cannot predict: OSError: no memory"):
        cold.cold_start(adder, 1)


def test_the_document_describes_every_key_and_no_other(result: BenchResult) -> None:
    _, _, text = DOCUMENT.read_text().partition("## The JSON")
    keys, _, calls = text.partition("## Kinds of call")
    rows = [line.split("|")[1] for line in keys.splitlines() if line.startswith("| `")]
    described = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}

    def paths(value: object, at: str) -> set[str]:
        if isinstance(value, list):
            return {path for inner in value for path in paths(inner, f"{at}[]")}
        if not isinstance(value, dict):
            return {at}
        if at == "environment.packages":
            return {f"{at}.NAME"}
        if at == "latency.calls":
            value = {"CALL": value["predict_png"]}
        return {p for key, inner in value.items() for p in paths(inner, f"{at}.{key}".strip("."))}

    assert paths(result.to_dict(), "") == described
    assert set(re.findall(r"^\| `([a-z_]+)`", calls, re.MULTILINE)) == set(CALLS)


class TestCommandLine:
    def test_table_and_file(
        self, edge_adder: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "QUICK", TINY)
        done = edge_adder("bench", "--quick", "--json", "r.json")
        assert (done.returncode, done.stderr) == (0, "")
        stored = json.loads((tmp_path / "r.json").read_text())
        assert stored["latency"]["calls"]["predict_array"]["count"] == TINY.calls
        assert done.stdout == report(BenchResult.from_dict(stored)) + "\n"

    def test_it_regressed_against_a_faster_baseline(
        self, edge_adder: Callable, tmp_path: Path, result: BenchResult, measured: Callable
    ) -> None:
        measured()
        faster = result.to_dict()
        faster["latency"]["calls"]["predict_array"]["p50"] = 0.001
        (tmp_path / "before.json").write_text(json.dumps(faster))
        done = edge_adder("bench", "--baseline", "before.json", "--fail-if", "p50>1.1x")
        assert done.returncode == 6
        assert "predict_array.p50: " in done.stdout
        assert "REGRESSED (fails above 1.1x)" in done.stdout

    def test_a_model_that_lost_parity_exits_with_6(
        self, edge_adder: Callable, adder: EdgeAdder, vectors: dict, measured: Callable
    ) -> None:
        measured(parity=check_parity(adder, vectors | {"digit": vectors["digit"] + np.float32(1)}))
        done = edge_adder("bench")
        assert done.returncode == 6
        assert "bound 0.0001: FAILED" in done.stdout

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (["--fail-if", "p90>1.1x"], 2, "--fail-if compares with an earlier result: name it"),
            (["--fail-if", "fast"], 2, "--fail-if must be of the form FIGURE>Nx"),
            (["--baseline", "none.json"], 2, "none.json: no such file"),
            (["--model", "none.onnx"], 3, "none.onnx: no such file"),
            (["--json", "none/r.json"], 5, "cannot write none/r.json: there is no folder"),
            (["--json", "."], 5, "cannot write .: it is not a regular file"),
            (["--suite", "s", "--model", "m.onnx"], 2, "--suite measures the bundled model"),
            (["--suite", "s", "--provider", "cuda"], 2, "--suite measures the bundled model"),
            (["--suite", "s", "--fail-if", "p50>1x"], 2, "--suite measures the bundled model"),
        ],
    )
    def test_errors_are_one_line(
        self, edge_adder: Callable, options: list[str], code: int, message: str
    ) -> None:
        done = edge_adder("bench", *options)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(f"edge-adder: error: {message}")
        assert len(done.stderr.splitlines()) == 1
