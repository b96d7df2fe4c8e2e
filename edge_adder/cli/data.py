"""`edge-adder data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_adder.cli.development import load_tools
from edge_adder.cli.options import JsonOption
from edge_adder.cli.output import print_json

EXAMPLE = "edge-adder data --download"


def data(
    download: Annotated[
        bool,
        typer.Option("--download", help="Download what is missing from its original source."),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the sets of handwriting "
            "(default: EDGE_ADDER_HANDWRITING, or the user's cache).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the handwriting to train on: its source, licence, size and place; download it."""
    commands = load_tools("data", "edge_adder.export.commands")
    if download:
        commands.download_handwriting(folder)
    if as_json:
        print_json(commands.handwriting_facts(folder))
    else:
        print(commands.handwriting_table(folder))
