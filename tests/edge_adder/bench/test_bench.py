"""The bench: percentiles, turns, parity and cold start, against what is known here."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, Outputs
from edge_adder.bench import run as bench
from edge_adder.bench.report import CALLS, report
from edge_adder.bench.run import (
    BLOCK,
    ROUND_WARMUP,
    BenchConfig,
    Times,
    load_vectors,
    parity,
    percentiles,
    ratio,
    time_interleaved,
)
from edge_adder.errors import EdgeAdderError, InputError
from edge_adder.predictor import BUNDLED_MODEL, open_session

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[3]
TINY = BenchConfig(
    calls=30, warm_up=2, run_seconds=0.001, runs=2, batches=(1, 4), many=300, starts=1
)


@pytest.fixture(scope="module")
def result() -> dict:
    return bench.bench(EdgeAdder(), effort=TINY)


class TestPercentiles:
    def test_they_are_measured_values(self) -> None:
        times = np.random.default_rng(0).permutation(np.arange(1, 100_001)) * 1000
        found = percentiles(Times(times, np.array([9000, 7000, 8000])))
        assert found == {
            "count": 100_000,
            "p50": 50_000.0,
            "p90": 90_000.0,
            "p99": 99_000.0,
            "p99.9": 99_900.0,
            "max": 100_000.0,
            "first": 8.0,
        }

    @pytest.mark.parametrize(
        ("count", "valid"),
        [
            (19, set()),
            (20, {"p50"}),
            (99, {"p50"}),
            (100, {"p50", "p90"}),
            (999, {"p50", "p90"}),
            (1000, {"p50", "p90", "p99"}),
            (9_999, {"p50", "p90", "p99"}),
            (10_000, {"p50", "p90", "p99", "p99.9"}),
        ],
    )
    def test_ten_calls_must_lie_beyond(self, count: int, valid: set[str]) -> None:
        found = percentiles(Times(np.arange(count), np.ones(1)))
        assert {name for name, value in found.items() if value is not None} == (
            valid | {"count", "max", "first"}
        )

    def test_no_outlier_is_removed(self) -> None:
        times = np.full(1000, 1000)
        times[5] = 10**9
        assert percentiles(Times(times, times[:1]))["max"] == 10**6


class TestTurns:
    def test_calls_run_in_turn_in_blocks_after_the_warm_up(self) -> None:
        order: list[str] = []
        calls = {name: lambda name=name: order.append(name) for name in ("a", "b")}
        times = time_interleaved(calls, count=BLOCK + 3, warm_up=2)
        turn = ["a"] * (ROUND_WARMUP + BLOCK) + ["b"] * (ROUND_WARMUP + BLOCK)
        last = ["a"] * (ROUND_WARMUP + 3) + ["b"] * (ROUND_WARMUP + 3)
        assert order == ["a"] * 2 + ["b"] * 2 + turn + last
        assert {len(values.counted) for values in times.values()} == {BLOCK + 3}
        assert {len(values.first) for values in times.values()} == {2}

    def test_the_first_calls_of_a_turn_are_told_but_not_counted(self) -> None:
        asked = 0

        def slow_at_first() -> None:
            nonlocal asked
            asked += 1
            if asked % (ROUND_WARMUP + BLOCK) == 1:
                time.sleep(0.02)

        times = time_interleaved({"a": slow_at_first}, count=2 * BLOCK, warm_up=0)["a"]
        assert (times.first > 20_000_000).all()
        assert np.median(times.counted) < 20_000_000
        assert percentiles(times)["first"] > 20_000

    def test_a_ratio_is_of_what_ran_in_the_same_turn(self) -> None:
        def of(*values: int) -> Times:
            return Times(np.repeat(values, BLOCK), np.zeros(0))

        reference = of(1000, 3000, 2000)  # the clock's speed changes
        assert ratio(of(2000, 6000, 4000), reference) == 2
        assert ratio(of(2000, 6000, 50_000), reference) == 2  # something else came in between
        short = Times(np.array([30, 10, 20]), np.zeros(0))
        assert ratio(short, Times(np.array([10, 10, 90]), np.zeros(0))) == 2

    def test_what_is_timed_is_the_call(self) -> None:
        times = time_interleaved({"nap": lambda: time.sleep(0.002)}, count=5, warm_up=0)
        assert (times["nap"].counted >= 2_000_000).all()


class TestTheResult:
    def test_it_is_json_with_its_version(self, result: dict) -> None:
        again = json.loads(json.dumps(result))
        assert (again["schema"], again["version"]) == ("edge_adder.bench", 1)
        assert again == result

    def test_every_call_is_counted(self, result: dict) -> None:
        calls = result["latency"]["calls"]
        assert set(calls) == set(CALLS)
        assert {call["count"] for call in calls.values()} == {30}
        assert all(call["max"] >= call["p50"] > 0 for call in calls.values())
        assert result["latency"]["warm_up"] == 2
        assert 0 <= result["latency"]["clock"] < 100

    def test_a_short_run_has_no_p99(self, result: dict) -> None:
        assert result["latency"]["calls"]["predict_array"]["p99"] is None
        assert "invalid" in report(result)

    def test_throughput_names_the_best_pair(self, result: dict) -> None:
        pairs = result["throughput"]["pairs"]
        threads = {pair["threads"] for pair in pairs}
        assert {pair["batch"] for pair in pairs} == {1, 4}
        assert {1, result["environment"]["allowed_cores"]} <= threads
        rates = [pair["images_per_second"] for pair in pairs]
        assert result["throughput"]["best"]["images_per_second"] == max(rates) > 0
        assert result["throughput"]["default"]["images_per_second"] > 0
        assert 0.01 < result["throughput"]["default"]["ratio"] < 10

    def test_cold_start_has_stages_that_fill_the_process(self, result: dict) -> None:
        start = result["cold_start"]
        stages = ("interpreter", "imports", "session", "first_answer")
        assert all(start[name] > 0 for name in stages)
        assert sum(start[name] for name in stages) <= start["process"]
        assert start["peak_memory_bytes"] is None or start["peak_memory_bytes"] > 20_000_000

    def test_it_names_model_provider_and_machine(self, result: dict, adder: EdgeAdder) -> None:
        assert result["model"]["sha256"] == adder.model_sha256
        assert result["model"]["network"] == "edge"
        assert result["provider"] == {"requested": "cpu", "active": "cpu"}
        assert result["environment"]["packages"]["onnxruntime"]

    def test_parity_passes(self, result: dict) -> None:
        assert result["parity"]["passed"]
        assert result["parity"]["pairs"] == 300
        for output in ("digit", "sum"):
            assert 0 <= result["parity"][output]["largest_difference"] < 1e-4
            assert result["parity"][output]["changed_answers"] == 0

    def test_the_document_describes_every_key_and_no_other(self, result: dict) -> None:
        text = (ROOT / "docs" / "bench.md").read_text()
        keys, _, calls = text.partition("CALL is one of")
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
            return {
                p for key, inner in value.items() for p in paths(inner, f"{at}.{key}".strip("."))
            }

        assert paths(result, "") == described
        assert set(re.findall(r"^\| `([a-z_]+)`", calls, re.MULTILINE)) == set(CALLS)

    def test_the_table_shows_every_call_and_verdict(self, result: dict) -> None:
        text = report(result)
        assert all(title in text for title in CALLS.values())
        assert "parity with PyTorch, 300 pairs, bound 0.0001: passed" in text
        assert re.search(r"best: [0-9,]+ at batch [14] on [0-9]+ threads?; predict_many", text)


class TestParity:
    def test_a_changed_answer_fails(self, adder: EdgeAdder, vectors: dict) -> None:
        changed = dict(vectors) | {"sum": np.roll(vectors["sum"], 1, axis=1)}
        found = parity(adder, changed)
        assert not found["passed"]
        assert found["sum"]["changed_answers"] == 300
        assert found["digit"]["changed_answers"] == 0

    def test_a_small_drift_fails_and_a_smaller_one_passes(
        self, adder: EdgeAdder, vectors: dict
    ) -> None:
        for drift, passed in ((1e-3, False), (2e-5, True)):
            found = parity(adder, dict(vectors) | {"digit": vectors["digit"] + np.float32(drift)})
            assert found["passed"] is passed

    @pytest.mark.parametrize("where", ["everywhere", "at the answer"])
    def test_an_answer_that_is_no_number_fails(self, vectors: dict, where: str) -> None:
        class Broken:
            batch = None

            def run(self, *_: np.ndarray) -> Outputs:
                digit = vectors["digit"].copy()
                best = digit.argmax(1)
                digit[np.arange(300), best] = np.nan
                return Outputs(
                    np.full_like(digit, np.nan) if where == "everywhere" else digit, vectors["sum"]
                )

        found = parity(Broken(), vectors)
        assert not found["passed"]
        assert found["digit"]["largest_difference"] is None
        assert found["sum"]["largest_difference"] == 0
        json.dumps(found, allow_nan=False)

    def test_vectors_of_other_weights_are_refused(self, tmp_path: Path, vectors: dict) -> None:
        (tmp_path / "m.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        assert load_vectors(EdgeAdder(tmp_path / "m.onnx")) is None
        other = dict(vectors) | {"weights_sha256": np.array("0" * 64)}
        np.savez(tmp_path / "m.parity.npz", **other)
        with pytest.raises(InputError, match=r"m\.parity\.npz is of other weights than"):
            load_vectors(EdgeAdder(tmp_path / "m.onnx"))
        np.savez(tmp_path / "m.parity.npz", **vectors)
        assert len(load_vectors(EdgeAdder(tmp_path / "m.onnx"))["number"]) == 300

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
    def test_broken_vectors_are_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "m.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        (tmp_path / "m.parity.npz").write_bytes(content)
        with pytest.raises(InputError, match="holds no parity vectors"):
            load_vectors(EdgeAdder(tmp_path / "m.onnx"))

    @pytest.mark.parametrize(
        "change",
        [
            {"digit": np.zeros((300, 11), np.float32)},
            {"sum": np.zeros((299, 19), np.float32)},
            {"image": np.zeros((300, 1, 28, 28), np.float32)},
            {"digit": np.array(["a"] * 300)},
            {"number": np.int64(3)},
            dict.fromkeys(("image", "number", "digit", "sum")),
        ],
    )
    def test_vectors_of_another_form_are_refused(
        self, tmp_path: Path, vectors: dict, change: dict
    ) -> None:
        (tmp_path / "m.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        changed = {k: vectors[k][:0] if v is None else v for k, v in change.items()}
        np.savez(tmp_path / "m.parity.npz", **vectors | changed)
        with pytest.raises(InputError, match="holds no parity vectors"):
            load_vectors(EdgeAdder(tmp_path / "m.onnx"))


def test_a_cold_start_imports_what_is_installed(
    adder: EdgeAdder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    assert bench.cold_start(adder, 1)["process"] > 0


def test_a_process_that_cannot_start_is_one_line(
    adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_COLD", "print('x')\nraise OSError('no memory')")
    with pytest.raises(EdgeAdderError, match="a fresh process cannot predict: OSError: no memory"):
        bench.cold_start(adder, 1)


def test_the_floor_returns_its_inputs() -> None:
    session = open_session(bench.IDENTITY_MODEL.read_bytes())
    image, number = np.ones((3, 1, 28, 28), np.uint8), np.arange(3)
    digit, total = session.run(["digit", "sum"], {"image": image, "number": number})
    assert np.array_equal(digit, image)
    assert np.array_equal(total, number)
    assert [node.name for node in session.get_inputs()] == ["image", "number"]


def test_a_model_given_as_bytes_is_measured_too(adder: EdgeAdder) -> None:
    found = bench.bench(EdgeAdder(adder.model_bytes), effort=TINY)
    assert found["cold_start"]["process"] > 0
    assert found["parity"] is None
    assert "no stored answers of PyTorch" in report(found)


def test_a_machine_with_more_cores_than_threads_are_allowed(
    adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "allowed_cores", lambda: 384)
    monkeypatch.setattr(bench, "MAX_THREADS", 2)
    images = bench.bundled_vectors()["image"]
    found = bench.throughput(adder, images, TINY)
    assert max(pair["threads"] for pair in found["pairs"]) == 2


class TestCommandLine:
    def test_table_and_file(self, edge_adder: Run, tmp_path: Path) -> None:
        done = edge_adder("bench", "--quick", "--json", "r.json")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        stored = json.loads((tmp_path / "r.json").read_text())
        assert done.stdout == report(stored) + "\n"
        assert stored["latency"]["calls"]["predict_array"]["p99"] is not None

    def test_it_falls_behind_a_faster_baseline(
        self, edge_adder: Run, tmp_path: Path, result: dict
    ) -> None:
        faster = json.loads(json.dumps(result))
        faster["latency"]["calls"]["predict_array"]["p50"] = 0.001
        (tmp_path / "before.json").write_text(json.dumps(faster))
        asked = ("bench", "--quick", "--baseline", "before.json")
        done = edge_adder(*asked, "--fail-if", "p50>1.1x")
        assert done.returncode == 6
        assert "predict_array.p50: " in done.stdout
        assert "REGRESSED (>1.1x)" in done.stdout

    def test_a_model_that_lost_parity_exits_with_6(
        self, edge_adder: Run, tmp_path: Path, vectors: dict
    ) -> None:
        (tmp_path / "m.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        np.savez(tmp_path / "m.parity.npz", **dict(vectors) | {"digit": vectors["digit"] + 1})
        done = edge_adder("bench", "--quick", "--model", "m.onnx")
        assert done.returncode == 6
        assert "bound 0.0001: FAILED" in done.stdout

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (["--fail-if", "p90>1.1x"], 2, "--fail-if compares with an earlier result: name it"),
            (["--fail-if", "fast"], 2, "--fail-if must be of the form FIGURE>Nx"),
            (["--baseline", "none.json"], 5, "cannot read none.json: No such file"),
            (["--model", "none.onnx"], 3, "no model none.onnx"),
            (["--json", "none/r.json"], 5, "cannot write none/r.json: there is no folder"),
            (["--json", "."], 5, "cannot write .: it is not a regular file"),
            (["--suite", "s", "--model", "m.onnx"], 2, "--suite measures the bundled model"),
            (["--suite", "s", "--provider", "cuda"], 2, "--suite measures the bundled model"),
            (["--suite", "s", "--fail-if", "p50>1x"], 2, "--suite measures the bundled model"),
        ],
    )
    def test_errors_are_one_line(
        self, edge_adder: Run, options: list[str], code: int, message: str
    ) -> None:
        done = edge_adder("bench", *options)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(f"edge-adder: error: {message}")
        assert len(done.stderr.splitlines()) == 1
