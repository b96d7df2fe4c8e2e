"""The bundled model and all that is made of it are of the same weights."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

from benchmarks import release as renew
from benchmarks.report import spread
from benchmarks.robustness import conditions, uncertain
from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError, InputError
from edge_adder.evaluation.report import percent
from export import checkpoint as checkpoints
from export import networks
from export.catalogue import count_folded_parameters, count_parameters
from export.checkpoint import Checkpoint
from export.data import load_mnist
from export.evaluate import evaluate
from export.train import TrainConfig, train

BLOCK = "a\n<!-- edge: b -->\n{}\n<!-- /edge -->\nc"


def test_nothing_is_stale() -> None:
    record = json.loads((renew.ROOT / renew.RECORD).read_text())
    committed = checkpoints.load(checkpoints.committed("edge"))
    assert record["weights_sha256"] == committed.sha256
    assert EdgeAdder().provenance["weights_sha256"] == committed.sha256
    names = {f"docs/edge-{name}.png" for name in renew.PICTURES}
    names |= {f"docs/{name}.png" for name in ("samples", "explain", "conditions")}
    names |= {"export/weights/edge.json", "export/weights/edge.safetensors"}
    names |= {"edge_adder/models/default.onnx", "edge_adder/models/default.parity.npz"}
    names |= {"edge_adder/models/default.onnx.sha256"}
    assert set(record["files"]) == names
    for name, digest in record["files"].items():
        assert renew.sha256(renew.ROOT / name) == digest, f"{name} is stale: {renew.__doc__}"
    for name in renew.DOCUMENTS:
        assert renew.figures_table(record) in (renew.ROOT / name).read_text(), f"{name} is stale"
    (shipped,) = (row for row in record["seeds"] if row["seed"] == committed.config["seed"])
    assert shipped["validation"] == max(row["validation"] for row in record["seeds"])
    assert shipped["test"] == committed.metrics["test"]["digit"]
    assert record["figures"]["test"] == committed.metrics["test"]
    assert committed.metrics["test"]["pairs"] == 100_000


def test_the_model_keeps_to_its_bounds() -> None:
    figures = json.loads((renew.ROOT / renew.RECORD).read_text())["figures"]
    assert figures["folded_parameters"] <= 25_000
    assert max(figures["calibration_error"].values()) <= 0.003
    assert figures["changed_answers"] == 0


@pytest.fixture(scope="module", autouse=True)
def few_pictures() -> Iterator[None]:
    """Two pictures of each kind, not a hundred or two; the table is told the true count."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((uncertain, "measure"), (conditions, "measure_all")):
            measure = functools.partial(measure_few, getattr(module, name), module.COUNT)
            patch.setattr(module, name, measure)
        yield


def measure_few(measure: Callable[..., object], full: int, adder: EdgeAdder, count: int) -> object:
    assert count == full
    return measure(adder, 2)


@pytest.fixture(scope="module")
def trained(tiny_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of finished runs: ``0``, ``1`` and ``2`` are seeds, of which 1 and 2 are best."""
    folder = tmp_path_factory.mktemp("runs")
    config = TrainConfig(
        epochs=1, batch_size=50, device="cpu", data_dir=tiny_mnist, out=folder / "0"
    )
    for seed, digit in ((0, 0.25), (1, 0.75), (2, 0.75)):
        path = folder / str(seed) / "checkpoint.safetensors"
        train(dataclasses.replace(config, seed=seed, out=path.parent), test=False)
        made = checkpoints.load(path)
        validation = made.metrics["validation"] | {"digit": digit}
        checkpoints.save(dataclasses.replace(made, metrics={"validation": validation}), path)
    return folder


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout that has the documents alone."""
    return make_documents(tmp_path / "root")


@pytest.fixture(scope="module")
def renewed(trained: Path, tiny_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a checkout after `renew`, with the three runs in another order."""
    root = make_documents(tmp_path_factory.mktemp("root"))
    made = renew.renew([trained / name for name in ("2", "0", "1")], root, tiny_mnist)
    assert {str(root / name) for name in made} == set(content(root))
    return root


@pytest.fixture(scope="module")
def record(renewed: Path) -> dict:
    return json.loads((renewed / renew.RECORD).read_text())


def make_documents(root: Path) -> Path:
    for name in renew.DOCUMENTS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(BLOCK.format("old"))
    return root


def content(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def draw_samples(out: Path, *options: object) -> bytes:
    script = renew.ROOT / "examples" / "picture.py"
    subprocess.run([sys.executable, script, "5", "--out", out, *options], check=True)
    return out.read_bytes()


class TestRenewing:
    def test_the_first_of_the_best_runs_ships(
        self, renewed: Path, record: dict, trained: Path
    ) -> None:
        best = checkpoints.load(trained / "2" / "checkpoint.safetensors")
        shipped = checkpoints.load(renewed / "export" / "weights" / "edge.safetensors")
        model = EdgeAdder(renewed / "edge_adder" / "models" / "default.onnx")
        assert best.sha256 == shipped.sha256 == record["weights_sha256"]
        assert model.provenance["weights_sha256"] == best.sha256
        assert shipped.config == best.config
        assert shipped.metrics["validation"] == best.metrics["validation"]
        curves = (renewed / "docs" / "edge-curves.png").read_bytes()
        assert curves == (trained / "2" / "curves.png").read_bytes()

    def test_each_run_is_asked_the_test_images(
        self, renewed: Path, record: dict, trained: Path, tiny_mnist: Path
    ) -> None:
        images = load_mnist(tiny_mnist, train=False)
        tests = []
        for seed in range(3):
            made = checkpoints.load(trained / str(seed) / "checkpoint.safetensors")
            assert "test" not in made.metrics
            tests.append(evaluate(made.build(), images)[0].to_dict())
        assert len({test["digit"] for test in tests}) > 1
        assert record["seeds"] == [
            {"seed": seed, "validation": validation, "test": tests[seed]["digit"]}
            for seed, validation in enumerate((0.25, 0.75, 0.75))
        ]
        shipped = json.loads((renewed / "export" / "weights" / "edge.json").read_text())
        assert list(shipped["metrics"]) == ["validation", "test"]
        assert shipped["metrics"]["test"] == tests[2] == record["figures"]["test"]
        model = EdgeAdder(renewed / "edge_adder" / "models" / "default.onnx")
        assert model.provenance["metrics"]["test"] == tests[2]

    def test_the_figures_are_in_record_and_documents(self, renewed: Path, record: dict) -> None:
        assert set(content(renewed)) == {
            str(renewed / name) for name in (*record["files"], renew.RECORD, *renew.DOCUMENTS)
        }
        for name, digest in record["files"].items():
            assert renew.sha256(renewed / name) == digest
        network = networks.create("edge")
        figures = record["figures"]
        assert figures["parameters"] == count_parameters(network)
        assert figures["folded_parameters"] == count_folded_parameters(network)
        model = renewed / "edge_adder" / "models" / "default.onnx"
        assert figures["size_bytes"] == model.stat().st_size
        table = renew.figures_table(record)
        for name in renew.DOCUMENTS:
            assert (renewed / name).read_text() == BLOCK.format(table)

    def test_the_samples_are_read_by_the_renewed_model(self, renewed: Path, tmp_path: Path) -> None:
        drawn = (renewed / "docs" / "samples.png").read_bytes()
        model = renewed / "edge_adder" / "models" / "default.onnx"
        assert draw_samples(tmp_path / "again.png", "--model", model) == drawn
        assert draw_samples(tmp_path / "bundled.png") != drawn

    def test_a_sample_is_explained_by_the_renewed_model(
        self, renewed: Path, tmp_path: Path
    ) -> None:
        command = ["predict", renew.EXPLAINED, "5", "--min-probability", "0"]
        command += ["--explain", tmp_path / "again.png"]
        command += ["--model", renewed / "edge_adder" / "models" / "default.onnx"]
        subprocess.run([sys.executable, "-m", "edge_adder", *command], check=True)
        again = (tmp_path / "again.png").read_bytes()
        assert (renewed / "docs" / "explain.png").read_bytes() == again


class TestRefusing:
    def refuse(self, runs: list[Path], root: Path, data: Path, message: str) -> None:
        before = content(root)
        with pytest.raises(CheckpointError, match=message) as error:
            renew.renew(runs, root, data)
        assert "\n" not in str(error.value)
        assert content(root) == before

    def test_an_unfinished_run(self, runs: Path, root: Path, tiny_mnist: Path) -> None:
        history = runs / "1" / "history.json"
        history.write_text("[]")
        message = "1 is not over, it has 0 of 1 epochs and a curves.png: finish it with"
        self.refuse([runs / "0", runs / "1"], root, tiny_mnist, message)
        for broken in ("1", "no JSON"):
            history.write_text(broken)
            self.refuse([runs / "1"], root, tiny_mnist, "has no history.json that can be read")
        history.unlink()
        self.refuse([runs / "1"], root, tiny_mnist, "has no history.json that can be read")

    def test_a_run_without_its_curves(self, runs: Path, root: Path, tiny_mnist: Path) -> None:
        (runs / "0" / "curves.png").unlink()
        message = "is not over, it has 1 of 1 epochs and no curves.png"
        self.refuse([runs / "0"], root, tiny_mnist, message)

    def test_a_checkpoint_that_cannot_be_read(
        self, runs: Path, root: Path, tiny_mnist: Path
    ) -> None:
        path = runs / "1" / "checkpoint.safetensors"
        path.write_bytes(b"damaged")
        self.refuse([runs / "0", runs / "1"], root, tiny_mnist, "is no safetensors file")
        path.unlink()
        self.refuse([runs / "0", runs / "1"], root, tiny_mnist, "no checkpoint")

    def test_another_network(self, runs: Path, root: Path, tiny_mnist: Path) -> None:
        weights = networks.create("bn-adder").state_dict()
        path = runs / "1" / "checkpoint.safetensors"
        checkpoints.save(Checkpoint("bn-adder", weights, {}, {}), path)
        message = "1 is a run of bn-adder, expected one of edge"
        self.refuse([runs / "0", runs / "1"], root, tiny_mnist, message)

    @pytest.mark.parametrize(
        ("change", "different"),
        [
            ({"batch_size": 25}, "batch_size 25, not 50"),
            ({"teachers_sha256": ["a"]}, r"teachers_sha256 \['a'\], not None"),
        ],
    )
    def test_another_recipe(
        self, runs: Path, root: Path, tiny_mnist: Path, change: dict, different: str
    ) -> None:
        path = runs / "1" / "checkpoint.safetensors"
        made = checkpoints.load(path)
        checkpoints.save(dataclasses.replace(made, config=made.config | change), path)
        message = f"1 has another recipe than .*0: {different}$"
        self.refuse([runs / "0", runs / "1"], root, tiny_mnist, message)

    def test_the_same_seed_twice(self, runs: Path, root: Path, tiny_mnist: Path) -> None:
        chosen = [runs / "0", runs / "1", runs / "0"]
        self.refuse(chosen, root, tiny_mnist, "have the same seed, 0")

    def test_a_failure_at_the_end_leaves_everything_as_it_was(
        self, runs: Path, root: Path, tiny_mnist: Path
    ) -> None:
        (root / renew.DOCUMENTS[-1]).write_text("no block")
        before = content(root)
        with pytest.raises(InputError, match="0 blocks 'edge', expected one"):
            renew.renew([runs / "0"], root, tiny_mnist)
        assert content(root) == before


class TestTheTable:
    FIGURES = {
        "validation": {"digit": 0.9951, "sum": 0.9951, "pairs": 50_000},
        "test": {"digit": 0.9957, "sum": 0.9956, "pairs": 100_000},
        "calibration_error": {"digit": 0.00123, "sum": 0.002},
        "coverage": {"min_probability": 0.9, "answered": 0.98, "correct": None},
        "not_answered": {"letters": 0.955, "faces": 0.903},
        "parameters": 21_850,
        "folded_parameters": 21_754,
        "conditions": {"wood": 1.0, "glare": 0.95},
        "multiply_adds": 417_600,
        "size_bytes": 93_830,
        "largest_difference": 1.3e-5,
        "changed_answers": 0,
        "compared_pairs": 20_000,
    }
    SEEDS = [
        {"seed": 0, "validation": 0.995, "test": 0.9954},
        {"seed": 1, "validation": 0.995, "test": 0.996},
    ]

    def test_every_figure_has_its_command(self) -> None:
        table = renew.figures_table({"figures": self.FIGURES, "seeds": self.SEEDS})
        for line in (
            "| test accuracy, 100,000 pairs of image and number | digit 99.57 %, sum 99.56 % "
            "| `edge-adder evaluate` |",
            "| validation accuracy, 50,000 pairs | digit 99.51 % | `python -m benchmarks.release` |",
            "| digit of 2 seeds, mean ± standard deviation | test 99.57 % ± 0.042 %, "
            "validation 99.50 % ± 0.000 % | `python -m benchmarks.release` |",
            "| digit 0.12 %, sum 0.20 % | `edge-adder evaluate` |",
            "| 98.00 %, of which right none | `edge-adder evaluate` |",
            "| refused or uncertain, of 400 pictures of no digit | 92.9 %: letters 95.5 %, faces "
            "90.3 % | `python -m benchmarks.robustness.uncertain` |",
            "| drawn digits read, 20 on each of 2 kinds of paper | 97.5 %; least: glare 95 %, "
            "wood 100 % | `python -m benchmarks.robustness.conditions` |",
            "| 21,850 and 417,600 | `edge-adder networks` |",
            "| 21,754 | `python -m benchmarks.release` |",
            "| 93,830 bytes | `edge-adder info` |",
            "| 1.3e-05; no answers changed in 20,000 pairs | `edge-adder export` |",
        ):
            assert line in table

    def test_a_single_run_has_no_spread(self) -> None:
        table = renew.figures_table({"figures": self.FIGURES, "seeds": self.SEEDS[:1]})
        assert "seeds" not in table
        assert "±" not in table
        assert "validation accuracy" in table

    def test_percentages(self) -> None:
        assert percent(0.99567) == "99.57 %"
        assert percent(0.5, 0) == "50 %"
        assert percent(None) == ""
        assert spread([0.9957]) == "99.57 %"
        assert spread([]) == ""
        assert spread([0.99, 0.991, 0.992]) == "99.10 % ± 0.100 %"


def test_the_command_prints_the_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    record = {"figures": TestTheTable.FIGURES, "seeds": TestTheTable.SEEDS}
    asked = []

    def fake(*arguments: object) -> list[str]:
        asked.append(arguments)
        (tmp_path / "docs").mkdir()
        (tmp_path / renew.RECORD).write_text(json.dumps(record))
        return ["docs/renewed.json"]

    monkeypatch.setattr(renew, "ROOT", tmp_path)
    monkeypatch.setattr(renew, "renew", fake)
    renew.main([Path("a"), Path("b")], Path("c"))
    assert asked == [([Path("a"), Path("b")], tmp_path, Path("c"))]
    expected = f"{renew.figures_table(record)}\n\ndocs/renewed.json\n{renew.LEFT}\n"
    assert capsys.readouterr().out == expected
