"""One file and one line of the registry, and every command takes a new network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from export import networks

from . import toy_network

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry has a seventh line."""
    monkeypatch.setitem(networks.NETWORKS, "toy", toy_network.Toy)


@pytest.mark.usefixtures("small_gate")
def test_it_trains_exports_predicts_and_is_evaluated(
    edge_adder: Run, tiny_mnist: Path, tmp_path: Path
) -> None:
    data = ("--data-dir", tiny_mnist)
    done = edge_adder("train", "--network", "toy", "--device", "cpu", *data)
    assert done.returncode == 0
    assert "bar of digit 90.00 % and sum 90.00 % on the test images: " in done.stdout
    checkpoint = tmp_path / "runs" / "toy" / "checkpoint.safetensors"
    record = json.loads(checkpoint.with_suffix(".json").read_text())
    assert record["config"]["epochs"] == 3

    done = edge_adder("export", "--checkpoint", checkpoint, "--out", "toy.onnx", *data)
    assert done.returncode == 0
    assert "20 synthetic digits" in done.stdout

    sample = Path(__file__).parents[2] / "examples" / "seven.png"
    options = ("--model", "toy.onnx", "--json", "--min-probability", "0")
    done = edge_adder("predict", sample, "5", *options)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["sum"] == answer["digit"] + 5

    done = edge_adder("evaluate", "--model", "toy.onnx", "--json", *data)
    assert done.returncode == 0
    found, recorded = json.loads(done.stdout), record["metrics"]["test"]
    assert found["digit"] == pytest.approx(recorded["digit"], abs=1e-9)
    assert found["pairs"] == recorded["pairs"]


def test_a_committed_checkpoint_is_evaluated_by_its_name(edge_adder: Run, tiny_mnist: Path) -> None:
    data = ("--data-dir", tiny_mnist)
    done = edge_adder("evaluate", "--network", "scalar-concat", *data, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["network"] == "scalar-concat"
    assert 0.5 < found["sum"] < found["digit"] <= 1
    assert edge_adder("evaluate", "--network", "wide", *data).returncode == 3


def test_it_is_listed_with_its_facts(edge_adder: Run) -> None:
    facts = json.loads(edge_adder("networks", "--json").stdout)[-1]
    assert facts["name"] == "toy"
    assert facts["parameters"] == 7850
    assert facts["multiply_adds"] == 7840
    assert (facts["digit"], facts["size_bytes"], facts["committed"]) == (None, None, False)
    listed = edge_adder("networks").stdout
    assert (
        "toy: no checkpoint of toy is here: train it, or pass --checkpoint: `edge-adder train"
        in listed
    )
