"""The bundled model and everything made from it are of the same weights."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from unittest.mock import create_autospec

import pytest
import typer
from PIL import Image

pytest.importorskip("torch", reason="needs the development tools")

import torch

from benchmarks import release as releasing
from benchmarks.markdown import mean_and_deviation
from benchmarks.model_card import figures_table
from benchmarks.model_pictures import EXPLAIN, EXPLAINED, NUMBER, PICTURES, SAMPLES
from benchmarks.release import DOCUMENT, MODEL, MODEL_FILES, RECORD, ROOT, WEIGHTS, sha256
from benchmarks.robustness import conditions, uncertain, writers
from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError, InputError
from edge_adder.evaluation.report import percent
from export import checkpoint as checkpoints
from export import networks, to_onnx
from export.catalogue import count_folded_parameters, count_parameters
from export.config import TrainConfig
from export.data import load_mnist
from export.evaluate import evaluate
from export.synthetic.digits import draw_digits
from export.train import train

BLOCK = "a\n<!-- edge: b -->\n{}\n<!-- /edge -->\nc"
VALIDATION = {0: 0.25, 1: 0.77, 2: 0.51}
"""Accuracy of the runs on MNIST's validation images, by seed."""


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
    torch.manual_seed(seed)
    made = checkpoints.load(ROOT / WEIGHTS)
    noisy = {
        k: v * torch.exp(0.5 * torch.randn(v.shape)) for k, v in made.weights.items() if v.ndim
    }
    config = TrainConfig(epochs=1, batch_size=50, seed=seed).recipe()
    metrics = {"validation": {"digit": VALIDATION[seed], "sum": 0.5, "pairs": 100}}
    made = dataclasses.replace(made, weights=made.weights | noisy, config=config, metrics=metrics)
    run = folder / str(seed)
    run.mkdir(parents=True)
    checkpoints.save(made, run / "checkpoint.safetensors")
    (run / "history.json").write_text('[{"epoch": 1}]')
    return run


def best_seed(record: dict) -> dict:
    """The row of the seed that is best on validation, as the mean over its three sets.

    Those that answer too many pictures without a digit come last, and before them those that are
    too often surely wrong.
    """
    return max(
        record["seeds"],
        key=lambda row: (
            row["non_digits"] >= releasing.LEAST_NON_DIGITS,
            row["non_digits"] >= releasing.LEAST_NON_DIGITS
            and row["surely_wrong"] <= releasing.MOST_SURELY_WRONG,
            fmean(row[name] for name in ("validation", "numbers", "pendigits")),
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def few_pictures() -> Iterator[None]:
    """Two pictures of each kind in three scenes, few writers, and a small gate."""
    scenes = dict(list(conditions.SCENES.items())[-3:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "SCENES", scenes)
        patch.setattr(conditions, "COUNT", 2)
        patch.setattr(uncertain, "COUNT", 1)
        patch.setattr(to_onnx, "GATE_IMAGES", 20)
        patch.setattr(writers, "read_digits", few_digits)
        yield


def few_digits() -> Iterator[writers.WrittenDigit]:
    """Synthetic digits as of three writers in two sets; one of them is refused."""
    images, labels = draw_digits(24)
    origins = (("numbers", "a"), ("numbers", "b"), ("pendigits", "01"))
    for index, (image, label) in enumerate(zip(images[:, 0], labels.tolist(), strict=True)):
        prepared = None if index == 0 else image
        yield writers.WrittenDigit(*origins[index % 3], label, Image.fromarray(image), prepared)


@pytest.fixture
def committed() -> dict:
    """The record of the bundled model."""
    return json.loads((ROOT / RECORD).read_text())


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Finished runs with the seeds 0, 1 and 2."""
    return [save_run(tmp_path / "runs", seed) for seed in VALIDATION]


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
    return json.loads((released / RECORD).read_text())


def test_a_run_that_is_not_surely_wrong_comes_before_a_more_accurate_one() -> None:
    careful = {"validation": 0.9, "numbers": 0.9, "surely_wrong": 0.006, "non_digits": 0.95}
    runs = [
        careful | {"validation": 0.99, "non_digits": 0.94},
        careful | {"validation": 0.99, "surely_wrong": 0.007},
        careful | {"validation": 0.8},
        careful,
    ]
    assert sorted(runs, key=releasing._rank) == runs


class TestTheCommittedRelease:
    def test_nothing_is_stale(self, committed: dict) -> None:
        weights, figures = checkpoints.load(ROOT / WEIGHTS), committed["figures"]
        assert committed["weights_sha256"] == weights.sha256
        assert EdgeAdder().provenance["weights_sha256"] == weights.sha256
        for name in (*MODEL_FILES, *PICTURES):
            assert sha256(ROOT / name) == committed["files"][name], f"stale: {releasing.__doc__}"
        assert figures_table(committed) in (ROOT / DOCUMENT).read_text()
        assert figures["test"] == weights.metrics["test"]
        assert figures["test"]["pairs"] == 100_000
        (shipped,) = (row for row in committed["seeds"] if row["seed"] == weights.config["seed"])
        assert shipped == best_seed(committed)
        assert shipped["test"] == figures["test"]["digit"]

    def test_the_model_keeps_to_its_bounds(self, committed: dict) -> None:
        figures = committed["figures"]
        assert figures["folded_parameters"] <= 60_000
        assert figures["size_bytes"] <= 300_000
        assert max(figures["calibration_error"].values()) <= 0.003
        assert figures["changed_answers"] == 0
        whole = {row["origin"]: row for row in figures["writers"] if row["writer"] == writers.ALL}
        assert whole["numbers"]["correct"] >= 0.987
        assert whole["numbers"]["surely_wrong"] <= 0.006
        assert whole["pendigits"]["correct"] >= 0.982
        not_answered = figures["not_answered"].values()
        assert sum(not_answered) / len(not_answered) >= 0.95


class TestReleasing:
    def test_the_best_run_is_bundled(self, released: Path, record: dict) -> None:
        run = released.parent / "runs" / str(best_seed(record)["seed"])
        best = checkpoints.load(run / "checkpoint.safetensors")
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
        assert [
            {name: row[name] for name in ("seed", "validation", "test")} for row in record["seeds"]
        ] == [
            {"seed": seed, "validation": accuracy, "test": tests[seed]["digit"]}
            for seed, accuracy in VALIDATION.items()
        ]
        metrics = checkpoints.load(released / WEIGHTS).metrics
        assert list(metrics) == ["validation", "test"]
        shipped = tests[best_seed(record)["seed"]]
        assert metrics["test"] == shipped == record["figures"]["test"]
        assert EdgeAdder(released / MODEL).provenance["metrics"]["test"] == shipped

    def test_each_run_is_measured_on_the_writers(self, released: Path, record: dict) -> None:
        adder, digits = EdgeAdder(released / MODEL), list(few_digits())
        found = writers.figures(digits, writers.answer(adder, digits))
        assert record["figures"]["writers"] == [dataclasses.asdict(each) for each in found]
        shipped = best_seed(record)
        assert [shipped["numbers"], shipped["pendigits"]] == [found[0].correct, found[3].correct]

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


def test_redrawing_with_the_same_weights_gives_the_same_files(
    released: Path, tiny_mnist: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(released, tmp_path / "root")
    for name in PICTURES:
        (root / name).write_bytes(b"old")
    (root / DOCUMENT).write_text(BLOCK.format("old"))
    assert set(releasing.redraw(root, tiny_mnist)) == {*PICTURES, RECORD, DOCUMENT}
    assert content(root) == content(released)
    (root / RECORD).write_text(json.dumps({"weights_sha256": "other"}))
    with pytest.raises(CheckpointError, match="not of the same weights"):
        releasing.redraw(root, tiny_mnist)


class TestRefusing:
    @pytest.mark.parametrize(
        ("file", "damaged", "message"),
        [
            ("history.json", "[]", "1 has 0 of 1 epochs: finish it with `edge-adder train --res"),
            ("history.json", "1", "1 has no readable history.json"),
            ("history.json", "no JSON", "1 has no readable history.json"),
            ("history.json", None, "1 has no readable history.json"),
            ("checkpoint.safetensors", "damaged", "1/checkpoint.safetensors"),
            ("checkpoint.safetensors", None, "no checkpoint"),
        ],
    )
    def test_a_run_with_a_damaged_file(
        self, runs: list[Path], file: str, damaged: str | None, message: str
    ) -> None:
        (runs[1] / file).unlink() if damaged is None else (runs[1] / file).write_text(damaged)
        with pytest.raises(CheckpointError, match=message):
            releasing.load_runs(runs)

    @pytest.mark.parametrize(
        ("network", "change", "message"),
        [
            ("bn-adder", {}, "1 is a run of bn-adder, expected one of edge"),
            ("edge", {"batch_size": 25}, "1 has another recipe than .*0: batch_size 25, not 50$"),
            ("edge", {"new": 1}, "1 has another recipe than .*0: new 1, not None$"),
            ("edge", {"seed": 0}, "have the same seed, 0"),
        ],
    )
    def test_a_run_of_another_kind(
        self, runs: list[Path], network: str, change: dict, message: str
    ) -> None:
        path = runs[1] / "checkpoint.safetensors"
        made = checkpoints.load(path)
        config = made.config | change
        checkpoints.save(dataclasses.replace(made, network=network, config=config), path)
        with pytest.raises(CheckpointError, match=message):
            releasing.load_runs(runs[:2])

    def test_a_failure_at_the_end_leaves_everything_as_it_was(
        self,
        runs: list[Path],
        committed: dict,
        tiny_mnist: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def write(_: object, folder: Path, *__: object) -> dict:
            for path in (folder / name for name in (*MODEL_FILES, *PICTURES)):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"new")
            return dict(committed["figures"])

        for name in ("make_model", "draw_pictures"):
            monkeypatch.setattr(releasing, name, write)
        root = make_checkout(tmp_path / "root")
        (root / DOCUMENT).write_text("no block")
        with pytest.raises(InputError, match="0 blocks 'edge', expected one"):
            releasing.release(runs[:1], root, tiny_mnist)
        assert content(root) == {DOCUMENT: b"no block"}


def test_the_table_has_every_figure(committed: dict) -> None:
    table, figures = figures_table(committed), committed["figures"]
    for accuracy in (figures["test"], figures["validation"], figures["calibration_error"]):
        assert f"| digit {percent(accuracy['digit'])}" in table
    for share in (*figures["not_answered"].values(), figures["coverage"]["correct"]):
        assert percent(share) in table
    for name in ("parameters", "multiply_adds", "folded_parameters", "size_bytes"):
        assert f" {figures[name]:,} " in table
    assert f"{figures['largest_difference']:.1e}; no answers changed in 20,000 pairs" in table
    assert f"deviation of {len(committed['seeds'])} seeds" in table
    for name in ("validation", "numbers", "pendigits", "test"):
        assert f"{name} {mean_and_deviation([row[name] for row in committed['seeds']])}" in table
    non_digits = mean_and_deviation([row["non_digits"] for row in committed["seeds"]])
    assert f"non-digits left unanswered {non_digits}" in table
    for row in figures["writers"]:
        if row["writer"] == writers.ALL:
            assert f"| correct {percent(row['correct'])} (worst writer " in table


def test_the_table_of_a_single_run_that_answers_nothing(committed: dict) -> None:
    committed["figures"]["coverage"]["correct"] = None
    committed["figures"]["scenes"] = {"page": 1.0, "glare": 0.95}
    table = figures_table(committed | {"seeds": committed["seeds"][:1]})
    assert "of these correct none |" in table
    assert "in each of 2 scenes | 97.50 %; worst: glare 95.00 % |" in table
    assert "±" not in table


@pytest.mark.parametrize("runs", [[Path("a"), Path("b")], None])
def test_the_command_prints_figures_and_files(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    committed: dict,
    runs: list[Path] | None,
) -> None:
    name = "release" if runs else "redraw"
    work = create_autospec(getattr(releasing, name), return_value=[RECORD])
    monkeypatch.setattr(releasing, name, work)
    releasing.main(runs, pictures=runs is None, data_dir=Path("c"))
    assert work.call_args.args == (*([runs] if runs else []), ROOT, Path("c"))
    expected = f"{figures_table(committed)}\n\n{RECORD}\n"
    assert capsys.readouterr().out == expected + (f"{releasing.NEXT_STEPS}\n" if runs else "")
    with pytest.raises(typer.BadParameter, match="either"):
        releasing.main(runs, pictures=runs is not None)
