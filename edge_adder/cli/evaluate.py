"""`edge-adder evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_adder.cli.development import load_tools
from edge_adder.cli.options import (
    JsonOption,
    ModelOption,
    ProviderOption,
    Sha256Option,
    ThreadsOption,
)
from edge_adder.cli.output import check_folder, print_json, progress_bar, say
from edge_adder.errors import ExitCode, InputError

EXAMPLE = "edge-adder evaluate --model model.onnx --data-dir my-digits"

NetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE.py:CLASS",
        help="Evaluate this network instead: its committed checkpoint, or --checkpoint.",
    ),
]
CheckpointOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Evaluate this checkpoint instead.")
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR|TABLE",
        help="Folder with MNIST's IDX files, or with pictures sorted or named by digit; or a table "
        "(.csv, .jsonl, .parquet) with the columns image and label, also one of edge-adder score "
        "(default: EDGE_ADDER_DATA, or the MNIST that a training downloaded).",
    ),
]
OutOption = Annotated[
    Path,
    typer.Option(
        metavar="DIR", help="Folder for the confusion matrix and a sheet of the wrong answers."
    ),
]


def evaluate(
    model: ModelOption = None,
    network: NetworkOption = None,
    checkpoint: CheckpointOption = None,
    data_dir: DataDirOption = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    sha256: Sha256Option = None,
    out: OutOption = Path("evaluation"),
    as_json: JsonOption = False,
) -> int:
    """Measure accuracy and calibration on labelled pictures.

    Each picture is combined with each of the ten numbers. Exits with 6 if some pictures could not
    be read; they count as wrong.
    """
    from_weights = network is not None or checkpoint is not None
    if model is not None and from_weights:
        other = "--network" if network is not None else "--checkpoint"
        raise InputError(f"expected --model or {other}, got both")
    check_folder(out)

    from edge_adder.evaluation import datasets
    from edge_adder.evaluation import evaluate as evaluation
    from edge_adder.evaluation.report import report
    from edge_adder.predictor import EdgeAdder

    pictures = datasets.load(data_dir)
    chosen: Path | bytes | None = model
    if from_weights:
        commands = load_tools("evaluate --network", "edge_adder.export.commands")
        chosen = commands.as_onnx(checkpoint, network)
    adder = EdgeAdder(chosen, provider=provider, threads=threads, sha256=sha256)  # type: ignore[arg-type]
    with progress_bar(len(pictures), "pictures") as progress:
        result = evaluation.evaluate(adder, pictures, out=out, progress=progress)
    if as_json:
        print_json(result.to_dict())
    else:
        print(report(result))
    for failure in result.unreadable:
        say(f"error: {failure['image']}: {failure['error']}")
    for file in (evaluation.CONFUSION_FILE, evaluation.WRONG_FILE):
        say(f"written: {out / file}")
    return ExitCode.ATTENTION if result.unreadable else ExitCode.DONE
