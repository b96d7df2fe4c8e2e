"""Make one of some finished runs the bundled model: python -m benchmarks.release runs/edge ….

The runs are of the default network and differ in the seed alone; the best on the validation images
ships. Each is asked the test images once, for the spread. Checkpoint, model, parity vectors,
pictures and figures are made in this order, since each is made of the one before, and replace the
old ones together; ``docs/renewed.json`` says of which weights they are, and the tests compare. What
needs a quiet machine, and what a person writes, is named at the end.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.figure import Figure

from benchmarks.plots import png
from benchmarks.report import renew_block, spread, table
from benchmarks.robustness import conditions, uncertain
from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError
from edge_adder.evaluation.datasets import MNIST_FILES, LabelledPictures, cache_dir, find_data_dir
from edge_adder.evaluation.evaluate import CONFUSION_FILE, WRONG_FILE, evaluate
from edge_adder.evaluation.metrics import Evaluation
from edge_adder.evaluation.report import percent
from edge_adder.files import make_folder, write_atomically
from export import checkpoint as checkpoints
from export import networks, to_onnx
from export.catalogue import count_folded_parameters, count_multiply_adds, count_parameters
from export.checkpoint import Checkpoint
from export.data import LabelledImages, load_mnist
from export.evaluate import evaluate as measure_accuracy
from export.to_onnx import ExportResult
from export.train import CHECKPOINT_FILE, CURVES_FILE, HISTORY_FILE

ROOT = Path(__file__).parent.parent
RECORD = "docs/renewed.json"
PICTURES = ("curves", "confusion", "wrong", "coverage")
"""Of the bundled model: ``docs/edge-NAME.png``."""

LEFT = """\
now, on a quiet machine: python -m benchmarks.networks && python -m benchmarks --publish
then a row in CHANGELOG.md and in edge_adder/models/README.md"""

DOCUMENTS = ("README.md", "edge_adder/models/README.md")
"""What has a block of figures."""

LEAST_PROBABILITY = 0.9
"""Whose coverage is among the figures."""

NUMBER = 5
"""Is added to each sample in the pictures, as in the README."""

EXPLAINED = ROOT / "examples" / "nine.jpg"
"""The sample that ``docs/explain.png`` explains."""


def main(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of finished runs of the default network, one for each seed."),
    ],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
) -> None:
    """Renew everything that a command can; print the figures, and what is left."""
    made = renew(runs, ROOT, data_dir)
    print(figures_table(json.loads((ROOT / RECORD).read_text())))
    print()
    for path in made:
        print(path)
    print(LEFT)


def renew(runs: Sequence[Path], root: Path, data_dir: Path | None) -> list[str]:
    """Put the network of the best run in the place of the bundled one.

    Best is the digit's accuracy on the validation images; of equal ones the first that is named. A
    failure leaves the old files as they were.

    Args:
        runs: Folders of at least one run.
        root: Of the checkout whose files are replaced.
        data_dir: Folder with MNIST, whose test images the figures and pictures are of.

    Returns:
        What was written, seen from `root`.

    Raises:
        CheckpointError: A run is of another network or not over, or two differ in more than the
            seed, or not in it.
        InputError: There is no MNIST, or a document has no block for the figures.
        ParityError: The model would not compute what PyTorch computes.
        FileAccessError: A file cannot be read or written.
    """
    found = load_runs(runs)
    images = load_mnist(data_dir, train=False)
    tests = [measure_accuracy(each.build(), images)[0].to_dict() for each in found]
    seeds = [
        {"seed": each.config["seed"], "validation": _validation(each), "test": test["digit"]}
        for each, test in zip(found, tests, strict=True)
    ]
    best = max(range(len(found)), key=lambda index: _validation(found[index]))
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        shipped = replace(found[best], metrics=found[best].metrics | {"test": tests[best]})
        (staged / "docs").mkdir()
        curves = (runs[best] / CURVES_FILE).read_bytes()
        write_atomically(staged / f"docs/{networks.DEFAULT}-curves.png", curves)
        measured = make(shipped, staged, images, data_dir)
        made = [path for path in sorted(staged.rglob("*")) if path.is_file()]
        record: dict[str, Any] = {
            "weights_sha256": shipped.sha256,
            "files": {path.relative_to(staged).as_posix(): sha256(path) for path in made},
            "figures": measured,
            "seeds": sorted(seeds, key=lambda row: int(row["seed"])),
        }
        write_atomically(staged / RECORD, (json.dumps(record, indent=2) + "\n").encode())
        for name in DOCUMENTS:
            make_folder((staged / name).parent)
            write_atomically(staged / name, (root / name).read_bytes())
            renew_block(staged / name, networks.DEFAULT, figures_table(record))
        names = [*record["files"], RECORD, *DOCUMENTS]
        for name in names:
            make_folder((root / name).parent)
            write_atomically(root / name, (staged / name).read_bytes())
    return names


def load_runs(runs: Sequence[Path]) -> list[Checkpoint]:
    """The checkpoints of finished runs that differ in the seed alone.

    Raises:
        CheckpointError: One of them is of another network or not over, or two differ in more than
            the seed, or not in it.
    """
    found: list[Checkpoint] = []
    for run in runs:
        loaded = checkpoints.load(run / CHECKPOINT_FILE)
        if loaded.network != networks.DEFAULT:
            raise CheckpointError(
                f"{run} is a run of {loaded.network}, expected one of {networks.DEFAULT}"
            )
        try:
            done = len(json.loads((run / HISTORY_FILE).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{run} has no {HISTORY_FILE} that can be read") from error
        epochs = loaded.config.get("epochs")
        if done != epochs or not (run / CURVES_FILE).is_file():
            raise CheckpointError(
                f"{run} is not over, it has {done} of {epochs} epochs and "
                f"{'a' if (run / CURVES_FILE).is_file() else 'no'} {CURVES_FILE}: finish it with "
                f"`edge-adder train --resume --out {run} --no-test`"
            )
        for other, before in zip(runs, found, strict=False):
            _check_twins((other, before), (run, loaded))
        found.append(loaded)
    return found


def _check_twins(one: tuple[Path, Checkpoint], other: tuple[Path, Checkpoint]) -> None:
    """Refuse two runs, each with its folder, that are not the same but for the seed.

    Raises:
        CheckpointError: So it is.
    """
    (folder, before), (run, loaded) = one, other
    recipe, wanted = loaded.config, before.config
    different = [
        f"{key} {recipe.get(key)!r}, not {wanted.get(key)!r}"
        for key in recipe | wanted
        if key != "seed" and recipe.get(key) != wanted.get(key)
    ]
    if different:
        raise CheckpointError(f"{run} has another recipe than {folder}: {'; '.join(different)}")
    if recipe["seed"] == wanted["seed"]:
        raise CheckpointError(f"{run} and {folder} have the same seed, {recipe['seed']}")


def make(
    shipped: Checkpoint, folder: Path, images: LabelledImages, data_dir: Path | None
) -> dict[str, Any]:
    """Make all files of a model, but for the training's curves.

    Args:
        shipped: Its checkpoint, with the accuracies on validation and test images.
        folder: To put them into, under the names that they have in a checkout.
        images: The test images.
        data_dir: Folder with MNIST, for the gate.

    Returns:
        What `figures` returns, and the share of each kind of no digit that is not answered.

    Raises:
        ParityError: The model would not compute what PyTorch computes.
        FileAccessError: A file cannot be written.
    """
    name = networks.DEFAULT
    weights, docs = folder / "export" / "weights", folder / "docs"
    for each in (weights, docs):
        make_folder(each)
    checkpoints.save(shipped, weights / f"{name}.safetensors")
    model = folder / "edge_adder" / "models" / "default.onnx"
    exported = to_onnx.export(shipped, model, data_dir=data_dir)
    stated = f"{sha256(model)}  {model.name}\n"  # as sha256sum writes it and reads it
    write_atomically(model.with_name(f"{model.name}.sha256"), stated.encode())
    with tempfile.TemporaryDirectory() as drawn:
        found = evaluate(EdgeAdder(model), as_pictures(images, data_dir), out=Path(drawn))
        for kind, file in (("confusion", CONFUSION_FILE), ("wrong", WRONG_FILE)):
            write_atomically(docs / f"{name}-{kind}.png", (Path(drawn) / file).read_bytes())
    write_atomically(docs / f"{name}-coverage.png", coverage_curve(found))
    script = ROOT / "examples" / "picture.py"
    subprocess.run(  # noqa: S603
        [sys.executable, script, str(NUMBER), "--model", model, "--out", docs / "samples.png"],
        check=True,
    )
    explain = ["predict", str(EXPLAINED), str(NUMBER), "--model", str(model)]
    explain += ["--min-probability", "0", "--explain", str(docs / "explain.png")]
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "edge_adder", *explain],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    outliers = {
        each.kind: each.not_answered
        for each in uncertain.measure(EdgeAdder(model), uncertain.COUNT)
    }
    on_papers = conditions.measure_all(EdgeAdder(model), conditions.COUNT)
    write_atomically(docs / "conditions.png", conditions.sheet(on_papers, conditions.COUNT))
    read = {name: each.read / conditions.COUNT for name, each in on_papers.items()}
    return figures(shipped, exported, found) | {"not_answered": outliers, "conditions": read}


def as_pictures(images: LabelledImages, data_dir: Path | None) -> LabelledPictures:
    """Test images as `edge_adder.evaluation.evaluate` takes them.

    Args:
        images: The images and their digits.
        data_dir: The folder that they were read from, as `load_mnist` takes it.
    """
    return LabelledPictures(
        source=find_data_dir(data_dir) or cache_dir(),
        names=[f"{MNIST_FILES[2]}[{index}]" for index in range(len(images))],
        images=list(images.images[:, 0].numpy()),
        labels=images.labels.numpy(),
    )


def figures(shipped: Checkpoint, exported: ExportResult, found: Evaluation) -> dict[str, Any]:
    """What is told of the bundled model.

    Args:
        shipped: Its checkpoint, with the accuracies on validation and test images.
        exported: What the gate measured.
        found: The model's answers to the test images.
    """
    network = shipped.build()
    return {
        "validation": shipped.metrics["validation"],
        "test": shipped.metrics["test"],
        "calibration_error": {
            "digit": found.digit_calibration_error,
            "sum": found.sum_calibration_error,
        },
        "coverage": next(
            asdict(each) for each in found.coverage if each.min_probability == LEAST_PROBABILITY
        ),
        "parameters": count_parameters(network),
        "folded_parameters": count_folded_parameters(network),
        "multiply_adds": count_multiply_adds(network),
        "size_bytes": exported.size_bytes,
        "largest_difference": max(row.largest_difference for row in exported.parity),
        "changed_answers": sum(row.changed_answers for row in exported.parity),
        "compared_pairs": sum(
            row.pairs for row in exported.parity if (row.batch, row.output) == (1, "digit")
        ),
    }


def figures_table(record: dict[str, Any]) -> str:
    """The block of figures in `DOCUMENTS`, from the record of `renew`."""
    made, runs = record["figures"], record["seeds"]
    test, error, answered = made["test"], made["calibration_error"], made["coverage"]
    outliers, papers = made["not_answered"], made["conditions"]
    least = sorted(papers, key=papers.__getitem__)[:3]
    rows = [
        (
            f"test accuracy, {test['pairs']:,} pairs of image and number",
            f"digit {percent(test['digit'])}, sum {percent(test['sum'])}",
            "`edge-adder evaluate`",
        ),
        (
            f"validation accuracy, {made['validation']['pairs']:,} pairs",
            f"digit {percent(made['validation']['digit'])}",
            "`python -m benchmarks.release`",
        ),
        (
            f"digit of {len(runs)} seeds, mean ± standard deviation",
            f"test {spread([row['test'] for row in runs])}, "
            f"validation {spread([row['validation'] for row in runs])}",
            "`python -m benchmarks.release`",
        ),
        (
            "expected calibration error, test",
            f"digit {percent(error['digit'])}, sum {percent(error['sum'])}",
            "`edge-adder evaluate`",
        ),
        (
            f"answered with `--min-probability {answered['min_probability']:g}`, test",
            f"{percent(answered['answered'])}, of which right "
            f"{percent(answered['correct']) or 'none'}",
            "`edge-adder evaluate`",
        ),
        (
            f"refused or uncertain, of {uncertain.COUNT * len(outliers):,} pictures of no digit",
            f"{percent(sum(outliers.values()) / len(outliers), 1)}: "
            + ", ".join(f"{kind} {percent(share, 1)}" for kind, share in outliers.items()),
            "`python -m benchmarks.robustness.uncertain`",
        ),
        (
            f"drawn digits read, {conditions.COUNT} on each of {len(papers)} kinds of paper",
            f"{percent(sum(papers.values()) / len(papers), 1)}; least: "
            + ", ".join(f"{name} {percent(papers[name], 0)}" for name in least),
            "`python -m benchmarks.robustness.conditions`",
        ),
        (
            "parameters, before BatchNorm is folded, and multiply-adds",
            f"{made['parameters']:,} and {made['multiply_adds']:,}",
            "`edge-adder networks`",
        ),
        (
            "parameters, as shipped",
            f"{made['folded_parameters']:,}",
            "`python -m benchmarks.release`",
        ),
        ("file", f"{made['size_bytes']:,} bytes", "`edge-adder info`"),
        (
            "largest difference from PyTorch, nats",
            f"{made['largest_difference']:.1e}; {made['changed_answers'] or 'no'} answers changed "
            f"in {made['compared_pairs']:,} pairs",
            "`edge-adder export`",
        ),
    ]
    if len(runs) == 1:
        del rows[2]
    return table(("what", "figure", "command"), rows)


def _validation(checkpoint: Checkpoint) -> float:
    """Accuracy of the digit on the validation images, a fraction."""
    return float(checkpoint.metrics["validation"]["digit"])


def coverage_curve(found: Evaluation) -> bytes:
    """How many of the answers are right against how many are left, as PNG."""
    points = [each for each in found.coverage if each.correct is not None]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    answered = [100 * each.answered for each in points]
    right = [100 * (each.correct or 0) for each in points]
    axes.plot(answered, right, marker="o")
    for x, y, each in zip(answered, right, points, strict=True):
        axes.annotate(f"{each.min_probability:g}", (x, y), (5, 4), textcoords="offset points")
    axes.set(
        xlabel="answered, % of the test pairs",
        ylabel="right, % of the answered",
        title="What --min-probability leaves, and how good it is",
    )
    axes.grid(alpha=0.3)
    axes.margins(0.1)
    return png(figure)


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    typer.run(main)
