"""The measuring commands run, and what they print is measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

from benchmarks import accuracy, startup
from edge_adder import EdgeAdder
from edge_adder.errors import EdgeAdderError

ROOT = Path(__file__).parents[2]


def test_startup_compares_two_processes_that_answer(capsys: pytest.CaptureFixture[str]) -> None:
    startup.main(runs=1)
    ours, bare, ratio = capsys.readouterr().out.splitlines()
    milliseconds = [float(line.split(" ms")[0].split()[-1]) for line in (ours, bare)]
    assert all(value > 10 for value in milliseconds)
    assert float(ratio.split()[1]) == pytest.approx(milliseconds[0] / milliseconds[1], abs=0.01)


def test_startup_refuses_a_command_that_answers_wrongly() -> None:
    with pytest.raises(EdgeAdderError, match="answered 'nothing"):
        startup.seconds([sys.executable, "-c", "print('nothing')"])


def test_the_bare_script_has_ten_lines() -> None:
    source = (ROOT / "benchmarks" / "bare.py").read_text()
    code = source.partition('"""\n')[2].splitlines()
    assert (
        0 < len([line for line in code if line and not line.startswith(("import", "from"))]) <= 10
    )


def test_accuracy_asks_arrays_and_files(
    tiny_mnist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accuracy.main(files=10, data_dir=tiny_mnist)
    arrays, files = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"arrays: 1,000 pairs, digit (9[5-9]|100)\.\d\d%, sum .*%", arrays)
    assert files.startswith("PNG files through `edge-adder predict`: 100 pairs of 10 files, digit ")
    assert files.endswith("the same answers as the arrays: True")


def test_accuracy_counts_wrong_answers(
    tiny_mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for source in (tiny_mnist / "MNIST" / "raw").iterdir():
        data = bytearray(source.read_bytes())
        if source.name == "t10k-labels-idx1-ubyte":
            data[8:33] = bytes((label + 1) % 10 for label in data[8:33])  # a quarter is wrong
        (raw / source.name).write_bytes(data)
    accuracy.main(files=4, data_dir=tmp_path)
    shown = capsys.readouterr().out
    assert 70 <= float(re.search(r"digit ([0-9.]+)%", shown)[1]) <= 75


@pytest.mark.mnist
def test_the_bundled_model_is_as_accurate_as_its_provenance_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.accuracy", "--files", "100"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    test = EdgeAdder().provenance["metrics"]["test"]
    wanted = f"arrays: 100,000 pairs, digit {test['digit']:.2%}, sum {test['sum']:.2%}"
    assert done.stdout.splitlines()[0] == wanted
    assert done.stdout.splitlines()[1].endswith("the same answers as the arrays: True")
