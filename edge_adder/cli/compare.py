"""`edge-adder compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_adder.cli.options import JsonOption, ProviderOption, ThreadsOption
from edge_adder.cli.output import print_json, say
from edge_adder.errors import ExitCode, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_adder.evaluation.compare import Comparison

EXAMPLE = "edge-adder compare float32.onnx int8.onnx --max-changed 0.2 --max-latency 1"

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Labelled pictures, as for evaluate (default: EDGE_ADDER_DATA, or the digits that are "
        "stored beside the bundled model, which give no accuracy).",
    ),
]
ModelA = Annotated[Path, typer.Argument(metavar="A", help="The model that is there.")]
ModelB = Annotated[Path, typer.Argument(metavar="B", help="The one to put in its place.")]
MaxChangedOption = Annotated[
    float | None, typer.Option(metavar="PERCENT", help="Exit with 6 if more answers change.")
]
MaxLossOption = Annotated[
    float | None,
    typer.Option(metavar="PERCENT", help="Exit with 6 if more of the accuracy is lost."),
]
MaxDifferenceOption = Annotated[
    float | None,
    typer.Option(metavar="NATS", help="Exit with 6 if a log-probability differs by more."),
]
MaxLatencyOption = Annotated[
    float | None,
    typer.Option(metavar="N", help="Exit with 6 if a run takes more than N times as long."),
]


def compare(
    a: ModelA,
    b: ModelB,
    data_dir: DataDirOption = None,
    max_changed: MaxChangedOption = None,
    max_accuracy_loss: MaxLossOption = None,
    max_difference: MaxDifferenceOption = None,
    max_latency: MaxLatencyOption = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
) -> int:
    """Say whether model B may take the place of model A on this device.

    Both run on the same pictures with all ten numbers, and are timed in turn. Exits with 6 where B
    is above a bound that an option names.
    """
    bounds = {
        "changed": max_changed,
        "accuracy loss": max_accuracy_loss,
        "difference": max_difference,
        "latency": max_latency,
    }
    for name, bound in bounds.items():
        if bound is not None and not bound >= 0:
            raise InputError(f"--max-{name.replace(' ', '-')} must be 0 or more, got {bound}")

    from edge_adder.evaluation import compare as comparison
    from edge_adder.predictor import EdgeAdder

    models = [EdgeAdder(each, provider=provider, threads=threads) for each in (a, b)]  # type: ignore[arg-type]
    images, labels, data = _pictures(data_dir)
    if labels is None and max_accuracy_loss is not None:
        raise InputError("--max-accuracy-loss needs labelled pictures: name their --data-dir")
    result = comparison.compare(models[0], models[1], images, labels, data=data)
    exceeded = _exceeded(result, bounds)
    if as_json:
        print_json(result.to_dict() | {"exceeded": exceeded})
    else:
        print(comparison.table(result))
    for line in exceeded:
        say(line)
    return ExitCode.ATTENTION if exceeded else ExitCode.DONE


def _pictures(
    data_dir: Path | None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, str]:
    """Return prepared images, their labels if they are known, and what they are."""
    from edge_adder.contract import IMAGE
    from edge_adder.evaluation import datasets
    from edge_adder.parity import bundled_vectors

    if datasets.find_data_dir(data_dir) is None:
        return bundled_vectors()[IMAGE.name], None, "the drawn digits beside the bundled model"
    pictures = datasets.load(data_dir)
    images, unreadable = datasets.prepare_all(pictures)
    kept = [index for index in range(len(pictures)) if index not in unreadable]
    if not kept:
        raise InputError(f"no picture in {pictures.source} can be read")
    for index, error in unreadable.items():
        say(f"left out: {pictures.names[index]}: {error}")
    return images[kept][:, None], pictures.labels[kept], f"{len(kept):,} of {pictures.source}"


def _exceeded(result: Comparison, bounds: dict[str, float | None]) -> list[str]:
    """Return a line for each bound that B is above."""
    loss = result.accuracy_loss
    found = {
        "changed": (100 * result.changed_answers / result.pairs, "% of the answers change"),
        "accuracy loss": (100 * (loss or 0.0), "% of the accuracy is lost"),
        "difference": (result.largest_difference, "nats is the largest difference"),
        "latency": (result.latency_ratio, "times as long is a run"),
    }
    return [
        f"{value:.3g} {what}, the bound is {bounds[name]:g}"
        for name, (value, what) in found.items()
        if bounds[name] is not None and value > bounds[name]  # type: ignore[operator]
    ]
