"""`edge-adder train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_adder.cli.development import load_tools
from edge_adder.cli.options import MnistOption
from edge_adder.cli.output import check_folder
from edge_adder.errors import InputError

EXAMPLE = "edge-adder train --epochs 12 --out runs/short"

NetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE.py:CLASS",
        help="One of `edge-adder networks` (default: the bundled model's), or a class of your own, "
        "as file.py:Class or package.module:Class.",
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="NAME|FILE",
        help="Continue from this network's committed checkpoint, or from a checkpoint, on the "
        "labelled pictures in --data-dir mixed with MNIST.",
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        metavar="ours|published",
        help="Whose settings: this project's, or those of the network's source (default: ours).",
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Passes over the training images."),
]
BatchSizeOption = Annotated[int | None, typer.Option(metavar="N", help="Images in each step.")]
LearningRateOption = Annotated[
    float | None, typer.Option(metavar="X", help="Highest learning rate.")
]
AugmentOption = Annotated[
    bool | None,
    typer.Option(
        "--augment/--no-augment",
        help="Shift, rotate, scale, shear and bend the images.",
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        metavar="fixed|random-80-20",
        help="Which training images are held out for validation.",
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="float32|bfloat16",
        help="Precision of the computation; bfloat16 is for CPUs with AMX or AVX-512 BF16.",
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Seed of everything that is random."),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda", help="Where to train; auto takes CUDA if it is available."
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the run (default: runs/NETWORK)."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Continue the run in --out after its last epoch.")
]
TestOption = Annotated[
    bool,
    typer.Option(
        "--test/--no-test",
        help="Measure on the test images at the end. Use --no-test while you are still choosing "
        "settings.",
    ),
]


def train(
    network: NetworkOption = None,
    start: FromOption = None,
    recipe: RecipeOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    learning_rate: LearningRateOption = None,
    augment: AugmentOption = None,
    split: SplitOption = None,
    precision: PrecisionOption = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    data_dir: MnistOption = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    test: TestOption = True,
) -> None:
    """Train a network on handwritten digits; write its checkpoint, history and plots.

    A setting that is not given comes from the network's recipe.
    """
    check_folder(out or Path("runs"))
    commands = load_tools("train", "edge_adder.export.commands")
    settings: dict[str, Any] = {
        "network": network,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "augment": augment,
        "split": split,
        "precision": precision,
        "seed": seed,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    places = {"device": device, "data_dir": data_dir, "out": out}
    if start is not None:
        if recipe is not None or resume:
            raise InputError(f"expected --from or {'--resume' if resume else '--recipe'}, got both")
        print(commands.continue_training(start, given, **places))
        return
    print(commands.train(given, recipe=recipe, resume=resume, test=test, **places))
