"""Measurements of many pictures: rates, ratios, and their place in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import suite
from benchmarks.report import render, score_parts
from benchmarks.score import measure, report
from benchmarks.score.turns import Turns, take_turns

MACHINE = {"cpu": "a CPU", "allowed_cores": 2}


FILES = Turns(
    1000,
    {
        "Pillow, 1": [1.0, 2.0, 1.0],
        "score, 1": [2.0, 4.0, 4.0],
        "Pillow, 2": [1.0, 1.0, 1.0],
        "score, 2": [1.25, 1.25, 1.25],
    },
    {
        "Pillow, 1": [1.0, 2.0, 1.0],
        "score, 1": [2.0, 4.0, 4.0],
        "Pillow, 2": [2.0, 2.0, 2.0],
        "score, 2": [2.5, 2.5, 2.5],
    },
)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of what is published, which may be written."""
    (tmp_path / "results").mkdir()
    committed = suite.RESULTS_MD.with_name("results") / suite.RESULTS_FILE
    results = json.loads(committed.read_text())
    results.pop("score", None)
    (tmp_path / "results" / suite.RESULTS_FILE).write_text(json.dumps(results))
    (tmp_path / "performance.md").write_text(suite.DOCUMENT.read_text())
    monkeypatch.setattr(suite, "RESULTS_MD", tmp_path / "RESULTS.md")
    (tmp_path / "README.md").write_text(suite.README.read_text())
    monkeypatch.setattr(suite, "DOCUMENT", tmp_path / "performance.md")
    monkeypatch.setattr(suite, "README", tmp_path / "README.md")
    return tmp_path


def test_calls_take_turns_and_the_rounds_to_warm_up_do_not_count() -> None:
    called: list[str] = []
    calls = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    found = take_turns(calls, rows=10, rounds=2, warmup=1)
    assert called == ["a", "b"] * 3
    assert found.rounds == 2
    assert {len(each) for each in (*found.seconds.values(), *found.cpu_seconds.values())} == {2}


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    assert FILES.ratio("score, 1", "Pillow, 1") == (0.5, 0.5)
    assert FILES.rate("score, 1") == 250


def test_each_part_is_compared_with_its_bounds() -> None:
    found = {bound.what: bound for bound in report.bounds({"files": FILES})}
    alone = found["`score` of 28×28 files / Pillow's decoding, one process"]
    both = found["`score` of 28×28 files / Pillow's decoding, two processes"]
    assert (alone.ratio, alone.verdict, both.ratio, both.verdict) == (0.5, "missed", 0.8, "met")
    (peak,) = report.bounds({"memory": {"10": [100, 50], "100": [60, 109]}})
    assert peak.ratio == 1.09


def test_arrays_are_compared_with_the_fastest_raw_run() -> None:
    found = Turns(
        10,
        {"raw, 1": [2.0], "raw, 2": [1.0], "predict_columns": [1.25], "predict_many": [2.5]},
        {"raw, 1": [1.0], "raw, 2": [1.0], "predict_columns": [1.0], "predict_many": [1.0]},
    )
    assert [bound.ratio for bound in report.bounds({"columns": found})] == [0.8, 0.4]
    assert "0.80 of raw, 2" in report.text("columns", found)


def test_real_files_are_scored() -> None:
    found = measure.files(count=64, rounds=1)
    assert list(found.seconds) == ["Pillow, 1", "score, 1", "Pillow, 2", "score, 2"]
    assert "64 rows, median of 1 round" in report.text("files", found)


def test_published_figures_are_in_the_report_and_stay_there(published: Path) -> None:
    parts: dict[str, Any] = {"files": FILES.to_dict(), "memory": {"10": [9, 5], "20": [9, 5]}}
    suite.publish_score({"date": "2026-01-01", "environment": MACHINE, "parts": parts})
    written = (published / "RESULTS.md").read_text()
    assert "| PNG files of 28×28 | score, 1 | 250 | 0.50 | 0.50 |" in written
    assert "Not measured: photographs." in written
    assert "two processes / on one | " in written
    assert (published / "results" / "score.png").stat().st_size > 1000

    results = json.loads((published / "results" / suite.RESULTS_FILE).read_text())
    assert score_parts(results)["files"] == FILES
    assert written == render(results, pictures="results/")

    run = published / "run"
    run.mkdir()
    del results["score"], results["bounds"]
    (run / suite.RESULTS_FILE).write_text(json.dumps(results))
    for name in suite.plots.SUITE:
        (run / name).write_bytes(b"")
    suite.publish(run)
    assert (published / "RESULTS.md").read_text() == written
