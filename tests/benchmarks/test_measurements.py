"""What the suite's parts measure: peers, scenarios, processes, files, accuracy."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

pytest.importorskip("torch", reason="needs the development tools")


from benchmarks import files, scenarios, startup
from edge_adder import EdgeAdder
from edge_adder.errors import EdgeAdderError
from edge_adder.evaluation import datasets
from edge_adder.evaluation.evaluate import evaluate
from edge_adder.parity import bundled_vectors

BARE_SCRIPT = Path(startup.__file__).with_name("bare.py")


class TestScenarios:
    def test_loadgen_measures_four(self, adder: EdgeAdder) -> None:
        pytest.importorskip("mlperf_loadgen", reason="needs the extra `bench`")
        found = scenarios.run_scenarios(adder, 0.05)
        single, multi, server, offline = found.values()
        assert list(found) == ["SingleStream", "MultiStream", "Server", "Offline"]
        assert single["queries"] >= 100
        assert single["early_stopping_p90_us"] > 1
        assert multi["p99_us"] > single["p90_us"] / 4
        assert offline["valid"]
        assert offline["samples_per_second"] > 100
        assert server["samples_per_second"] < offline["samples_per_second"] * 10

    def test_a_failure_in_loadgens_thread_is_raised(self, adder: EdgeAdder) -> None:
        pytest.importorskip("mlperf_loadgen", reason="needs the extra `bench`")
        target = scenarios._Target(adder)
        target.images = target.images[:, 0]
        with pytest.raises(EdgeAdderError, match="image"):
            target.run("SingleStream", 0.01, single_stream_expected_latency_ns=1_000_000)

    @pytest.mark.parametrize("limit", [50.0, 3000.0, 100_000.0])
    def test_the_server_rate_is_the_highest_valid_one(
        self, adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch, limit: float
    ) -> None:
        def fake(*_: object, server_target_qps: float, **__: object) -> dict[str, str]:
            return {"result_validity": "VALID" if server_target_qps <= limit else "INVALID"}

        run = Mock(side_effect=fake)
        monkeypatch.setattr(scenarios._Target, "run", run)
        rate, _ = scenarios._Target(adder).find_server_rate(1)
        assert run.call_count < 30
        assert limit / 1.05 <= rate <= limit or (rate == 0 and limit < scenarios.MIN_RATE)

    def test_without_loadgen_there_are_none(
        self, adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
        assert scenarios.run_scenarios(adder, 0.1) is None


def test_startup_compares_two_processes_that_answer(capsys: pytest.CaptureFixture[str]) -> None:
    startup.main(runs=1)
    ours, bare, ratio = capsys.readouterr().out.splitlines()
    slow, fast = (float(line.split(" ms")[0].split()[-1]) for line in (ours, bare))
    assert min(slow, fast) > 10  # milliseconds
    assert float(ratio.split()[1]) == pytest.approx(slow / fast, abs=0.01)


def test_startup_refuses_a_wrong_answer() -> None:
    with pytest.raises(EdgeAdderError, match="answered 'nothing"):
        startup.time_process([sys.executable, "-c", "print('nothing')"])


def test_the_bare_script_has_ten_lines() -> None:
    code = BARE_SCRIPT.read_text().partition('"""\n')[2].splitlines()
    assert 0 < len([line for line in code if line and not line.startswith(("import", "from"))]) < 11


def test_all_files_are_answered(adder: EdgeAdder) -> None:
    found = files.measure(adder, bundled_vectors()["image"], files=70, rounds=2)
    assert found["files"] == 70
    for kind in ("", "_on_one"):
        ratio = found["predicted_per_second"] / found[f"decoded{kind}_per_second"]
        assert found[f"ratio{kind}"] == pytest.approx(ratio, rel=0.9)


@pytest.mark.mnist
def test_the_bundled_model_is_as_accurate_as_its_provenance_says(adder: EdgeAdder) -> None:
    stated = adder.provenance["metrics"]["test"]
    found = evaluate(adder, datasets.load())
    assert found.pairs == stated["pairs"] == 100_000
    assert (found.digit, found.sum) == pytest.approx((stated["digit"], stated["sum"]))
