"""Compare other ways to run the same network: python -m benchmarks.peers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from benchmarks.peers import environments
from benchmarks.peers.compare import compare_peers
from benchmarks.report import peers_paragraphs
from edge_adder import EdgeAdder
from edge_adder.errors import InputError, one_line
from export import checkpoint as checkpoints

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def compare(
    context: typer.Context,
    network: Annotated[str, typer.Option(help="The network.")] = "edge",
    calls: Annotated[int, typer.Option(min=20, help="Counted calls of each peer.")] = 5000,
) -> None:
    """Print what each peer takes at batch 1 and 64, its answers' differences and its size."""
    if context.invoked_subcommand is not None:
        return
    from export.to_onnx import to_onnx  # noqa: PLC0415  only here

    loaded = checkpoints.load(checkpoints.committed(network))
    module = loaded.build()
    found = compare_peers(EdgeAdder(to_onnx(module, loaded)), module, calls)
    print("\n\n".join(peers_paragraphs(found)))


@app.command()
def setup() -> None:
    """Install LiteRT, its converter and node's packages, each in a folder below runs/peers."""
    try:
        environments.set_up()
    except InputError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(environments.FOLDER)


if __name__ == "__main__":
    app()
