"""Make a finished run the bundled model: python -m benchmarks.release runs/edge runs/edge-1.

The runs are of the default network and differ only in their seed. The best on validation, which is
MNIST's images and writers that nothing was trained on, is bundled. Each is evaluated once on the
test images, for the deviation between seeds. Checkpoint, model, parity vectors, pictures and
figures are made in a temporary folder and then replace the old ones. ``docs/release.json`` records
which weights they are made of, and the tests compare.

``--pictures`` instead redraws the pictures and measures the figures again from the committed
checkpoint: after a change of the preparation, of a text or of the plots' style.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from benchmarks.markdown import replace_block
from benchmarks.model_card import figures_table
from benchmarks.model_pictures import PICTURES, draw_pictures
from benchmarks.networks import gate_figures
from benchmarks.robustness import uncertain, writers
from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError
from edge_adder.files import make_folder, write_atomically
from export import checkpoint as checkpoints
from export import networks, to_onnx
from export.catalogue import count_folded_parameters, count_multiply_adds, count_parameters
from export.checkpoint import Checkpoint
from export.data import load_mnist
from export.evaluate import evaluate as measure_accuracy
from export.train import CHECKPOINT_FILE, HISTORY_FILE

ROOT = Path(__file__).parent.parent
NETWORK = networks.DEFAULT

WEIGHTS = f"export/weights/{NETWORK}.safetensors"
MODEL = "edge_adder/models/default.onnx"
MODEL_FILES = (
    WEIGHTS,
    f"export/weights/{NETWORK}.json",
    MODEL,
    f"{MODEL}.sha256",
    "edge_adder/models/default.parity.npz",
)

LEAST_NON_DIGITS = 0.95
"""Least share of pictures without a digit that must be refused or uncertain."""

MOST_SURELY_WRONG = 0.006
"""Greatest share of a set of validation writers that may be read wrongly and not as uncertain."""

RECORD = "docs/release.json"
"""The weights' SHA-256, that of each file, the figures, and the accuracies of all seeds."""

DOCUMENT = "edge_adder/models/README.md"
"""The model card, which has the block of figures."""

NEXT_STEPS = """\
next, on a quiet machine: python -m benchmarks.networks && python -m benchmarks --publish
then add a row to CHANGELOG.md and edge_adder/models/README.md, and correct the accuracy and the
size in README.md"""


def main(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of finished runs of the default network, one for each seed."),
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Draw the pictures and measure the figures again, for the committed checkpoint.",
        ),
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
) -> None:
    """Replace the bundled model, or only its pictures and figures; print figures and files."""
    if pictures == bool(runs):
        raise typer.BadParameter("expected either folders of runs or --pictures")
    written = release(runs, ROOT, data_dir) if runs else redraw(ROOT, data_dir)
    print(figures_table(json.loads((ROOT / RECORD).read_text())), end="\n\n")
    print(*written, sep="\n")
    if runs:
        print(NEXT_STEPS)


def release(runs: Sequence[Path], root: Path, data_dir: Path | None) -> list[str]:
    """Replace the bundled model with the network of the best run.

    The best is among those that keep to `LEAST_NON_DIGITS` and `MOST_SURELY_WRONG`, or to the
    former, if any does. Of these it has the highest accuracy of the digit, as the mean over MNIST's
    validation images and each set of validation writers; of equal ones the first. A failure leaves
    the old files as they were.

    Args:
        runs: Folders of one or more runs.
        root: The checkout whose files are replaced.
        data_dir: Folder with MNIST, whose test images are used.

    Returns:
        Paths of the written files, relative to `root`.

    Raises:
        CheckpointError: A run is of another network or not finished, or two differ in more than
            the seed, or have the same seed.
        InputError: MNIST or handwriting is not there, or the model card has no block for the
            figures.
        ParityError: The model would not compute what PyTorch computes.
        FileAccessError: A file cannot be read or written.
    """
    found = load_runs(runs)
    written = list(writers.read_digits())
    validation = [_validation(each, written) for each in found]
    best = max(range(len(found)), key=lambda index: _rank(validation[index]))
    images = load_mnist(data_dir, train=False)
    tests = [measure_accuracy(each.build(), images)[0].to_dict() for each in found]
    seeds = [
        {"seed": each.config["seed"], **accuracies, "test": test["digit"]}
        for each, accuracies, test in zip(found, validation, tests, strict=True)
    ]
    shipped = replace(found[best], metrics=found[best].metrics | {"test": tests[best]})
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        figures = make_model(shipped, staged, data_dir)
        figures |= draw_pictures(staged / MODEL, staged, images, data_dir, written)
        record: dict[str, Any] = {
            "weights_sha256": shipped.sha256,
            "files": {name: sha256(staged / name) for name in (*MODEL_FILES, *PICTURES)},
            "figures": figures,
            "seeds": sorted(seeds, key=lambda row: int(row["seed"])),
        }
        return _replace_files(root, staged, record, (*MODEL_FILES, *PICTURES))


def redraw(root: Path, data_dir: Path | None) -> list[str]:
    """Redraw the pictures of the bundled model and measure again what they show.

    Validation accuracy, the gate's figures and the accuracies of all seeds stay as recorded.

    Args:
        root: The checkout whose files are replaced.
        data_dir: Folder with MNIST, whose test images are used.

    Returns:
        Paths of the written files, relative to `root`.

    Raises:
        CheckpointError: Checkpoint, model and record are not of the same weights.
        InputError: MNIST or handwriting is not there, or the model card has no block for the
            figures.
        FileAccessError: A file cannot be read or written.
    """
    record = json.loads((root / RECORD).read_text())
    weights = checkpoints.load(root / WEIGHTS).sha256
    if {weights} != {
        record["weights_sha256"],
        EdgeAdder(root / MODEL).provenance["weights_sha256"],
    }:
        raise CheckpointError(f"{WEIGHTS}, {MODEL} and {RECORD} are not of the same weights")
    images = load_mnist(data_dir, train=False)
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        written = list(writers.read_digits())
        record["figures"] |= draw_pictures(root / MODEL, staged, images, data_dir, written)
        record["files"] = {name: sha256(root / name) for name in MODEL_FILES}
        record["files"] |= {name: sha256(staged / name) for name in PICTURES}
        return _replace_files(root, staged, record, PICTURES)


def load_runs(runs: Sequence[Path]) -> list[Checkpoint]:
    """Load the checkpoints of finished runs that differ only in their seed.

    Raises:
        CheckpointError: A run is of another network or not finished, or two differ in more than
            the seed, or have the same seed.
    """
    found = [_load_run(run) for run in runs]
    for index, (run, loaded) in enumerate(zip(runs, found, strict=True)):
        for other, before in zip(runs[:index], found, strict=False):
            _check_same_recipe((other, before), (run, loaded))
    return found


def _load_run(run: Path) -> Checkpoint:
    loaded = checkpoints.load(run / CHECKPOINT_FILE)
    if loaded.network != NETWORK:
        raise CheckpointError(f"{run} is a run of {loaded.network}, expected one of {NETWORK}")
    try:
        done = len(json.loads((run / HISTORY_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{run} has no readable {HISTORY_FILE}") from error
    epochs = loaded.config.get("epochs")
    if done != epochs:
        raise CheckpointError(
            f"{run} has {done} of {epochs} epochs: finish it with "
            f"`edge-adder train --resume --out {run} --no-test`"
        )
    return loaded


def _check_same_recipe(one: tuple[Path, Checkpoint], other: tuple[Path, Checkpoint]) -> None:
    """Refuse two runs, each with its folder, that do not differ in their seed alone."""
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


def make_model(shipped: Checkpoint, folder: Path, data_dir: Path | None) -> dict[str, Any]:
    """Write `MODEL_FILES`.

    Args:
        shipped: The checkpoint, with its accuracies on validation and test images.
        folder: Stands for the checkout.
        data_dir: Folder with MNIST, for the gate.

    Returns:
        The figures of checkpoint and file.

    Raises:
        ParityError: The model would not compute what PyTorch computes.
        FileAccessError: A file cannot be written.
    """
    model = folder / MODEL
    for name in (WEIGHTS, MODEL):
        make_folder((folder / name).parent)
    checkpoints.save(shipped, folder / WEIGHTS)
    exported = to_onnx.export(shipped, model, data_dir=data_dir)
    line = f"{sha256(model)}  {model.name}\n"  # as sha256sum writes and reads it
    write_atomically(folder / f"{MODEL}.sha256", line.encode())
    network = shipped.build()
    return {
        "validation": shipped.metrics["validation"],
        "test": shipped.metrics["test"],
        "parameters": count_parameters(network),
        "folded_parameters": count_folded_parameters(network),
        "multiply_adds": count_multiply_adds(network),
        **gate_figures(exported),
    }


def _replace_files(
    root: Path, staged: Path, record: dict[str, Any], names: Sequence[str]
) -> list[str]:
    """Add record and model card to the staged files, then write all of them into the checkout."""
    write_atomically(staged / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    make_folder((staged / DOCUMENT).parent)
    write_atomically(staged / DOCUMENT, (root / DOCUMENT).read_bytes())
    replace_block(staged / DOCUMENT, NETWORK, figures_table(record))
    written = [*names, RECORD, DOCUMENT]
    for name in written:
        make_folder((root / name).parent)
        write_atomically(root / name, (staged / name).read_bytes())
    return written


def _validation(
    checkpoint: Checkpoint, written: Sequence[writers.WrittenDigit]
) -> dict[str, float]:
    """Return the accuracy of the digit on MNIST's validation images and on each set of writers.

    Also, as ``surely_wrong``, the greatest share of a set of writers that is read wrongly and not
    as uncertain, and, as ``non_digits``, that of pictures without a digit that are refused or
    uncertain.
    """
    adder = EdgeAdder(to_onnx.to_onnx(checkpoint.build(), checkpoint))
    found = writers.figures(written, writers.answer(adder, written))
    non_digits = uncertain.measure(adder, uncertain.COUNT)
    return {
        "validation": float(checkpoint.metrics["validation"]["digit"]),
        **{each.origin: each.correct for each in found if each.writer == writers.ALL},
        "surely_wrong": max(each.surely_wrong for each in found if each.writer == writers.ALL),
        "non_digits": fmean(each.not_answered for each in non_digits),
    }


def _rank(validation: dict[str, float]) -> tuple[bool, bool, float]:
    """Return what is greatest for the best run."""
    limits = {"surely_wrong", "non_digits"}
    accuracies = [share for name, share in validation.items() if name not in limits]
    is_humble = validation["non_digits"] >= LEAST_NON_DIGITS
    is_careful = validation["surely_wrong"] <= MOST_SURELY_WRONG
    return is_humble, is_humble and is_careful, fmean(accuracies)


def sha256(path: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    typer.run(main)
