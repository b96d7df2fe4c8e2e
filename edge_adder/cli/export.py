"""`edge-adder export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_adder.cli.development import load_tools
from edge_adder.cli.options import MnistOption
from edge_adder.cli.output import check_folder
from edge_adder.errors import InputError

EXAMPLE = "edge-adder export --checkpoint runs/edge/checkpoint.safetensors"

CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Checkpoint or bare weights, .safetensors or .pt (default: the network's committed "
        "checkpoint).",
    ),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE.py:CLASS",
        help="One of `edge-adder networks` (default: the checkpoint's, or the bundled model's), or "
        "a class of your own, as file.py:Class or package.module:Class.",
    ),
]
OutOption = Annotated[Path, typer.Option(metavar="FILE", help="File to write.")]
OpsetOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="ONNX operator set (default: the bundled model's)."),
]
BatchOption = Annotated[
    str, typer.Option(metavar="dynamic|N", help="Batch size that the file takes: any, or only N.")
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        metavar="float32|float16|int8",
        help="What the file computes in. Try other files than float32 on the device: "
        "`edge-adder compare` tells what they cost and gain.",
    ),
]
MaxChangedOption = Annotated[
    float | None,
    typer.Option(
        metavar="PERCENT",
        help="Answers that may change in float16 or int8, in percent of the gate's (default: 0.2).",
    ),
]

TritonOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write a model repository for Triton and KServe to this folder instead of --out.",
    ),
]
ParityJsonOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write the synthetic digits with PyTorch's answers as JSON, for programs in "
        "other languages.",
    ),
]


def export(
    context: typer.Context,
    checkpoint: CheckpointOption = None,
    network: NetworkOption = None,
    out: OutOption = Path("model.onnx"),
    opset: OpsetOption = None,
    batch: BatchOption = "dynamic",
    data_dir: MnistOption = None,
    triton: TritonOption = None,
    precision: PrecisionOption = "float32",
    max_changed: MaxChangedOption = None,
    parity_json: ParityJsonOption = None,
) -> None:
    """Write a checkpoint as an ONNX file, if it gives the same answers as PyTorch.

    The file is compared with PyTorch before it appears under its name. If they differ, the exit
    code is 3 and an existing file stays as it was. Synthetic digits with PyTorch's answers are
    stored beside it, as NAME.parity.npz.
    """
    if triton is not None:
        if context.get_parameter_source("out").name != "DEFAULT":  # type: ignore[union-attr]
            raise InputError("expected --out or --triton, got both")
        if batch != "dynamic":
            raise InputError("--triton takes no --batch: Triton chooses the size of a batch")
        check_folder(triton)
    commands = load_tools("export", "edge_adder.export.commands")
    options: dict[str, Any] = {"opset": opset, "data_dir": data_dir}
    options |= {"precision": precision, "max_changed": max_changed, "parity_json": parity_json}
    if triton is not None:
        print(commands.export_triton(checkpoint, network, triton, **options))
    else:
        print(commands.export(checkpoint, network, out, batch=batch, **options))
