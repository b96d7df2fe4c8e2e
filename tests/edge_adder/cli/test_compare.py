"""`edge-adder compare`: may B take the place of A."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.evaluation import compare as comparison
from edge_adder.predictor import BUNDLED_MODEL

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "CALLS", 20)
    monkeypatch.setattr(comparison.compare, "__kwdefaults__", {"calls": 20})
    monkeypatch.delenv("EDGE_ADDER_DATA", raising=False)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The bundled model with one weight of the last layer's bias set to 100: it reads one digit."""
    content = bytearray(EdgeAdder().model_bytes)
    data = bytes(content)
    for found in re.finditer(b"conv5.bias", data):
        start = data.find(b"\x4a\x28", found.end() - 60, found.end() + 60)  # raw_data, 40 bytes
        if start >= 0:
            content[start + 2 : start + 6] = np.float32(100).tobytes()
            break
    else:
        raise AssertionError("no bias")
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    return path


def test_a_model_and_itself(edge_adder: Run) -> None:
    done = edge_adder("compare", BUNDLED_MODEL, BUNDLED_MODEL, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["pairs"], found["changed_answers"], found["largest_difference"]) == (3000, 0, 0)
    assert found["a"] | {"p50_us": 0, "images_per_second": 0} == found["b"] | {
        "p50_us": 0,
        "images_per_second": 0,
    }
    assert found["a"]["sha256"] == EdgeAdder().model_sha256
    assert (found["a"]["digit"], found["accuracy_loss"], found["exceeded"]) == (None, None, [])


def test_a_model_that_reads_one_digit_alone(edge_adder: Run, other: Path) -> None:
    bounds = ("--max-changed", "50", "--max-difference", "1")
    done = edge_adder("compare", BUNDLED_MODEL, other, *bounds)
    assert done.returncode == 6
    assert "2,700 of 3,000 answers change (90.00 %)" in done.stdout
    assert "edge-adder: 90 % of the answers change, the bound is 50\n" in done.stderr
    assert "nats is the largest difference, the bound is 1" in done.stderr
    assert edge_adder("compare", BUNDLED_MODEL, other).returncode == 0


def test_accuracy_comes_from_labelled_pictures(
    edge_adder: Run, other: Path, vectors: dict, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for index, digit in enumerate(vectors["digit"][:50].argmax(1)):
        picture = Image.fromarray(vectors["image"][index, 0])
        picture.save(tmp_path / "data" / f"{digit}_{index}.png")
    data = ("--data-dir", tmp_path / "data")
    done = edge_adder("compare", BUNDLED_MODEL, other, *data, "--max-accuracy-loss", "5", "--json")
    assert done.returncode == 6
    found = json.loads(done.stdout)
    assert (found["a"]["digit"], found["b"]["digit"]) == (1.0, pytest.approx(0.1))
    assert found["accuracy_loss"] == pytest.approx(0.9)
    assert found["exceeded"] == ["90 % of the accuracy is lost, the bound is 5"]


def test_a_bound_of_the_latency(edge_adder: Run) -> None:
    done = edge_adder("compare", BUNDLED_MODEL, BUNDLED_MODEL, "--max-latency", "0")
    assert done.returncode == 6
    assert "times as long is a run, the bound is 0" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--max-changed", "-1"), 2, "--max-changed must be 0 or more, got -1.0"),
        (("--max-accuracy-loss", "1"), 2, "needs labelled pictures: name their --data-dir"),
        (("--data-dir", "nowhere"), 2, "nowhere"),
    ],
)
def test_what_cannot_be_compared(
    edge_adder: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    done = edge_adder("compare", BUNDLED_MODEL, BUNDLED_MODEL, *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert message in done.stderr
    assert edge_adder("compare", BUNDLED_MODEL, "none.onnx").returncode == 3
