"""`edge-adder adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_adder.cli.development import load_tools
from edge_adder.cli.options import MnistOption

EXAMPLE = "edge-adder adopt theirs.onnx --out mine.onnx"

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX file to take over.")]
OutOption = Annotated[Path, typer.Option(metavar="FILE", help="File to write.")]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE.py:CLASS",
        help="PyTorch network that the file should compute the same as.",
    ),
]
CheckpointOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Weights of that network.")
]


def adopt(
    model: ModelArgument,
    out: OutOption = Path("model.onnx"),
    network: NetworkOption = None,
    checkpoint: CheckpointOption = None,
    data_dir: MnistOption = None,
) -> None:
    """Give an ONNX file that another program made the contract, if it keeps it.

    Its tensors are known by dtype and shape, and get the contract's names. With a reference it is
    compared with PyTorch as by `export`, and parity vectors are stored beside it.
    """
    commands = load_tools("adopt", "edge_adder.export.commands")
    options = {"network": network, "checkpoint": checkpoint, "data_dir": data_dir}
    print(commands.adopt(model, out, **options))
