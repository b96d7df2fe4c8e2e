"""Export: the file describes itself, repeats, and appears only if it computes what PyTorch does."""

from __future__ import annotations

import io
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edge_adder import EdgeAdder, ExitCode, parity
from edge_adder.contract import CONTRACT, CONTRACT_KEY, PROVENANCE_KEY
from edge_adder.errors import FileAccessError, InputError, ParityError
from edge_adder.evaluation.datasets import DATA_VARIABLE
from edge_adder.parity import PARITY_BOUND
from edge_adder.predictor import BUNDLED_MODEL
from export import checkpoint as checkpoints
from export import networks, to_onnx, verify
from export.checkpoint import Checkpoint
from export.data import load_mnist
from export.synthetic.digits import draw_digits
from export.verify import BATCHES, ParityRow

Run = Callable[..., "subprocess.CompletedProcess[str]"]

COMMITTED = [name for name in networks.NETWORKS if name != "wide"]
ROWS = [(batch, output) for batch in BATCHES for output in ("digit", "sum")]


@pytest.fixture(scope="session")
def model(content: bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(content)


@pytest.fixture
def traced(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed checkpoint is not traced again, for tests of what is done with the file."""
    monkeypatch.setattr(to_onnx, "to_onnx", lambda *_, **__: content)


class TestTheFile:
    def test_tensors_are_those_of_the_contract(self, model: onnx.ModelProto) -> None:
        for stated, tensors in (
            (CONTRACT.inputs, model.graph.input),
            (CONTRACT.outputs, model.graph.output),
        ):
            found = [
                (
                    tensor.name,
                    onnx.helper.tensor_dtype_to_np_dtype(tensor.type.tensor_type.elem_type).name,
                    tuple(d.dim_param or d.dim_value for d in tensor.type.tensor_type.shape.dim),
                )
                for tensor in tensors
            ]
            assert found == [(spec.name, spec.dtype, spec.shape) for spec in stated]

    def test_it_is_one_file_of_the_least_ir_version(self, model: onnx.ModelProto) -> None:
        assert all(not t.external_data for t in model.graph.initializer)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
        assert model.ir_version == 8

    def test_metadata_is_the_contract_and_the_provenance_as_json(
        self, model: onnx.ModelProto, committed: Checkpoint
    ) -> None:
        metadata = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
        assert set(metadata) == {CONTRACT_KEY, PROVENANCE_KEY}
        assert metadata[CONTRACT_KEY] == CONTRACT.to_dict()
        provenance = metadata[PROVENANCE_KEY]
        assert provenance["network"] == "edge"
        assert provenance["weights_sha256"] == committed.sha256
        assert provenance["metrics"] == committed.metrics
        assert provenance["parity"]["bound"] == PARITY_BOUND
        assert provenance["operators"] == Counter(node.op_type for node in model.graph.node)
        assert provenance["versions"]["torch"] == torch.__version__.partition("+")[0]

    def test_every_operator_is_needed(self, model: onnx.ModelProto) -> None:
        kernels = {"Cast": 1, "Conv": 5, "Relu": 4, "Reshape": 1, "LogSoftmax": 1}
        adder = {"Pad": 1, "Gather": 1, "GatherElements": 1}
        assert Counter(node.op_type for node in model.graph.node) == kernels | adder

    def test_the_input_scale_is_in_the_first_convolution(
        self, model: onnx.ModelProto, committed: Checkpoint
    ) -> None:
        first = next(node for node in model.graph.node if node.op_type == "Conv")
        kernel = onnx.numpy_helper.to_array(
            next(t for t in model.graph.initializer if t.name == first.input[1])
        )
        weights = committed.weights
        deviation = (weights["conv1.norm.running_var"] + 1e-5).sqrt()
        factor = (weights["conv1.norm.weight"] / deviation / 255).view(-1, 1, 1, 1)
        folded = weights["conv1.conv.weight"] * factor
        assert kernel == pytest.approx(folded.numpy(), rel=1e-5, abs=1e-9)

    def test_the_exporters_notes_are_gone(self, content: bytes, model: onnx.ModelProto) -> None:
        assert b"stack_trace" not in content
        assert str(Path.cwd()).encode() not in content
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert model.producer_name == "edge-adder"

    @pytest.mark.parametrize("opset", to_onnx.OPSETS)
    def test_every_offered_opset_computes_the_same(
        self, content: bytes, committed: Checkpoint, opset: int
    ) -> None:
        other = to_onnx.to_onnx(committed.build(), committed, opset=opset)
        proto = onnx.load_model_from_string(other)
        assert proto.opset_import[0].version == opset
        assert proto.ir_version == onnx.helper.find_min_ir_version_for(proto.opset_import)
        images, numbers = verify.all_pairs(draw_digits(10)[0])
        expected, found = (EdgeAdder(c).run(images, numbers) for c in (content, other))
        assert np.abs(expected.sum - found.sum).max() < 1e-4
        if opset == to_onnx.OPSET:  # the same checkpoint gives the same bytes
            assert other == content

    @pytest.mark.parametrize("batch", [1, 4])
    def test_a_fixed_batch_stands_in_file_and_contract(
        self, committed: Checkpoint, batch: int, seven: np.ndarray
    ) -> None:
        fixed = EdgeAdder(to_onnx.to_onnx(committed.build(), committed, batch=batch))
        assert fixed.batch == batch
        assert fixed.contract == CONTRACT.to_dict(batch)
        assert fixed.predict(seven, 5).sum == 12
        answers = fixed.predict_many([seven, seven, b"", seven, seven, seven], 5, on_error="return")
        assert [getattr(a, "sum", None) for a in answers] == [12, 12, None, 12, 12, 12]
        with pytest.raises(InputError, match=f"this model takes batches of {batch}, got 3"):
            fixed.run(np.zeros((3, 1, 28, 28), np.uint8), np.zeros(3, np.int64))


class TestTheGate:
    def test_it_compares_every_pair_at_every_batch_size(
        self, committed: Checkpoint, content: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[int] = []
        run = EdgeAdder.run

        def counted(self: EdgeAdder, images: np.ndarray, numbers: np.ndarray) -> object:
            calls.append(len(numbers))
            return run(self, images, numbers)

        adder = EdgeAdder(content)
        monkeypatch.setattr(EdgeAdder, "run", counted)
        rows = verify.compare(committed.build(), adder, draw_digits(60)[0], "60 synthetic digits")
        assert Counter(calls) == {1: 600, 2: 300, 257: 2, 600 - 2 * 257: 1}
        assert [(r.batch, r.output, r.pairs) for r in rows] == [(*row, 600) for row in ROWS]
        assert all(0 <= r.largest_difference < PARITY_BOUND for r in rows)
        assert all(r.changed_answers == r.contradictions == 0 for r in rows)

    def test_another_weight_is_seen(self, committed: Checkpoint, content: bytes) -> None:
        network = committed.build()
        with torch.no_grad():
            network.conv5.bias[3] += 0.001
        rows = verify.compare(network, EdgeAdder(content), draw_digits(20)[0], "digits")
        assert max(row.largest_difference for row in rows) > PARITY_BOUND
        with pytest.raises(ParityError, match=r"parity failed: .* differs from PyTorch by 0\.001"):
            verify.check(rows, network)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"largest_difference": 1.01e-4}, "differs from PyTorch by 0.0001, bound 0.0001"),
            ({"largest_difference": float("nan")}, "differs from PyTorch by nan"),
            ({"changed_answers": 1}, "1 of 50 answers changed for sum of 5 digits at batch 2"),
            ({"contradictions": 2}, r"sum is not digit \+ number in 2 of 50 pairs"),
        ],
    )
    def test_one_bad_figure_is_enough(
        self, committed: Checkpoint, change: dict[str, float], message: str
    ) -> None:
        network = committed.build()
        good = {"largest_difference": 1e-4, "changed_answers": 0, "contradictions": 0}
        verify.check([ParityRow("5 digits", 50, 2, "sum", **good)], network)
        with pytest.raises(ParityError, match=message):
            verify.check([ParityRow("5 digits", 50, 2, "sum", **good | change)], network)

    def test_contradictions_are_bounded_only_where_the_adder_is_exact(self) -> None:
        row = ParityRow("5 digits", 50, 2, "sum", 0.0, 0, 3)
        verify.check([row], torch.nn.Linear(1, 1))

    def test_test_images_join_where_they_are_available(self, tiny_mnist: Path) -> None:
        images = to_onnx.gate_images(tiny_mnist)
        assert {name: len(part) for name, part in images.items()} == {
            "1,000 synthetic digits": 1000,
            "100 test images": 100,
        }

    def test_a_named_folder_without_test_images_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(DATA_VARIABLE, "/nonexistent")
        with pytest.raises(InputError, match="no MNIST in /nonexistent"):
            to_onnx.gate_images(None)

    @pytest.mark.usefixtures("small_gate", "traced")
    def test_a_failure_keeps_the_old_files(
        self, committed: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = dict.fromkeys(("model.onnx", "model.parity.npz"), b"old")
        for name, data in old.items():
            (tmp_path / name).write_bytes(data)
        monkeypatch.setattr(parity, "PARITY_BOUND", 0.0)
        with pytest.raises(ParityError) as caught:
            to_onnx.export(committed, tmp_path / "model.onnx")
        assert caught.value.exit_code == ExitCode.MODEL
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == old

    def test_an_infinite_output_fails(
        self, committed: Checkpoint, monkeypatch: pytest.MonkeyPatch, content: bytes
    ) -> None:
        run = EdgeAdder.run

        def broken(self: EdgeAdder, images: np.ndarray, numbers: np.ndarray) -> object:
            outputs = run(self, images, numbers)
            outputs.sum[0, 0] = -np.inf
            return outputs

        adder = EdgeAdder(content)
        monkeypatch.setattr(EdgeAdder, "run", broken)
        with pytest.raises(ParityError, match="sum is not finite for 2 digits at batch 1"):
            to_onnx.gate(committed.build(), adder, {"2 digits": draw_digits(2)[0]})


@pytest.mark.usefixtures("small_gate")
class TestWriting:
    @pytest.mark.usefixtures("traced")
    def test_model_and_vectors_are_written(self, committed: Checkpoint, tmp_path: Path) -> None:
        result = to_onnx.export(committed, tmp_path / "mine.onnx")
        assert sorted(p.name for p in tmp_path.glob("mine.*")) == [
            "mine.onnx",
            "mine.parity.npz",
        ]
        assert result.size_bytes == result.path.stat().st_size < 300_000
        with np.load(result.vectors, allow_pickle=False) as stored:
            assert stored["image"].shape == (300, 1, 28, 28)
            assert str(stored["weights_sha256"]) == committed.sha256
            expected = verify.reference(committed.build(), stored["image"], stored["number"])
            assert np.array_equal(stored["digit"], expected.digit)
            assert np.array_equal(stored["sum"], expected.sum)
            pairs = Counter(zip(stored["digit"].argmax(1), stored["number"], strict=True))
            assert len(pairs) >= 95  # nearly every digit with every number

    def test_a_checkpoint_of_ones_own(self, trained: Path, tmp_path: Path) -> None:
        mine = checkpoints.load(trained / "checkpoint.safetensors")
        result = to_onnx.export(mine, tmp_path / "v1.2")
        assert EdgeAdder(result.path).provenance["weights_sha256"] == mine.sha256
        assert result.vectors.name == "v1.2.parity.npz"  # all of a name without .onnx

    @pytest.mark.parametrize("opset", [17, 22, -1])
    def test_other_opsets(self, committed: Checkpoint, tmp_path: Path, opset: int) -> None:
        with pytest.raises(InputError, match=f"opset must be 18 to 21, got {opset}"):
            to_onnx.export(committed, tmp_path / "model.onnx", opset=opset)

    @pytest.mark.parametrize("folder", ["missing", "file"])
    def test_a_missing_folder_is_said_before_the_gate(
        self,
        committed: Checkpoint,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        folder: str,
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setattr(to_onnx, "gate_images", lambda _: pytest.fail("too late"))
        with pytest.raises(FileAccessError, match=f"there is no folder {tmp_path / folder}"):
            to_onnx.export(committed, tmp_path / folder / "model.onnx")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


class TestTheCommand:
    def test_without_arguments_it_exports_the_committed_checkpoint(
        self, edge_adder: Run, tmp_path: Path, content: bytes
    ) -> None:
        done = edge_adder("export")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "model.onnx").read_bytes() == content
        lines = done.stdout.splitlines()
        assert lines[0].startswith("PyTorch ")
        assert lines[0].endswith(", bounds 0.0001 and 0:")
        assert lines[1].split()[:4] == ["images", "pairs", "batch", "output"]
        assert lines[2].startswith("1,000 synthetic digits    10,000      1   digit  ")
        assert lines[-2].startswith(f"model.onnx: {len(content):,} bytes, opset 18, IR 8, 1 Cast")
        assert lines[-1] == "model.parity.npz: 300 synthetic digits with PyTorch's answers"

    @pytest.mark.usefixtures("small_gate", "traced")
    def test_the_vectors_are_written_as_json_too(self, edge_adder: Run, tmp_path: Path) -> None:
        done = edge_adder("export", "--parity-json", "vectors.json")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "vectors.json: the same as JSON"
        stored = (tmp_path / "model.parity.npz").read_bytes()
        assert (tmp_path / "vectors.json").read_bytes() == parity.vectors_as_json(stored)

    def test_the_checkpoint_is_not_written_over(self, edge_adder: Run, trained: Path) -> None:
        checkpoint = trained / "checkpoint.safetensors"
        before = checkpoint.read_bytes()
        done = edge_adder("export", "--checkpoint", checkpoint, "--parity-json", checkpoint)
        assert done.returncode == 2
        assert "--parity-json must name a file of its own" in done.stderr
        assert checkpoint.read_bytes() == before

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (["--batch", "x"], 2, "batch must be 'dynamic' or 1 to 4096, got 'x'"),
            (["--batch", "0"], 2, "batch must be 'dynamic' or 1 to 4096, got 0"),
            (["--out", "."], 5, "cannot write .: it is a folder, expected a file name"),
            (["--out", "none/model.onnx"], 5, "cannot write none/model.onnx: there is no folder"),
            (["--parity-json", "."], 5, "cannot write .: it is a folder, expected a file name"),
            (["--parity-json", "none/a.json"], 5, "cannot write none/a.json: there is no folder"),
            (["--parity-json", "./model.onnx"], 2, "--parity-json must name a file of its own"),
            (["--parity-json", "model.parity.npz"], 2, "--parity-json must name a file of its"),
            (["--network", "none"], 2, "network must be one of edge, scalar-concat"),
            (
                ["--network", "wide"],
                3,
                "no checkpoint of wide is here: train it, or pass --checkpoint: `edge",
            ),
            (["--checkpoint", "none.safetensors"], 3, "no checkpoint none.safetensors: make one"),
            (["--data-dir", "nowhere"], 2, "no MNIST in nowhere: expected train-images-idx3"),
        ],
    )
    def test_bad_options(
        self, edge_adder: Run, tmp_path: Path, options: list[str], code: int, message: str
    ) -> None:
        done = edge_adder("export", *options)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(f"edge-adder: error: {message}")
        assert len(done.stderr.splitlines()) == 1
        assert list(tmp_path.iterdir()) == []


class TestEveryNetwork:
    @pytest.mark.parametrize("name", networks.NETWORKS)
    def test_untrained_weights_pass_the_gate_and_no_operator_is_wasted(self, name: str) -> None:
        torch.manual_seed(0)
        network = networks.create(name).eval()
        content = to_onnx.to_onnx(network, Checkpoint(name, network.state_dict(), {}, {}))
        images = draw_digits(3 if name == "wide" else 20, seed=1)[0]
        adder = EdgeAdder(content)
        rows = to_onnx.gate(network, adder, {"synthetic digits": images})
        assert adder.batch is None
        assert [(row.batch, row.output) for row in rows] == ROWS
        operators = [node.op_type for node in onnx.load_model_from_string(content).graph.node]
        assert operators[:2] == ["Cast", "Conv"]  # the scale is in the first convolution
        assert not {"BatchNormalization", "Dropout", "OneHot", "Equal", "Mul"} & set(operators)

    @pytest.mark.parametrize("name", COMMITTED)
    def test_the_committed_checkpoint_reaches_its_bar(self, name: str) -> None:
        path = checkpoints.committed(name)
        loaded = checkpoints.load(path)
        assert loaded.network == name
        assert json.loads(path.with_suffix(".json").read_text()) == loaded.details()
        test = loaded.metrics["test"]
        assert test["pairs"] == 100_000
        assert test["digit"] >= networks.NETWORKS[name].digit_bar
        assert test["sum"] >= networks.NETWORKS[name].sum_bar

    @pytest.mark.mnist
    @pytest.mark.parametrize("name", COMMITTED)
    def test_the_committed_checkpoint_is_as_good_as_its_record_says(self, name: str) -> None:
        loaded = checkpoints.load(checkpoints.committed(name))
        test = load_mnist(train=False).at(torch.arange(0, 10_000, 10))
        numbers = torch.arange(len(test)) % 10
        found = verify.reference(loaded.build(), test.images.numpy(), numbers.numpy())
        for output, answers, correct in (
            ("digit", found.digit, test.labels),
            ("sum", found.sum, test.labels + numbers),
        ):
            recorded = loaded.metrics["test"][output]
            margin = 2.5 * (recorded * (1 - recorded) / len(test)) ** 0.5  # standard deviations
            share = (answers.argmax(1) == correct.numpy()).mean()
            assert share == pytest.approx(recorded, abs=margin)

    def test_all_but_wide_are_committed_and_small(self) -> None:
        found = {path.stem: path for path in checkpoints.WEIGHTS_DIR.glob("*.safetensors")}
        assert set(found) == {*COMMITTED, "ink"}
        four = [found[name].stat().st_size for name in COMMITTED if name != "edge"]
        assert sum(four) < 1_000_000


class TestTheBundledModel:
    """What is committed belongs together; CONTRIBUTING.md says how to renew it."""

    def test_it_has_the_committed_weights(self, adder: EdgeAdder, committed: Checkpoint) -> None:
        assert adder.provenance["weights_sha256"] == committed.sha256
        assert adder.provenance["metrics"] == committed.metrics

    def test_it_is_what_the_export_makes(self, content: bytes, adder: EdgeAdder) -> None:
        made_with = adder.provenance["versions"]
        here = {name: version(name).partition("+")[0] for name in made_with}
        if made_with != here:
            pytest.skip(f"made with {made_with}, here are {here}")
        assert content == BUNDLED_MODEL.read_bytes()

    def test_its_vectors_are_what_the_export_makes(
        self, committed: Checkpoint, vectors: dict[str, np.ndarray]
    ) -> None:
        made = to_onnx.parity_vectors(committed.build(), committed)
        with np.load(io.BytesIO(made), allow_pickle=False) as again:
            assert set(again) == set(vectors)
            assert np.array_equal(again["image"], vectors["image"])
            assert np.array_equal(again["number"], vectors["number"])
            assert str(again["weights_sha256"]) == str(vectors["weights_sha256"])
            assert again["digit"] == pytest.approx(vectors["digit"], abs=1e-4)
