"""The suite writes what its parts measured; the committed report is made of committed results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
import typer
from PIL import Image

pytest.importorskip("torch", reason="needs the development tools")

from benchmarks import files, graph, parity_matrix, plots, scenarios, startup, suite
from benchmarks.__main__ import main
from benchmarks.bounds import Bound, bounds, verdicts
from benchmarks.markdown import mean_and_deviation, replace_block
from benchmarks.peers import compare as peers
from benchmarks.report import all_bounds, peers_block, performance_block, render
from edge_adder import EdgeAdder
from edge_adder.bench.result import BenchResult
from edge_adder.errors import InputError

BLOCK = "a\n<!-- bounds: b -->\n{}\n<!-- /bounds -->\nc"


@pytest.fixture
def measured(results: dict, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The committed results, which every part of the suite returns instead of measuring."""
    bench = BenchResult.from_dict(results["bench"])
    monkeypatch.setattr(suite, "bench", create_autospec(suite.bench, return_value=bench))
    parts = dict.fromkeys((files, startup, graph), "measure")
    parts |= {peers: "compare_peers", scenarios: "run_scenarios", parity_matrix: "run_matrix"}
    for module, function in parts.items():
        found = results["peers" if module is peers else module.__name__.rpartition(".")[2]]
        fake = create_autospec(getattr(module, function), return_value=found)
        monkeypatch.setattr(module, function, fake)
    return results


def test_a_folder_gets_results_report_and_plots(measured: dict, tmp_path: Path) -> None:
    with pytest.raises(typer.Exit) as ended:
        main(tmp_path, quick=True)
    assert ended.value.exit_code == 0
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"results.json", "report.md", *plots.SUITE}
    results, report = json.loads((tmp_path / "results.json").read_text()), tmp_path / "report.md"
    assert results.items() >= {"quick": True, "passed": True, "bench": measured["bench"]}.items()
    assert report.read_text() == render(results)
    assert re.findall(r"\]\(([a-z]+\.png)\)", report.read_text()) == list(plots.SUITE)
    for name in plots.SUITE:
        with Image.open(tmp_path / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_a_run_without_parity_exits_with_6(measured: dict, tmp_path: Path) -> None:
    measured["parity_matrix"][-1]["sum"]["largest_difference"] = 0.1
    with pytest.raises(typer.Exit) as ended:
        main(tmp_path)
    assert ended.value.exit_code == 6


@pytest.mark.usefixtures("measured")
def test_publishing_updates_report_plots_and_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text(BLOCK.format("old"))
    monkeypatch.setattr(suite, "RESULTS_MD", tmp_path / "RESULTS.md")
    (tmp_path / "README.md").write_text(BLOCK.replace("bounds", "peers").format("old"))
    monkeypatch.setattr(suite, "DOCUMENT", tmp_path / "page.md")
    monkeypatch.setattr(suite, "README", tmp_path / "README.md")
    with pytest.raises(typer.Exit):
        main(tmp_path / "run", publish_results=True)
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert (tmp_path / "page.md").read_text() == BLOCK.format(performance_block(results))
    assert peers_block(results) in (tmp_path / "README.md").read_text()
    linked = re.findall(r"\]\(([^)]+\.png)\)", (tmp_path / "RESULTS.md").read_text())
    assert len(linked) == len(plots.SUITE)
    assert all((tmp_path / name).is_file() for name in linked)


def test_a_quick_run_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="without --quick"):
        main(tmp_path, quick=True, publish_results=True)


def test_the_command_line_runs_it(
    edge_adder: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = create_autospec(suite.run_suite, return_value={"passed": True})
    monkeypatch.setattr(suite, "run_suite", run)
    done = edge_adder("bench", "--suite", tmp_path / "s", "--quick")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 's' / 'report.md'}\n")
    assert run.call_args.args == (tmp_path / "s",)
    assert run.call_args.kwargs["quick"] is True


def test_the_committed_report_is_made_of_the_committed_results(results: dict) -> None:
    report = render(results, pictures="results/")
    assert suite.RESULTS_MD.read_text() == report
    for bound in all_bounds(results):
        since = results["bounds"][bound.what]["since"]
        row = rf"\| {re.escape(bound.what)} \|.*\| {bound.verdict} \| {since} \|"
        assert re.search(row, report)
    assert f" -->\n{performance_block(results)}\n<!-- /bounds -->" in suite.DOCUMENT.read_text()
    assert f" -->\n{peers_block(results)}\n<!-- /peers -->" in suite.README.read_text()


def test_the_committed_results_are_of_the_bundled_file(results: dict, adder: EdgeAdder) -> None:
    assert results["passed"]
    assert results["bench"]["model"]["sha256"] == adder.model_sha256
    assert results["images"] == "test images"
    assert sum(row["pairs"] for row in results["parity_matrix"]) > 24 * 100_000
    assert {row["model"] for row in results["parity_matrix"]} == {adder.model_sha256}


class TestBounds:
    def test_verdicts(self) -> None:
        most = [Bound("a", ratio, "≤", 1.1).verdict for ratio in (1.1, 1.11)]
        least = [Bound("a", ratio, "≥", 0.95).verdict for ratio in (0.95, 0.94, None)]
        assert (most, least) == (["met", "missed"], ["met", "missed", "not measured"])

    def test_each_ratio_is_of_the_figures_that_it_names(self, results: dict) -> None:
        calls, peer = results["bench"]["latency"]["calls"], results["peers"]["batches"]["1"]
        ratio = {name.split(" ")[-1]: row["ratio"] for name, row in peer.items()}
        openvino = next(row["ratio"] for name, row in peer.items() if name.startswith("OpenVINO"))
        p50 = {name: row["p50"] for name, row in calls.items()}
        assert [bound.ratio for bound in bounds(results)] == [
            calls["edge_adder_run"]["ratio"],
            (p50["predict_array"] - p50["session_run"]) / p50["identity"],
            p50["predict_png"] / (p50["decode"] + p50["session_run"]),
            results["bench"]["throughput"]["default"]["ratio"],
            results["files"]["ratio"],
            results["startup"]["ratio"],
            ratio["eager"],
            openvino,
        ]

    def test_a_verdict_keeps_its_date_until_it_or_its_limit_changes(self) -> None:
        first = verdicts([Bound("a", 1.0, "≤", 1.1), Bound("b", 2.0, "≤", 1.1)], {}, "monday")
        assert first["a"] == {"limit": 1.1, "verdict": "met", "since": "monday"}
        later = [Bound("a", 1.05, "≤", 1.1), Bound("b", 1.0, "≤", 1.1), Bound("c", 1.0, "≥", 1)]
        second = verdicts(later, first, "tuesday")
        assert {name: row["since"] for name, row in second.items()} == {
            "a": "monday",
            "b": "tuesday",
            "c": "tuesday",
        }
        stricter = verdicts([Bound("a", 1.05, "≤", 1.08)], second, "wednesday")
        assert stricter["a"]["since"] == "wednesday"

    def test_an_absent_peer_is_not_measured(self, results: dict) -> None:
        rows = results["peers"]["batches"]["1"]
        for name in [name for name in rows if name.startswith("OpenVINO")]:
            del rows[name]
        assert bounds(results)[-1].verdict == "not measured"


def test_a_document_without_the_block_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing here")
    with pytest.raises(InputError, match="0 blocks 'bounds', expected one"):
        replace_block(tmp_path / "page.md", "bounds", "")


def test_a_mean_has_a_deviation_where_there_are_several() -> None:
    assert mean_and_deviation([0.99, 0.991, 0.992]) == "99.10 % ± 0.100 %"
    assert mean_and_deviation([0.9957]) == "99.57 %"
    assert mean_and_deviation([]) == ""
