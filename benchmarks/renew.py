"""Make a finished run the bundled model: python -m benchmarks.renew runs/edge.

Checkpoint, model, parity vectors and pictures, in this order, since each is made of the one before;
``docs/renewed.json`` says of which weights they are, and the tests compare. What needs a quiet
machine, and what a person writes, is named at the end.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure

from benchmarks.plots import png
from edge_adder import EdgeAdder, datasets
from edge_adder.errors import CheckpointError
from edge_adder.evaluate import CONFUSION_FILE, WRONG_FILE, Evaluation, evaluate
from edge_adder.files import write_atomically
from export import checkpoint as checkpoints
from export import networks, to_onnx
from export.train import CHECKPOINT_FILE, CURVES_FILE

ROOT = Path(__file__).parent.parent
RECORD = "docs/renewed.json"
PICTURES = ("curves", "confusion", "wrong", "coverage")
"""Of the bundled model: ``docs/edge-NAME.png``."""

LEFT = """\
now, on a quiet machine: python -m benchmarks.networks && python -m benchmarks --publish
then its figures in README.md, and a row in CHANGELOG.md"""


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of the default network.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
) -> None:
    """Renew everything that a command can, and say what is left."""
    for path in renew(run, ROOT, data_dir):
        print(path)
    print(LEFT)


def renew(run: Path, root: Path, data_dir: Path | None) -> list[str]:
    """Put a run's network in the place of the bundled one.

    Args:
        run: Its folder.
        root: Of the checkout.
        data_dir: Folder with MNIST, whose test images the pictures show.

    Returns:
        What was written, seen from `root`.

    Raises:
        CheckpointError: The run is of another network, or is not over.
    """
    loaded = checkpoints.load(run / CHECKPOINT_FILE)
    if loaded.network != networks.DEFAULT or "test" not in loaded.metrics:
        raise CheckpointError(f"{run} is no finished run of {networks.DEFAULT}")
    made: dict[str, Path] = {}

    def target(name: str) -> Path:
        made[name] = root / name
        made[name].parent.mkdir(parents=True, exist_ok=True)
        return made[name]

    for end in (".safetensors", ".json"):
        copy(run / f"checkpoint{end}", target(f"export/weights/{networks.DEFAULT}{end}"))
    copy(run / CURVES_FILE, target(f"docs/{networks.DEFAULT}-curves.png"))
    model = target("edge_adder/models/default.onnx")
    target("edge_adder/models/default.parity.npz")
    to_onnx.export(loaded, model, data_dir=data_dir)
    with tempfile.TemporaryDirectory() as folder:
        found = evaluate(EdgeAdder(model), datasets.load(data_dir), out=Path(folder))
        for name, file in (("confusion", CONFUSION_FILE), ("wrong", WRONG_FILE)):
            copy(Path(folder) / file, target(f"docs/{networks.DEFAULT}-{name}.png"))
    write_atomically(target(f"docs/{networks.DEFAULT}-coverage.png"), coverage_curve(found))
    target("docs/samples.png")
    subprocess.run([sys.executable, root / "examples" / "picture.py", "5"], check=True)  # noqa: S603
    record = {
        "weights_sha256": loaded.sha256,
        "files": {name: sha256(path) for name, path in sorted(made.items())},
    }
    write_atomically(target(RECORD), (json.dumps(record, indent=2) + "\n").encode())
    return list(made)


def coverage_curve(found: Evaluation) -> bytes:
    """How many of the answers are right against how many are left, as PNG."""
    points = [each for each in found.coverage if each.right is not None]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    answered = [100 * each.answered for each in points]
    right = [100 * (each.right or 0) for each in points]
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


def copy(source: Path, target: Path) -> None:
    """Copy a file whole or not at all."""
    write_atomically(target, source.read_bytes())


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    typer.run(main)
