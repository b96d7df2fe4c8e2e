"""The bundled model and everything made from it are of the same weights."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

pytest.importorskip("torch", reason="needs the development tools")

import torch

from benchmarks import release as releasing
from benchmarks.model_card import figures_table
from benchmarks.model_pictures import EXPLAIN, EXPLAINED, NUMBER, PICTURES, SAMPLES
from benchmarks.release import DOCUMENT, MODEL, MODEL_FILES, RECORD, ROOT, WEIGHTS, sha256
from benchmarks.robustness import conditions, uncertain
from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError, InputError
from export import checkpoint as checkpoints
from export import networks, to_onnx
from export.catalogue import count_folded_parameters, count_parameters
from export.checkpoint import Checkpoint
from export.config import TrainConfig
from export.data import load_mnist
from export.evaluate import evaluate
from export.train import train

BLOCK = "a\n<!-- edge: b -->\n{}\n<!-- /edge -->\nc"
VALIDATION = {0: 0.25, 1: 0.75, 2: 0.75}
"""Validation accuracy of the runs, by seed."""

FIGURES = {
    "validation": {"digit": 0.9951, "sum": 0.9951, "pairs": 50_000},
    "test": {"digit": 0.9957, "sum": 0.9956, "pairs": 100_000},
    "calibration_error": {"digit": 0.00123, "sum": 0.002},
    "coverage": {"min_probability": 0.9, "answered": 0.98, "correct": None},
    "non_digits_of_each_kind": 200,
    "not_answered": {"letters": 0.955, "faces": 0.903},
    "digits_in_each_scene": 20,
    "scenes": {"page on wood": 1.0, "glare": 0.95},
    "parameters": 21_850,
    "folded_parameters": 21_754,
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


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def make_checkout(root: Path) -> Path:
    """A checkout that has the model card alone."""
    (root / DOCUMENT).parent.mkdir(parents=True)
    (root / DOCUMENT).write_text(BLOCK.format("old"))
    return root


def save_run(folder: Path, seed: int) -> Path:
    """What a finished run leaves; its weights are the committed ones with noise."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: values + 0.3 * values.abs() * torch.randn(values.shape, generator=generator)
        for name, values in checkpoints.load(ROOT / WEIGHTS).build().state_dict().items()
        if values.is_floating_point()
    }
    config = TrainConfig(epochs=1, batch_size=50, seed=seed).recipe()
    accuracy = {"validation": {"digit": VALIDATION[seed], "sum": 0.5, "pairs": 100}}
    made = Checkpoint("edge", networks.create("edge").state_dict() | weights, config, accuracy)
    run = folder / str(seed)
    run.mkdir(parents=True)
    checkpoints.save(made, run / "checkpoint.safetensors")
    (run / "history.json").write_text('[{"epoch": 1}]')
    return run


@pytest.fixture(scope="module", autouse=True)
def few_pictures() -> Iterator[None]:
    """Two pictures of each kind in three scenes, and a small gate."""
    scenes = dict(list(conditions.SCENES.items())[-3:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "SCENES", scenes)
        patch.setattr(conditions, "COUNT", 2)
        patch.setattr(uncertain, "COUNT", 1)
        patch.setattr(to_onnx, "GATE_IMAGES", 20)
        yield


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Finished runs with the seeds 0, 1 and 2, of which 1 and 2 are best."""
    return [save_run(tmp_path / "runs", seed) for seed in VALIDATION]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "root")


@pytest.fixture(scope="module")
def released(tiny_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after `release`, with the runs in another order."""
    folder = tmp_path_factory.mktemp("release")
    root = make_checkout(folder / "root")
    runs = [save_run(folder / "runs", seed) for seed in (2, 0, 1)]
    written = releasing.release(runs, root, tiny_mnist)
    assert set(written) == set(content(root)) == {*MODEL_FILES, *PICTURES, RECORD, DOCUMENT}
    return root


@pytest.fixture(scope="module")
def record(released: Path) -> dict:
    return read_json(released / RECORD)


class TestTheCommittedRelease:
    def test_nothing_is_stale(self) -> None:
        record, committed = read_json(ROOT / RECORD), checkpoints.load(ROOT / WEIGHTS)
        assert record["weights_sha256"] == committed.sha256
        assert EdgeAdder().provenance["weights_sha256"] == committed.sha256
        assert set(record["files"]) == {*MODEL_FILES, *PICTURES}
        for name, digest in record["files"].items():
            assert sha256(ROOT / name) == digest, f"{name} is stale: {releasing.__doc__}"
        assert record["figures"]["test"] == committed.metrics["test"]
        assert committed.metrics["test"]["pairs"] == 100_000
        (shipped,) = (row for row in record["seeds"] if row["seed"] == committed.config["seed"])
        assert shipped["validation"] == max(row["validation"] for row in record["seeds"])
        assert shipped["test"] == committed.metrics["test"]["digit"]

    def test_the_model_card_has_its_figures(self) -> None:
        assert figures_table(read_json(ROOT / RECORD)) in (ROOT / DOCUMENT).read_text()

    def test_the_model_keeps_to_its_bounds(self) -> None:
        figures = read_json(ROOT / RECORD)["figures"]
        assert figures["folded_parameters"] <= 25_000
        assert max(figures["calibration_error"].values()) <= 0.003
        assert figures["changed_answers"] == 0


class TestReleasing:
    def test_the_first_of_the_best_runs_is_bundled(self, released: Path, record: dict) -> None:
        best = checkpoints.load(released.parent / "runs" / "2" / "checkpoint.safetensors")
        shipped = checkpoints.load(released / WEIGHTS)
        assert best.sha256 == shipped.sha256 == record["weights_sha256"]
        assert EdgeAdder(released / MODEL).provenance["weights_sha256"] == best.sha256
        assert shipped.config == best.config
        assert shipped.metrics["validation"] == best.metrics["validation"]

    def test_each_run_is_evaluated_on_the_test_images(
        self, released: Path, record: dict, tiny_mnist: Path
    ) -> None:
        images = load_mnist(tiny_mnist, train=False)
        tests = {}
        for seed in VALIDATION:
            run = released.parent / "runs" / str(seed) / "checkpoint.safetensors"
            tests[seed] = evaluate(checkpoints.load(run).build(), images)[0].to_dict()
        assert len({test["digit"] for test in tests.values()}) > 1
        assert record["seeds"] == [
            {"seed": seed, "validation": accuracy, "test": tests[seed]["digit"]}
            for seed, accuracy in VALIDATION.items()
        ]
        metrics = checkpoints.load(released / WEIGHTS).metrics
        assert list(metrics) == ["validation", "test"]
        assert metrics["test"] == tests[2] == record["figures"]["test"]
        assert EdgeAdder(released / MODEL).provenance["metrics"]["test"] == tests[2]

    def test_record_and_model_card_have_the_figures(self, released: Path, record: dict) -> None:
        assert record["files"] == {
            name: sha256(released / name) for name in (*MODEL_FILES, *PICTURES)
        }
        network, figures = networks.create("edge"), record["figures"]
        assert figures["parameters"] == count_parameters(network)
        assert figures["folded_parameters"] == count_folded_parameters(network)
        assert figures["size_bytes"] == (released / MODEL).stat().st_size
        assert (released / DOCUMENT).read_text() == BLOCK.format(figures_table(record))

    @pytest.mark.parametrize("picture", [SAMPLES, EXPLAIN])
    def test_the_samples_are_read_by_the_released_model(self, released: Path, picture: str) -> None:
        assert (released / picture).read_bytes() != (ROOT / picture).read_bytes()

    def test_the_command_line_draws_the_same_explanation(
        self, released: Path, edge_adder: Callable, tmp_path: Path
    ) -> None:
        command = ["predict", EXPLAINED, str(NUMBER), "--model", released / MODEL]
        edge_adder(*command, "--explain", tmp_path / "again.png")
        assert (tmp_path / "again.png").read_bytes() == (released / EXPLAIN).read_bytes()

    def test_a_run_of_train_is_accepted(self, tiny_mnist: Path, tmp_path: Path) -> None:
        config = TrainConfig(epochs=1, batch_size=550, device="cpu", data_dir=tiny_mnist)
        train(dataclasses.replace(config, out=tmp_path / "run"), test=False)
        (loaded,) = releasing.load_runs([tmp_path / "run"])
        assert loaded.network == "edge"


class TestRedrawing:
    def test_the_committed_weights_give_the_same_files(
        self, released: Path, tiny_mnist: Path, tmp_path: Path
    ) -> None:
        root = tmp_path / "root"
        shutil.copytree(released, root)
        for name in PICTURES:
            (root / name).write_bytes(b"old")
        (root / DOCUMENT).write_text(BLOCK.format("old"))
        written = releasing.redraw(root, tiny_mnist)
        assert set(written) == {*PICTURES, RECORD, DOCUMENT}
        assert content(root) == content(released)

    def test_other_weights_than_recorded_are_refused(
        self, released: Path, tiny_mnist: Path, tmp_path: Path
    ) -> None:
        root = tmp_path / "root"
        shutil.copytree(released, root)
        (root / RECORD).write_text(json.dumps({"weights_sha256": "other"}))
        before = content(root)
        with pytest.raises(CheckpointError, match="not of the same weights"):
            releasing.redraw(root, tiny_mnist)
        assert content(root) == before


class TestRefusing:
    def refuse(self, runs: list[Path], message: str) -> None:
        with pytest.raises(CheckpointError, match=message) as error:
            releasing.load_runs(runs)
        assert "\n" not in str(error.value)

    def test_an_unfinished_run(self, runs: list[Path]) -> None:
        (runs[1] / "history.json").write_text("[]")
        self.refuse(runs, "1 has 0 of 1 epochs: finish it with `edge-adder train --resume --out")

    @pytest.mark.parametrize("history", ["1", "no JSON", None])
    def test_a_run_without_a_history(self, runs: list[Path], history: str | None) -> None:
        path = runs[1] / "history.json"
        path.unlink() if history is None else path.write_text(history)
        self.refuse(runs, "1 has no readable history.json")

    def test_a_checkpoint_that_cannot_be_read(self, runs: list[Path]) -> None:
        path = runs[1] / "checkpoint.safetensors"
        path.write_bytes(b"damaged")
        self.refuse(runs, "1/checkpoint.safetensors")
        path.unlink()
        self.refuse(runs, "no checkpoint")

    def test_another_network(self, runs: list[Path]) -> None:
        weights = networks.create("bn-adder").state_dict()
        made = Checkpoint("bn-adder", weights, {}, {})
        checkpoints.save(made, runs[1] / "checkpoint.safetensors")
        self.refuse(runs, "1 is a run of bn-adder, expected one of edge")

    @pytest.mark.parametrize(
        ("change", "different"),
        [({"batch_size": 25}, "batch_size 25, not 50"), ({"new": 1}, "new 1, not None")],
    )
    def test_another_recipe(self, runs: list[Path], change: dict, different: str) -> None:
        path = runs[1] / "checkpoint.safetensors"
        made = checkpoints.load(path)
        checkpoints.save(dataclasses.replace(made, config=made.config | change), path)
        self.refuse(runs[:2], f"1 has another recipe than .*0: {different}$")

    def test_the_same_seed_twice(self, runs: list[Path]) -> None:
        self.refuse([runs[0], runs[1], runs[0]], "have the same seed, 0")

    def test_a_failure_at_the_end_leaves_everything_as_it_was(
        self, runs: list[Path], root: Path, tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(_: object, folder: Path, *__: object) -> dict:
            for name in (*MODEL_FILES, *PICTURES):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(b"new")
            return dict(FIGURES)

        monkeypatch.setattr(releasing, "make_model", write)
        monkeypatch.setattr(releasing, "draw_pictures", write)
        (root / DOCUMENT).write_text("no block")
        before = content(root)
        with pytest.raises(InputError, match="0 blocks 'edge', expected one"):
            releasing.release(runs[:1], root, tiny_mnist)
        assert content(root) == before


class TestTheTable:
    def test_every_figure_has_its_command(self) -> None:
        table = figures_table({"figures": FIGURES, "seeds": SEEDS})
        for line in (
            "| test accuracy, 100,000 pairs of image and number | digit 99.57 %, sum 99.56 % "
            "| `edge-adder evaluate` |",
            "| validation accuracy, 50,000 pairs | digit 99.51 % "
            "| `python -m benchmarks.release` |",
            "| digit, mean ± standard deviation of 2 seeds | test 99.57 % ± 0.042 %, "
            "validation 99.50 % ± 0.000 % | `python -m benchmarks.release` |",
            "| digit 0.12 %, sum 0.20 % | `edge-adder evaluate` |",
            "| 98.00 %, of these correct none | `edge-adder evaluate` |",
            "| refused or uncertain, of 400 non-digits | 92.90 %: letters 95.50 %, faces 90.30 % "
            "| `python -m benchmarks.robustness.uncertain` |",
            "| read, of 20 synthetic digits in each of 2 scenes | 97.50 %; worst: glare 95.00 % "
            "| `python -m benchmarks.robustness.conditions` |",
            "| 21,850 and 417,600 | `edge-adder networks` |",
            "| 21,754 | `python -m benchmarks.release` |",
            "| 93,830 bytes | `edge-adder info` |",
            "| 1.3e-05; no answers changed in 20,000 pairs | `edge-adder export` |",
        ):
            assert line in table

    def test_a_single_run_has_no_deviation(self) -> None:
        table = figures_table({"figures": FIGURES, "seeds": SEEDS[:1]})
        assert "seeds" not in table
        assert "±" not in table
        assert "validation accuracy" in table


class TestTheCommand:
    @pytest.mark.parametrize("runs", [[Path("a"), Path("b")], None])
    def test_it_prints_figures_and_files(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        runs: list[Path] | None,
    ) -> None:
        called: list[object] = []

        def fake(*arguments: object) -> list[str]:
            called.extend(arguments)
            return [RECORD]

        record = {"figures": FIGURES, "seeds": SEEDS}
        (tmp_path / RECORD).parent.mkdir()
        (tmp_path / RECORD).write_text(json.dumps(record))
        monkeypatch.setattr(releasing, "ROOT", tmp_path)
        monkeypatch.setattr(releasing, "release" if runs else "redraw", fake)
        releasing.main(runs, pictures=runs is None, data_dir=Path("c"))
        assert called == [*([runs] if runs else []), tmp_path, Path("c")]
        expected = f"{figures_table(record)}\n\n{RECORD}\n"
        assert capsys.readouterr().out == expected + (f"{releasing.NEXT_STEPS}\n" if runs else "")

    @pytest.mark.parametrize("runs", [[Path("a")], None])
    def test_it_takes_either_runs_or_pictures(self, runs: list[Path] | None) -> None:
        with pytest.raises(typer.BadParameter, match="either"):
            releasing.main(runs, pictures=runs is not None)
