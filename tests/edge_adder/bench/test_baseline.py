"""Comparing two results: limits, what should be the same, what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from edge_adder.bench.baseline import MAX_BASELINE_BYTES, check, compare, load, parse
from edge_adder.errors import InputError


@pytest.fixture
def before() -> dict:
    figures = {"count": 9, "p50": 50.0, "p90": 60.0, "p99": None, "p99.9": None, "max": 99.0}
    calls = {name: dict(figures) for name in ("predict_array", "session_run")}
    return {
        "schema": "edge_adder.bench",
        "version": 1,
        "environment": {"cpu": "a", "allowed_cores": 2, "python": "p", "packages": {"numpy": "2"}},
        "model": {"sha256": "x"},
        "provider": {"active": "cpu"},
        "threads": 1,
        "spinning": False,
        "latency": {"calls": calls},
        "throughput": {"best": {"images_per_second": 1000.0}},
        "cold_start": {"process": 200.0, "peak_memory_bytes": 10**8},
    }


@pytest.fixture
def now(before: dict) -> dict:
    return copy.deepcopy(before)


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "figure", "sign", "factor"),
        [
            ("p90>1.10x", "predict_array.p90", ">", 1.1),
            (" max > 2x ", "predict_array.max", ">", 2.0),
            ("session_run.p99.9>1.05x", "session_run.p99.9", ">", 1.05),
            ("throughput<0.9x", "throughput", "<", 0.9),
            ("cold_start>1.2x", "cold_start", ">", 1.2),
            ("peak_memory>1.2x", "peak_memory", ">", 1.2),
        ],
    )
    def test_forms(self, text: str, figure: str, sign: str, factor: float) -> None:
        found = parse(text)
        assert (found.figure, found.sign, found.factor) == (figure, sign, factor)

    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            ("|p90|p90>1.1|p90=1x|p90>x|p90>-1x|P90>1x", "must be of the form FIGURE>Nx"),
            ("p90<1.10x", "p90 gets worse when it grows: write p90>1.10x"),
            ("throughput > 2x", "throughput gets worse when it shrinks: write throughput<2x"),
            ("max<0.5x|cold_start<1x", "gets worse when it grows"),
            ("p95>1x|run.p50>1x|session_run>1x|warmup>1x", "has no figure '.*': expected p50, p9"),
        ],
    )
    def test_others_are_refused(self, texts: str, message: str) -> None:
        for text in texts.split("|"):
            with pytest.raises(InputError, match=message):
                parse(text)

    @pytest.mark.parametrize("value", [None, 0, -1.0, "fast", True, float("inf"), {}])
    def test_the_baseline_must_have_the_figure(self, before: dict, value: object) -> None:
        before["latency"]["calls"]["predict_array"]["p90"] = value
        with pytest.raises(InputError, match="p90 is invalid or missing in the baseline"):
            check(before, [parse("p90>1x")], 10_000)
        check(before, [parse("p50>1x"), parse("max>1x"), parse("throughput<1x")], 20)

    def test_there_must_be_enough_calls(self, before: dict) -> None:
        check(before, [parse("p90>1x")], 100)
        with pytest.raises(InputError, match=r"p90 cannot be valid: of 99 calls 9 lie beyond it"):
            check(before, [parse("p90>1x")], 99)


class TestComparing:
    @pytest.mark.parametrize(("value", "regressed"), [(66.0, False), (66.1, True), (30.0, False)])
    def test_a_percentile(self, before: dict, now: dict, value: float, *, regressed: bool) -> None:
        now["latency"]["calls"]["predict_array"]["p90"] = value
        (line,), found = compare(now, before, [parse("p90>1.10x")])
        assert found is regressed
        assert line.startswith(f"predict_array.p90: {value} against 60.0, ")
        assert line.endswith(
            f"{'REGRESSED' if regressed else 'within the limit'} (fails above 1.1x)"
        )

    def test_one_of_several_is_enough(self, before: dict, now: dict) -> None:
        now["throughput"]["best"]["images_per_second"] = 800.0
        lines, regressed = compare(now, before, [parse("throughput<0.9x"), parse("p50>1.1x")])
        assert regressed
        assert ["REGRESSED" in line for line in lines] == [True, False]
        assert lines[0].endswith("0.80x, REGRESSED (fails below 0.9x)")

    def test_without_limits_the_usual_figures_are_shown(self, before: dict) -> None:
        lines, regressed = compare(before, before, [])
        names = " ".join(line.partition(":")[0] for line in lines)
        assert names == "predict_array.p50 predict_array.p90 throughput cold_start peak_memory"
        assert not regressed

    def test_an_invalid_figure_fails_and_hides_no_other(self, before: dict, now: dict) -> None:
        now["latency"]["calls"]["predict_array"]["p50"] = None
        lines, regressed = compare(now, before, [parse("p50>1x"), parse("p90>1x")])
        assert regressed
        assert lines[0] == "predict_array.p50: invalid here"
        assert lines[1].startswith("predict_array.p90: 60.0 against 60.0, 1.00x, within")
        lines, regressed = compare(before, now, [parse("p50>1x")])
        assert (lines, regressed) == (["predict_array.p50: invalid in the baseline"], True)

    def test_what_differs_beside_the_figures_is_said(self, before: dict, now: dict) -> None:
        now["environment"]["cpu"] = "b"
        now["model"]["sha256"] = "y"
        lines, _ = compare(now, before, [parse("p50>1x")])
        assert lines[:2] == [
            "differs: model.sha256 is x in the baseline, y here",
            "differs: environment.cpu is a in the baseline, b here",
        ]


class TestLoading:
    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        for text, message in (
            ("", "is not JSON"),
            ("[1]", "is not a result of `edge-adder bench --json`"),
            ('{"schema": "other"}', "is not a result of"),
            ('{"schema": "edge_adder.bench", "version": 2}', "result of version 2, expected 1"),
            ("[" * 100_000, "is not JSON"),
            (" " * MAX_BASELINE_BYTES + "1", "is too large for a result"),
        ):
            (tmp_path / "r.json").write_text(text)
            with pytest.raises(InputError, match=message):
                load(tmp_path / "r.json")

    def test_a_result(self, tmp_path: Path, before: dict) -> None:
        (tmp_path / "r.json").write_text(json.dumps(before))
        assert load(tmp_path / "r.json") == before
