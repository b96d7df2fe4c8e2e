"""One file and one line of the registry, and every command takes a new network."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_adder.cli.main import main as cli
from export import networks

from . import toy_network

Main = Callable[..., tuple[int, str]]


@pytest.fixture
def main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Main:
    """The command line in this process, where the registry has a seventh line."""
    monkeypatch.setitem(networks.NETWORKS, "toy", toy_network.Toy)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        return int(ended.value.code), capsys.readouterr().out

    return run


def test_it_trains_exports_predicts_and_is_evaluated(
    main: Main, tiny_mnist: Path, tmp_path: Path
) -> None:
    data = ("--data-dir", tiny_mnist)
    code, out = main("train", "--network", "toy", "--device", "cpu", *data)
    assert code == 0
    assert "bar of digit 90.00% and sum 90.00% on the test images: " in out
    checkpoint = tmp_path / "runs" / "toy" / "checkpoint.safetensors"
    assert json.loads(checkpoint.with_suffix(".json").read_text())["config"]["epochs"] == 5

    code, out = main("export", "--checkpoint", checkpoint, "--out", "toy.onnx", *data)
    assert code == 0
    assert "1,000 drawn digits" in out

    sample = Path(__file__).parents[2] / "examples" / "seven.png"
    code, out = main(
        "predict", sample, "5", "--model", "toy.onnx", "--json", "--min-probability", "0"
    )
    assert code == 0
    answer = json.loads(out)
    assert answer["model"] == "toy.onnx"
    assert answer["sum"] == answer["digit"] + 5

    code, out = main("evaluate", "--model", "toy.onnx", "--json", *data)
    assert code == 0
    recorded = json.loads(checkpoint.with_suffix(".json").read_text())["metrics"]["test"]
    assert json.loads(out)["digit"] == pytest.approx(recorded["digit"], abs=1e-9)
    assert json.loads(out)["pairs"] == recorded["pairs"]


def test_a_committed_checkpoint_is_evaluated_by_its_name(main: Main, tiny_mnist: Path) -> None:
    asked = ("evaluate", "--network", "scalar-concat", "--data-dir", tiny_mnist)
    code, out = main(*asked, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["network"] == "scalar-concat"
    assert 0.5 < found["sum"] < found["digit"] <= 1
    code, _ = main("evaluate", "--network", "wide", "--data-dir", tiny_mnist)
    assert code == 3


def test_it_is_listed_with_what_is_known_of_it(main: Main) -> None:
    code, out = main("networks", "--json")
    assert code == 0
    facts = json.loads(out)[-1]
    assert facts["name"] == "toy"
    assert facts["parameters"] == 7850
    assert facts["multiply_adds"] == 7840
    assert (facts["digit"], facts["size_bytes"], facts["committed"]) == (None, None, False)
    code, out = main("networks")
    assert "toy: no checkpoint of toy is committed: make one with `edge-adder train" in out
