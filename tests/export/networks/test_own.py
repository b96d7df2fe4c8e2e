"""Networks of the user's own: what works, and the line that each usual mistake gets."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the development tools need the extra `export`")

import torch

from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError, EdgeAdderError, InputError, ModelError
from export import checkpoint as checkpoints
from export import networks, to_onnx
from export.checkpoint import Checkpoint

USERS = Path(__file__).with_name("users_networks.py")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def export(name: str, out: Path) -> EdgeAdder:
    """Make, check, trace, gate and load a network of `USERS`."""
    torch.manual_seed(0)
    network = f"{USERS}:{name}"
    weights = networks.create(network).state_dict()
    return EdgeAdder(to_onnx.export(Checkpoint(network, weights, {}, {}), out).path)


@pytest.mark.parametrize("name", ["Right", "OtherNames", "Lazy", "NoDimension", "GridSample"])
@pytest.mark.usefixtures("small_gate")
def test_what_keeps_the_contract_is_exported(name: str, tmp_path: Path) -> None:
    adder = export(name, tmp_path / "own.onnx")
    assert adder.provenance["network"] == f"users_networks.py:{name}"
    sha256 = hashlib.sha256(USERS.read_bytes()).hexdigest()
    source = {"class": name, "file": "users_networks.py", "sha256": sha256}
    assert adder.provenance["source"] == source


FLOAT_IMAGE = "image arrives as uint8, 0 to 255: begin with image = scale_image(image)"
ENCODED = "number arrives as int64 (batch,): begin with number = one_hot(number)"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Logits", "digit has no log-probabilities: exp of them sums to "),
        ("Logits", "expected 1 within 0.001: append log_softmax(dim=1)"),
        ("Probabilities", "digit has probabilities, expected their logarithms: use log_softmax("),
        ("OverTheBatch", "depends on the others in its batch: use log_softmax(dim=1), not dim=0"),
        ("SumFirst", "forward returns sum, then digit: return digit, sum"),
        ("Dictionary", "forward returns a dict, expected a tuple: return digit, sum"),
        ("OneOutput", "forward returns one Tensor, expected two tensors: return digit, sum"),
        ("ThreeOutputs", "forward returns 3 outputs, expected two tensors: return digit, sum"),
        ("NineDigits", "digit has shape (4, 9) for 4 images, expected (4, 10)"),
        ("Double", "digit is float64, expected float32: append .float()"),
        ("FloatImage", f"forward fails: {FLOAT_IMAGE}"),
        ("EncodedNumber", f"forward fails: {ENCODED}"),
        ("FloatImageAndEncodedNumber", f"forward fails: {FLOAT_IMAGE}; {ENCODED}"),
        ("Swapped", "forward takes (number, image), expected image first"),
        ("SwappedUnderOtherNames", "it takes number first: expected image, then number"),
        ("ImageAlone", "expected two arguments by position: image, number"),
        ("Dropped", "the same image is answered differently each time: let dropout"),
        ("BatchStatistics", "forward fails for a single image: line "),
        ("Branch", "cannot be traced at line "),
        ("Branch", "(if torch.isnan(digit).any():): forward decides by the values of its inputs"),
        ("FixedBatch", "forward fixes the batch size: use image.shape[0] without int()"),
        ("Numpy", "forward leaves PyTorch, with numpy() or the like: use tensor operations"),
        ("NumberUnused", "forward does not use number, expected answers that depend on it"),
        ("NeedsArguments", "needs arguments (width), expected a class that is made without any"),
        ("CannotBeMade", '(raise ValueError("no\\nway")): ValueError: no way'),
        ("Misspelt", "'Misspelt' object has no attribute 'missing'"),
    ],
)
@pytest.mark.usefixtures("small_gate")
def test_each_mistake_has_one_line(
    name: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckpointError) as refused:
        export(name, tmp_path / "own.onnx")
    assert message in str(refused.value)
    assert f"users_networks.py:{name}" in str(refused.value)
    assert len(str(refused.value)) < 500
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 3
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.glob("*.onnx")) == []


def test_a_file_that_is_too_large_says_so(
    committed: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_onnx, "MAX_MODEL_BYTES", 200_000)
    with pytest.raises(CheckpointError, match=r"gives a file of 227,\d+ bytes, expected at most"):
        to_onnx.to_onnx(committed.build(), committed)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("none.py:Net", "none.py: no such file, expected a Python file with the network's class"),
        (".:Net", "network must be"),
        ("net.txt:Net", "module"),
        ("./net.txt:Net", "net.txt is no Python file: expected path/to/file.py:Class"),
        (f"{USERS}:", "network must be a name, package.module:Class or file.py:Class, got "),
        (f"{USERS}:None_", "has no class 'None_': it has Right, OtherNames, Lazy, NoDimension"),
        (f"{USERS}:not_a_class", "is no class of torch.nn.Module: derive it from nn.Module"),
        ("no_such_package.nets:Net", "no_such_package.nets cannot be imported: ModuleNotFound"),
        ("syntax.py:Net", "syntax.py cannot be imported: line 2: "),
        ("broken.py:Net", "broken.py cannot be imported: line 1 (import nowhere): ModuleNotFound"),
        ("leaves.py:Net", "leaves.py cannot be imported: line 1 (raise SystemExit(0)): "),
        ("none", "network must be one of edge, scalar-concat"),
    ],
)
def test_what_cannot_be_imported(
    network: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.txt").write_text("")
    Path("syntax.py").write_text("x = 1\nclass Net(:")
    Path("broken.py").write_text("import nowhere")
    Path("leaves.py").write_text("raise SystemExit(0)")
    with pytest.raises(InputError) as refused:
        networks.find(network)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_imports_what_lies_beside_it_and_a_module_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "sizes_beside.py").write_text("WIDTH = 3")
    text = "from torch import nn\nfrom {} import WIDTH\nclass Net(nn.Module):\n    width = WIDTH\n"
    (place / "net.py").write_text(text.format("sizes_beside"))
    assert networks.find(f"{place / 'net.py'}:Net").width == 3
    (tmp_path / "package_here").mkdir()
    (tmp_path / "package_here" / "sizes.py").write_text("WIDTH = 4")
    (tmp_path / "package_here" / "net.py").write_text(text.format("package_here.sizes"))
    monkeypatch.chdir(tmp_path)
    assert networks.find("package_here.net:Net").width == 4


@pytest.mark.usefixtures("small_gate")
def test_every_command_takes_it(edge_adder: Run, tiny_mnist: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(USERS.read_text())
    data = ("--data-dir", tiny_mnist)
    settings = ("--epochs", "2", "--batch-size", "50", "--device", "cpu")
    done = edge_adder("train", "--network", "mine.py:Right", *settings, *data)
    assert done.returncode == 0, done.stderr
    assert "bar of" not in done.stdout
    checkpoint = tmp_path / "runs" / "Right" / "checkpoint.safetensors"
    record = json.loads(checkpoint.with_suffix(".json").read_text())
    assert record["network"] == "mine.py:Right"
    assert record["source"]["sha256"] == hashlib.sha256(USERS.read_bytes()).hexdigest()

    for command in (
        ("export", "--checkpoint", checkpoint),
        ("evaluate", "--checkpoint", checkpoint, *data),
    ):
        done = edge_adder(*command)
        assert done.returncode == 3
        assert "pass --network mine.py:Right, which runs that file" in done.stderr
    done = edge_adder("train", "--resume", "--out", "runs/Right", *data)
    assert (done.returncode, "pass --network mine.py:Right" in done.stderr) == (2, True)

    named = ("--network", "mine.py:Right", "--checkpoint", checkpoint)
    assert edge_adder("export", *named, "--out", "own.onnx", *data).returncode == 0
    done = edge_adder("evaluate", *named, "--json", *data)
    found = json.loads(done.stdout)
    assert found["network"] == "mine.py:Right"
    assert found["digit"] == pytest.approx(record["metrics"]["test"]["digit"], abs=1e-9)
    done = edge_adder("export", "--network", "mine.py:Right")
    assert (done.returncode, done.stderr) == (
        2,
        "edge-adder: error: no checkpoint of mine.py:Right is committed: pass --checkpoint\n",
    )


def test_a_path_that_only_a_checkpoint_names_is_not_imported(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(USERS.read_text())
    network = f"{file}:Right"
    path = tmp_path / "bad.safetensors"
    checkpoints.save(Checkpoint(network, networks.create(network).state_dict(), {}, {}), path)
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(CheckpointError, match="pass --network"):
        checkpoints.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("Logits", "digit has no log-probabilities"), ("Probabilities", "digit has probabilities")],
)
def test_the_runtime_refuses_a_file_without_log_probabilities(name: str, message: str) -> None:
    """The file claims the contract, as one made by another program may."""
    network = f"{USERS}:{name}"
    module = networks.find(network)()
    content = to_onnx.to_onnx(module, Checkpoint(network, module.state_dict(), {}, {}))
    with pytest.raises(ModelError, match=f"bytes breaks the contract: {message}") as refused:
        EdgeAdder(content)
    assert isinstance(refused.value, EdgeAdderError)
    assert refused.value.exit_code == 3
