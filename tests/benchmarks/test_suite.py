"""The suite runs in a short form, and its parts measure what they say."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

import torch
import typer

from benchmarks import files, parity_matrix, peers, scenarios, suite
from benchmarks.__main__ import main as benchmarks_main
from benchmarks.bounds import Bound, bounds
from benchmarks.report import percent, readme_block, render, renew_block
from edge_adder import EdgeAdder, Outputs
from edge_adder.bench.run import bundled_vectors, load_vectors
from edge_adder.cli.main import main as cli
from edge_adder.errors import CheckpointError, InputError, ProviderError
from export import checkpoint as checkpoints
from export import networks
from export.catalogue import count_multiply_adds
from export.networks.parts import Network

ROOT = Path(__file__).parents[2]

NETWORKS = ("edge", "bn-adder")
"""Those that the suite times here; of the six, these have 0.27 and 1.41 M multiply-adds."""


@pytest.fixture(scope="module")
def network() -> Network:
    return checkpoints.load(checkpoints.committed("edge")).build()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m benchmarks --quick` leaves, here with two networks of the six."""
    out = tmp_path_factory.mktemp("suite")
    two = {name: networks.NETWORKS[name] for name in NETWORKS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "NETWORKS", two)
        with pytest.raises(typer.Exit) as ended:
            benchmarks_main(out, quick=True)
    assert ended.value.exit_code == 0
    return out


@pytest.fixture(scope="module")
def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


class TestTheFolder:
    def test_results_report_and_pictures(self, folder: Path, results: dict) -> None:
        names = {path.name for path in folder.iterdir()} - {"parity"}
        pictures = {"latency.png", "stages.png", "throughput.png", "peers.png", "networks.png"}
        assert names == {"results.json", "report.md"} | pictures
        report = (folder / "report.md").read_text()
        assert report == render(results)
        assert set(re.findall(r"\]\(([a-z]+\.png)\)", report)) == pictures
        for name in pictures:
            with Image.open(folder / name) as picture:
                assert len(np.unique(np.asarray(picture.convert("L")))) > 10

    def test_the_report_has_a_verdict_on_every_bound(self, folder: Path, results: dict) -> None:
        report = (folder / "report.md").read_text()
        for bound in bounds(results):
            assert bound.verdict in ("held", "missed", "not measured")
            assert re.search(rf"\| {re.escape(bound.what)} \|.*\| {bound.verdict} \|", report)

    def test_the_graph_adds_up(self, folder: Path, results: dict, network: Network) -> None:
        found, report = results["graph"], (folder / "report.md").read_text()
        shares = sum(row["share"] for row in found["operators"])
        assert shares + found["floor_us"] / found["p50_us"] == pytest.approx(1)
        assert found["added_us"] == min(row["us"] for row in found["operators"])
        assert "the shares rest on the assumption" in report
        assert found["multiply_adds"] == count_multiply_adds(network)
        assert f"{found['multiply_adds']:,} multiply-adds" in report
        for row in found["operators"]:
            share = percent(row["share"], 1)
            line = f"| {row['operator']} | `{row['node']}` | {row['us']:.1f} | {share} |"
            assert line in report

    def test_publishing_puts_the_pictures_beside_the_report(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(suite, "RESULTS_MD", tmp_path / "RESULTS.md")
        monkeypatch.setattr(suite, "README", tmp_path / "README.md")
        (tmp_path / "README.md").write_text("a\n<!-- bounds: b -->\nold\n<!-- /bounds -->\nc")
        suite.publish(folder)
        table = readme_block(json.loads((folder / "results.json").read_text()))
        assert (tmp_path / "README.md").read_text() == (
            f"a\n<!-- bounds: b -->\n{table}\n<!-- /bounds -->\nc"
        )
        text = (tmp_path / "RESULTS.md").read_text()
        linked = re.findall(r"\]\(([^)]+\.png)\)", text)
        assert len(linked) == 5
        assert all((tmp_path / name).is_file() for name in linked)
        assert (tmp_path / "results" / "results.json").is_file()


def test_the_command_line_runs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: dict[str, object] = {}

    def fake(out: Path, **options: object) -> dict[str, bool]:
        asked.update(options, out=out)
        return {"passed": True}

    monkeypatch.setattr(suite, "run_suite", fake)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--suite", str(tmp_path / "s"), "--quick"])
    assert ended.value.code == 0
    assert (asked["out"], asked["quick"]) == (tmp_path / "s", True)
    assert capsys.readouterr().out == f"{tmp_path / 's' / 'report.md'}\n"


class TestTheCommittedReport:
    def test_it_is_made_of_the_committed_results(self) -> None:
        results = json.loads((suite.RESULTS_MD.parent / "results" / "results.json").read_text())
        assert suite.RESULTS_MD.read_text() == render(results, pictures="results/")
        assert f" -->\n{readme_block(results)}\n<!-- /bounds -->" in suite.README.read_text()
        assert results["passed"]

    def test_it_is_of_the_file_that_ships(self, adder: EdgeAdder) -> None:
        results = json.loads((suite.RESULTS_MD.parent / "results" / "results.json").read_text())
        assert results["bench"]["model"]["sha256"] == adder.model_sha256
        assert results["images"] == "test images"
        assert sum(row["pairs"] for row in results["parity_matrix"]) > 24 * 100_000

    def test_a_document_without_the_block_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("nothing here")
        with pytest.raises(InputError, match="0 blocks 'bounds', expected one"):
            renew_block(tmp_path / "README.md", "bounds", "")


class TestBounds:
    def test_verdicts(self) -> None:
        assert Bound("a", 1.1, "≤", 1.1).verdict == "held"
        assert Bound("a", 1.11, "≤", 1.1).verdict == "missed"
        assert Bound("a", 0.95, "≥", 0.95).verdict == "held"
        assert Bound("a", 0.94, "≥", 0.95).verdict == "missed"
        assert Bound("a", None, "≥", 0.95).verdict == "not measured"

    def test_each_ratio_is_of_the_figures_that_it_names(self, results: dict) -> None:
        found = {bound.what: bound.ratio for bound in bounds(results)}
        calls = results["bench"]["latency"]["calls"]
        assert calls["session_run"]["ratio"] == 1
        assert found["`EdgeAdder.run` / raw `session.run`"] == calls["edge_adder_run"]["ratio"]
        rows = results["peers"]["batches"]["1"]
        assert rows["edge-adder"]["ratio"] == 1
        (eager,) = (row for name, row in rows.items() if name.endswith("eager"))
        assert found["PyTorch eager / `EdgeAdder.run`"] == eager["ratio"] > 0

    def test_all_networks_are_timed_against_the_floor(self, results: dict) -> None:
        assert list(results["networks"]) == ["identity", *NETWORKS]
        assert results["networks"]["identity"]["ratio"] == 1
        assert results["networks"]["bn-adder"]["ratio"] > results["networks"]["edge"]["ratio"] > 1

    def test_an_absent_peer_is_not_measured(self, results: dict) -> None:
        without = json.loads(json.dumps(results))
        rows = without["peers"]["batches"]["1"]
        for name in [name for name in rows if name.startswith("OpenVINO")]:
            del rows[name]
        assert bounds(without)[-1].verdict == "not measured"


class TestPeers:
    def test_all_answer_the_same_images_at_both_batches(self, results: dict) -> None:
        names = {name.split(" ")[0] for name in results["peers"]["batches"]["1"]}
        missing = {name.split(" ")[0] for name in results["peers"]["absent"]}
        assert {"edge-adder", "raw", "PyTorch"} <= names
        assert "OpenVINO" in names | missing
        assert set(results["peers"]["batches"]) == {"1", "64"}

    def test_one_that_cannot_run_is_absent_with_its_reason(
        self, adder: EdgeAdder, network: Network, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: np.ndarray) -> peers.Call:
            raise ImportError("No module named 'other'")

        def only(*_: object) -> dict[str, peers.Peer]:
            return {"edge-adder": lambda i, n: lambda: adder.run(i, n), "other": broken}

        monkeypatch.setattr(peers, "peers", only)
        found = peers.compare_peers(adder, network, 20)
        assert found["absent"] == {"other": "No module named 'other'"}
        assert list(found["batches"]["1"]) == ["edge-adder"]

    def test_one_that_answers_otherwise_stops_the_run(self, adder: EdgeAdder) -> None:
        torch.manual_seed(3)
        stranger = type(checkpoints.load(checkpoints.committed("edge")).build())().eval()
        with pytest.raises(CheckpointError, match=r"PyTorch .* differs from the file by"):
            peers.compare_peers(adder, stranger, 20)

    def test_torchs_threads_are_as_before(self, adder: EdgeAdder, network: Network) -> None:
        before = torch.get_num_threads()
        peers.compare_peers(adder, network, 20)
        assert torch.get_num_threads() == before


class TestScenarios:
    def test_loadgens_figures(self, adder: EdgeAdder) -> None:
        pytest.importorskip("mlperf_loadgen", reason="needs the extra `bench`")
        found = scenarios.run_scenarios(adder, 0.1)
        assert set(found) == {"SingleStream", "MultiStream", "Server", "Offline"}
        assert found["SingleStream"]["queries"] >= 100
        assert found["SingleStream"]["early_stopping_p90_us"] > 1
        assert found["MultiStream"]["p99_us"] > found["SingleStream"]["p90_us"] / 4
        assert found["Offline"]["valid"]
        assert found["Offline"]["samples_per_second"] > 100
        assert found["Server"]["samples_per_second"] < found["Offline"]["samples_per_second"] * 10

    @pytest.mark.parametrize("limit", [50.0, 3000.0, 100_000.0])
    def test_the_server_rate_is_the_highest_that_holds(
        self, adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch, limit: float
    ) -> None:
        asked: list[float] = []

        def fake(_: object, __: str, ___: float, **settings: float) -> dict[str, str]:
            asked.append(settings["server_target_qps"])
            return {"result_validity": "VALID" if asked[-1] <= limit else "INVALID"}

        monkeypatch.setattr(scenarios._Target, "run", fake)
        rate, _ = scenarios._Target(adder).find_server_rate(1)
        assert len(asked) < 30
        if limit < scenarios.LEAST_RATE:
            assert rate == 0
        else:
            assert limit / 1.05 <= rate <= limit

    def test_without_loadgen(self, adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
        assert scenarios.run_scenarios(adder, 0.1) is None

    def test_the_report_calls_them_no_mlperf_results(self, results: dict) -> None:
        if results["scenarios"] is None:
            pytest.skip("needs the extra `bench`")
        assert "MLPerf-style" in render(results)
        assert "no MLPerf results" in render(results)


class TestParityMatrix:
    def test_every_way_is_compared_and_passes(
        self, adder: EdgeAdder, network: Network, tmp_path: Path
    ) -> None:
        images = bundled_vectors()["image"][:26]  # more than a batch of 257 pairs
        lines: list[str] = []
        rows = parity_matrix.run_matrix(
            adder.model_bytes, network, images, tmp_path, progress=lines.append
        )
        ways = {(r["provider"], r["level"], r["batch"], r["threads"]) for r in rows}
        assert len(ways) == len(rows) == len(lines) == len(list(tmp_path.iterdir()))
        assert {way[1] for way in ways} == set(parity_matrix.LEVELS)
        assert {way[2] for way in ways} >= {1, 64, 257}
        assert {way[3] for way in ways} == {1, 2}
        assert {row["pairs"] for row in rows if row["provider"] == "cpu"} == {260}
        assert rows[-1]["provider"] == "onnx.reference"
        assert parity_matrix.passed(rows)
        assert all(r["digit"]["largest_difference"] >= r["digit"]["p99.9_difference"] for r in rows)

    def test_it_resumes_and_begins_anew_for_another_file(
        self, adder: EdgeAdder, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran: list[parity_matrix.Way] = []
        run = parity_matrix._run

        def spy(content: bytes, way: parity_matrix.Way, *arrays: np.ndarray) -> object:
            ran.append(way)
            return run(content, way, *arrays)

        monkeypatch.setattr(parity_matrix, "_run", spy)
        monkeypatch.setattr(parity_matrix, "LEVELS", ("enable_all",))
        images = bundled_vectors()["image"][:3]

        def quiet(_: str) -> None:
            pass

        first = parity_matrix.run_matrix(
            adder.model_bytes, network, images, tmp_path, progress=quiet
        )
        assert len(ran) == len(first) == 7
        min(tmp_path.iterdir()).unlink()
        again = parity_matrix.run_matrix(
            adder.model_bytes, network, images, tmp_path, progress=quiet
        )
        assert len(ran) == 8
        assert again == first
        parity_matrix.run_matrix(adder.model_bytes, network, images[:2], tmp_path, progress=quiet)
        assert len(ran) == 15

    def test_rows_of_other_weights_or_damaged_ones_are_run_again(
        self, adder: EdgeAdder, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parity_matrix, "LEVELS", ("enable_all",))
        images = bundled_vectors()["image"][:2]

        def passes(module: Network) -> bool:
            rows = parity_matrix.run_matrix(
                adder.model_bytes, module, images, tmp_path, progress=lambda _: None
            )
            return parity_matrix.passed(rows)

        assert passes(network)
        torch.manual_seed(3)
        assert not passes(type(network)().eval())
        for path in tmp_path.iterdir():
            path.write_text("{")
        assert passes(network)

    def test_the_reference_evaluator_is_asked_for_every_number(self) -> None:
        for pairs in (100_000, 2000):
            chosen = parity_matrix._sample(pairs)
            assert len(set(chosen)) == parity_matrix.SAMPLE
            assert set(chosen % 10) == set(range(10))  # a pair is an image with one of ten numbers
            assert max(chosen) < pairs
        assert parity_matrix._sample(30).tolist() == list(range(30))

    def test_a_provider_that_is_not_delivered_is_no_row(
        self, adder: EdgeAdder, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if "CUDAExecutionProvider" in ort.get_available_providers():
            pytest.skip("CUDA is here")
        monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
        with pytest.raises(ProviderError, match="cuda"):
            parity_matrix.run_matrix(
                adder.model_bytes,
                network,
                bundled_vectors()["image"][:1],
                tmp_path,
                progress=lambda _: None,
            )

    def test_an_answer_that_is_not_finite_fails_its_row(self, adder: EdgeAdder) -> None:
        vectors = bundled_vectors()
        wanted = adder.run(vectors["image"][:4], vectors["number"][:4])
        for broken in (
            np.where(wanted.digit == wanted.digit.max(), np.nan, wanted.digit),
            np.full_like(wanted.digit, np.nan),
        ):
            row = parity_matrix._differences(Outputs(broken, wanted.sum), wanted)
            assert row["digit"]["largest_difference"] is None
            assert row["sum"]["largest_difference"] == 0
            assert not parity_matrix.passed([row])

    def test_another_network_fails_with_margins(self, adder: EdgeAdder, tmp_path: Path) -> None:
        torch.manual_seed(3)
        stranger = type(checkpoints.load(checkpoints.committed("edge")).build())().eval()
        rows = parity_matrix.run_matrix(
            adder.model_bytes,
            stranger,
            bundled_vectors()["image"][:5],
            tmp_path,
            progress=lambda _: None,
        )
        assert not parity_matrix.passed(rows)
        changed, margins = rows[0]["digit"]["changed_answers"], rows[0]["digit"]["margins"]
        assert len(margins) == min(changed, parity_matrix.MARGINS) > 0
        assert margins == sorted(margins, reverse=True)


def test_files_are_all_answered(adder: EdgeAdder) -> None:
    found = files.measure(adder, bundled_vectors()["image"], files=70, rounds=2)
    assert found["files"] == 70
    rates = found["decoded_per_second"], found["decoded_on_one_per_second"]
    for rate, ratio in zip(rates, (found["ratio"], found["ratio_on_one"]), strict=True):
        assert rate > 1
        assert ratio == pytest.approx(found["predicted_per_second"] / rate, rel=0.9)


def test_the_bundled_vectors_are_those_of_the_bundled_model(adder: EdgeAdder) -> None:
    assert {k: v.tolist() for k, v in load_vectors(adder).items()} == {
        k: v.tolist() for k, v in bundled_vectors().items()
    }
