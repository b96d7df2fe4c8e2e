"""Mean of ink checkpoints: python -m edge_adder.export.ink.average runs/ink CHECKPOINT...

Of networks that were trained on from the same weights, the mean is often better than each: it keeps
what the first could do and has most of what the others learned (Wortsman et al., "Model soups",
2022). A checkpoint that is named twice counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from edge_adder.errors import EdgeAdderError, InputError
from edge_adder.files import make_folder

from .. import checkpoint as checkpoints
from ..checkpoint import Checkpoint
from ..resume import check_new_run
from ..train import CHECKPOINT_FILE
from .to_onnx import build
from .train import NAME, InkConfig, measure, validation_scenes


def average(parts: Sequence[Checkpoint]) -> Checkpoint:
    """Return the mean of ink checkpoints, which its `config` names; it has no metrics yet.

    Counters, such as BatchNorm has, are those of the first.

    Raises:
        InputError: There are none.
        CheckpointError: One is another network's.
    """
    if not parts:
        raise InputError("no checkpoint to average")
    for part in parts:
        build(part)
    weights = {
        name: torch.stack([part.weights[name] for part in parts]).mean(0)
        if first.is_floating_point()
        else first
        for name, first in parts[0].weights.items()
    }
    origin = [{"config": part.config, "weights_sha256": part.sha256} for part in parts]
    return Checkpoint(NAME, weights, {"mean_of": origin}, {})


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the new checkpoint.")],
    files: Annotated[list[Path], typer.Argument(help="Checkpoints of the ink network.")],
) -> None:
    """Write the mean of checkpoints, measured on the scenes of other writers."""
    try:
        check_new_run(out)
        mean = average([checkpoints.load(file) for file in files])
        found = validation_scenes(InkConfig(out=out))
        writing, mark = measure(build(mean), found)
        mean.metrics["validation"] = {"writing": writing, "mark": mark}
        make_folder(out)
        checkpoints.save(mean, out / CHECKPOINT_FILE)
    except EdgeAdderError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{out / CHECKPOINT_FILE}: writing found {writing:.4f}, marks told {mark:.4f}")


if __name__ == "__main__":
    typer.run(main)
