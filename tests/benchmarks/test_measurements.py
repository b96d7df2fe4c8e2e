"""Measurements of processes and files, and the accuracy that the bundled model states."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the development tools")

from benchmarks import files, startup
from edge_adder import EdgeAdder
from edge_adder.errors import EdgeAdderError
from edge_adder.evaluation import datasets
from edge_adder.evaluation.evaluate import evaluate
from edge_adder.parity import bundled_vectors

ROOT = Path(__file__).parents[2]


def test_startup_compares_two_processes_that_answer(capsys: pytest.CaptureFixture[str]) -> None:
    startup.main(runs=1)
    ours, bare, ratio = capsys.readouterr().out.splitlines()
    milliseconds = [float(line.split(" ms")[0].split()[-1]) for line in (ours, bare)]
    assert all(value > 10 for value in milliseconds)
    assert float(ratio.split()[1]) == pytest.approx(milliseconds[0] / milliseconds[1], abs=0.01)


def test_startup_refuses_a_wrong_answer() -> None:
    with pytest.raises(EdgeAdderError, match="answered 'nothing"):
        startup.time_process([sys.executable, "-c", "print('nothing')"])


def test_the_bare_script_has_ten_lines() -> None:
    source = (ROOT / "benchmarks" / "bare.py").read_text()
    code = source.partition('"""\n')[2].splitlines()
    assert 0 < len([line for line in code if line and not line.startswith(("import", "from"))]) < 11


def test_all_files_are_answered(adder: EdgeAdder) -> None:
    found = files.measure(adder, bundled_vectors()["image"], files=70, rounds=2)
    assert found["files"] == 70
    rates = found["decoded_per_second"], found["decoded_on_one_per_second"]
    for rate, ratio in zip(rates, (found["ratio"], found["ratio_on_one"]), strict=True):
        assert rate > 1
        assert ratio == pytest.approx(found["predicted_per_second"] / rate, rel=0.9)


@pytest.mark.mnist
def test_the_bundled_model_is_as_accurate_as_its_provenance_says(adder: EdgeAdder) -> None:
    stated = adder.provenance["metrics"]["test"]
    found = evaluate(adder, datasets.load())
    assert found.pairs == stated["pairs"] == 100_000
    assert (found.digit, found.sum) == pytest.approx((stated["digit"], stated["sum"]))
