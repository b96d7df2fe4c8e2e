"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_adder.providers import PROVIDERS


def _parse_threads(text: object) -> Any:
    """Return the number in a text; other text as it is, for the library to refuse."""
    return int(str(text)) if str(text).isdecimal() else text


ModelOption = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE", help="ONNX file to run (default: the bundled model)."),
]
ProviderOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(PROVIDERS),
        help="Where to run the model; auto takes CUDA if it works, else the CPU.",
    ),
]
ThreadsOption = Annotated[
    Any,
    typer.Option(
        parser=_parse_threads,
        metavar="N|auto",
        help="onnxruntime's threads for a run: 1 is fastest for single images, auto takes all "
        "cores that this process may use.",
    ),
]
SpinningOption = Annotated[
    bool,
    typer.Option(
        "--spinning",
        help="Keep idle threads in a busy loop: slightly faster, but occupies the cores.",
    ),
]
Sha256Option = Annotated[
    str | None,
    typer.Option("--sha256", metavar="HEX", help="Accept only a model file with this SHA-256."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MnistOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder with MNIST/raw (default: EDGE_ADDER_DATA, or a download into the cache).",
    ),
]
