"""Model files that `torch.onnx.export` made by itself, in anyone's hands."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the development tools need the extra `export`")

import onnx
import torch

from edge_adder import EdgeAdder
from edge_adder.errors import ContractError, ModelError, ParityError
from export import networks
from export.adopt import adopt
from export.checkpoint import Checkpoint

from .networks import users_networks as users

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.usefixtures("small_gate")


def foreign(path: Path, network: torch.nn.Module, **options: object) -> Path:
    """Export a network as the documentation of PyTorch shows."""
    torch.manual_seed(0)
    sample = (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    axis = {0: torch.export.Dim("n")}
    settings: dict = {"dynamic_shapes": (axis, axis), "verbose": False} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), sample, path, dynamo=True, **settings)
    return path


@pytest.fixture
def right() -> torch.nn.Module:
    torch.manual_seed(0)
    return users.Right()


def test_it_gets_the_contract_and_no_vectors(right: torch.nn.Module, tmp_path: Path) -> None:
    source = foreign(tmp_path / "theirs.onnx", right)
    assert (tmp_path / "theirs.onnx.data").is_file()  # its weights, which are taken in
    result = adopt(source, tmp_path / "mine.onnx")
    (tmp_path / "theirs.onnx.data").unlink()
    adder = EdgeAdder(result.path)
    assert adder.batch is None
    assert result.vectors is None
    assert adder.provenance["network"] == "theirs.onnx"
    assert adder.provenance["parity"] == {"against": None}
    assert adder.provenance["adopted"]["producer"].startswith("pytorch ")
    assert sorted(p.name for p in tmp_path.glob("mine*")) == ["mine.onnx"]


@pytest.mark.parametrize(
    "names",
    [
        {"input_names": ["x", "n"], "output_names": ["a", "b"]},
        {"input_names": ["number", "image"], "output_names": ["sum", "digit"]},
    ],
)
def test_other_names_are_known_by_dtype_and_shape(
    right: torch.nn.Module, tmp_path: Path, names: dict[str, list[str]]
) -> None:
    source = foreign(tmp_path / "theirs.onnx", right, **names)
    reference = Checkpoint(f"{users.__file__}:Right", right.state_dict(), {}, {})
    result = adopt(source, tmp_path / "mine.onnx", reference=reference)
    assert set(result.renamed) == {"image", "number", "digit", "sum"}
    assert result.vectors == tmp_path / "mine.parity.npz"
    assert max(row.largest_difference for row in result.parity) < 1e-4
    assert result.provenance["parity"]["against"] == "PyTorch"


def test_a_fixed_batch(right: torch.nn.Module, tmp_path: Path) -> None:
    source = foreign(tmp_path / "theirs.onnx", right, dynamic_shapes=None)
    assert EdgeAdder(adopt(source, tmp_path / "mine.onnx").path).batch == 2


def test_another_reference_is_refused(right: torch.nn.Module, tmp_path: Path) -> None:
    source = foreign(tmp_path / "theirs.onnx", right)
    other = Checkpoint("edge", networks.create("edge").state_dict(), {}, {})
    with pytest.raises(ParityError, match="differs from PyTorch by"):
        adopt(source, tmp_path / "mine.onnx", reference=other)
    assert not (tmp_path / "mine.onnx").exists()


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (users.Logits, ModelError, r"digit has no log-probabilities.*append log_softmax\(dim=1\)"),
        (users.Probabilities, ModelError, "digit has probabilities"),
        (users.NineDigits, ContractError, r"has the outputs .*: float32 \(n, 9\), "),
        (users.ThreeOutputs, ContractError, r"has the outputs .*expected float32 \(batch, 10\)"),
        (users.Double, ContractError, r"has the outputs .*: double \(n, 10\)"),
    ],
)
def test_what_breaks_the_contract(kind: type, error: type, message: str, tmp_path: Path) -> None:
    source = foreign(tmp_path / "theirs.onnx", kind())
    with pytest.raises(error, match=message):
        adopt(source, tmp_path / "mine.onnx")
    assert not (tmp_path / "mine.onnx").exists()


def test_answers_that_depend_on_the_batch(tmp_path: Path) -> None:
    class Mixed(users.Right):
        def forward(self, image: torch.Tensor, number: torch.Tensor) -> object:
            digit, total = super().forward(image, number)
            return (digit - digit.mean(0) * 2).log_softmax(1), total

    source = foreign(tmp_path / "theirs.onnx", Mixed())
    with pytest.raises(ParityError, match="in batches of 2 differ from those of single images"):
        adopt(source, tmp_path / "mine.onnx")


def test_a_float_image_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "theirs.onnx"
    make = onnx.helper.make_tensor_value_info
    inputs = [make("x", 1, ["n", 1, 28, 28]), make("number", 7, ["n"])]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "g", inputs, [make("y", 1, ["n", 10])]
    )
    onnx.save(onnx.helper.make_model(graph), path)
    with pytest.raises(ContractError, match=r"x: float32 \(n, 1, 28, 28\).*scale_image\(image\)"):
        adopt(path, tmp_path / "mine.onnx")


@pytest.mark.parametrize("content", [b"", b"text", b"\x08\x08\x12"])
def test_what_is_no_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a complete ONNX file"):
        adopt(path, tmp_path / "mine.onnx")


def test_weights_that_are_not_beside_it(right: torch.nn.Module, tmp_path: Path) -> None:
    source = foreign(tmp_path / "theirs.onnx", right)
    (tmp_path / "theirs.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"is not a complete ONNX file: .*theirs\.onnx\.data"):
        adopt(source, tmp_path / "mine.onnx")


def test_the_command(edge_adder: Run, right: torch.nn.Module, tmp_path: Path) -> None:
    foreign(tmp_path / "theirs.onnx", right, output_names=["a", "b"])
    done = edge_adder("adopt", "theirs.onnx", "--out", "mine.onnx")
    assert done.returncode == 0, done.stderr
    assert "names: a is now digit, b is now sum" in done.stdout
    assert "no parity vectors: nothing says what the file should compute" in done.stdout
    facts = json.loads(edge_adder("info", "mine.onnx", "--json").stdout)
    assert facts["measured"]["precision"] == "float32"
    assert facts["measured"]["operators"] == facts["provenance"]["operators"]
    torch.save(right.state_dict(), tmp_path / "weights.pt")
    reference = ("--network", f"{users.__file__}:Right", "--checkpoint", "weights.pt")
    done = edge_adder("adopt", "theirs.onnx", "--out", "mine.onnx", *reference)
    assert done.returncode == 0, done.stderr
    assert "mine.parity.npz: " in done.stdout
    assert edge_adder("adopt", "none.onnx").returncode == 3
