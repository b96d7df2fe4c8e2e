"""float16 and int8: what the file is, what it claims, and the gate on its answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the development tools need the extra `export`")

from edge_adder import EdgeAdder
from edge_adder.errors import InputError, ParityError
from edge_adder.parity import check_parity, load_vectors
from export import checkpoint as checkpoints
from export import to_onnx, verify
from export.checkpoint import Checkpoint

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.usefixtures("small_gate")


@pytest.fixture(params=["float16", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_file_is_what_it_says(
    committed: Checkpoint, precision: str, tiny_mnist: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.onnx"
    result = to_onnx.export(
        committed, out, precision=precision, data_dir=tiny_mnist, max_changed=0.01
    )
    adder = EdgeAdder(out)
    assert adder.describe()["measured"]["precision"] == precision
    claimed = adder.provenance
    assert claimed["operators"] == adder.describe()["measured"]["operators"]
    assert claimed["precision"] == precision
    assert "metrics" not in claimed
    assert claimed["float32"]["metrics"] == committed.metrics
    assert set(claimed["validation"]) == {"images", "float32", precision}
    assert claimed["parity"]["changed_answers"] <= 0.01
    assert (
        1e-4
        < claimed["parity"]["largest_difference"]
        == max(row.largest_difference for row in result.parity)
    )
    assert (claimed.get("calibration") == "550 training images") == (precision == "int8")
    assert result.size_bytes < 130_000
    answers = adder.run(np.zeros((3, 1, 28, 28), np.uint8), np.zeros(3, np.int64))
    assert {output.dtype for output in answers} == {np.dtype(np.float32)}
    assert check_parity(adder, load_vectors(adder) or {}).passed


def test_an_exact_adder_stays_exact(committed: Checkpoint, precision: str, tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    result = to_onnx.export(committed, out, precision=precision, max_changed=0.03)
    assert {row.contradictions for row in result.parity} == {0}


def test_a_learned_adder_that_int8_breaks_is_refused(tmp_path: Path) -> None:
    """`early-fusion` adds in a layer whose ranges int8 is too coarse for; float16 is not."""
    loaded = checkpoints.load(checkpoints.committed("early-fusion"))
    with pytest.raises(ParityError, match=r"answers changed .* for sum of"):
        to_onnx.export(loaded, tmp_path / "small.onnx", precision="int8")
    assert list(tmp_path.glob("*.onnx")) == []
    to_onnx.export(loaded, tmp_path / "small.onnx", precision="float16")


def test_a_fixed_batch(committed: Checkpoint, precision: str, tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    to_onnx.export(committed, out, precision=precision, batch=1, max_changed=0.03)
    assert EdgeAdder(out).batch == 1


def test_the_same_checkpoint_gives_the_same_bytes(
    committed: Checkpoint, precision: str, tmp_path: Path
) -> None:
    made = []
    for name in ("one.onnx", "two.onnx"):
        to_onnx.export(committed, tmp_path / name, precision=precision, max_changed=0.03)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


def row(changed: int, contradictions: int = 0) -> verify.ParityRow:
    return verify.ParityRow("digits", 1000, 1, "digit", 0.5, changed, contradictions)


def test_the_gate_is_on_answers(committed: Checkpoint) -> None:
    network = committed.build()
    verify.check_answers([row(2)], network, 0.002)
    with pytest.raises(ParityError, match=r"3 of 1000 answers changed \(0\.3 %\).*0\.2 % may"):
        verify.check_answers([row(3)], network, 0.002)
    with pytest.raises(ParityError, match="sum is not digit \\+ number in 1 of 1000 pairs"):
        verify.check_answers([row(0, 1)], network, 0.002)


def test_lost_accuracy_leaves_the_old_file(
    committed: Checkpoint, tiny_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "small.onnx"
    out.write_bytes(b"old")
    monkeypatch.setattr(verify, "digit_accuracy", lambda *_: (0.99, 0.9894))
    with pytest.raises(ParityError, match=r"int8 reads 98\.94 % of 50 validation digits, float32"):
        to_onnx.export(committed, out, precision="int8", data_dir=tiny_mnist, max_changed=0.5)
    assert out.read_bytes() == b"old"


def test_what_is_no_precision(committed: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="precision must be one of float32, float16, int8"):
        to_onnx.export(committed, tmp_path / "x.onnx", precision="int4")
    with pytest.raises(InputError, match="max_changed must be 0 or more and below 1"):
        to_onnx.export(committed, tmp_path / "x.onnx", precision="int8", max_changed=2)


def test_the_command(edge_adder: Run, tiny_mnist: Path) -> None:
    options = ("--precision", "int8", "--max-changed", "1", "--data-dir", tiny_mnist)
    done = edge_adder("export", "--out", "int8.onnx", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "at most 1 % changed answers" in done.stdout
    assert "digit accuracy on 50 validation images: float32 " in done.stdout
    info = json.loads(edge_adder("info", "int8.onnx", "--json").stdout)
    assert info["measured"]["precision"] == "int8"
    assert info["provenance"]["parity"]["max_changed"] == 0.01
    done = edge_adder("export", "--precision", "int8", "--max-changed", "x")
    assert done.returncode == 2
