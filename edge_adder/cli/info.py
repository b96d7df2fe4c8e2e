"""`edge-adder info`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_adder.cli.options import JsonOption, Sha256Option
from edge_adder.cli.output import print_json

EXAMPLE = "edge-adder info model.onnx"

_TITLES = {"measured": "measured from the file", "provenance": "claimed by the file"}

ModelArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[MODEL]", help="ONNX file (default: the bundled model)."),
]


def info(
    model: ModelArgument = None, sha256: Sha256Option = None, as_json: JsonOption = False
) -> None:
    """Show a model's contract, provenance, size and operators."""
    from edge_adder.predictor import EdgeAdder

    facts = EdgeAdder(model, sha256=sha256).describe()
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)


def _print_facts(facts: dict[str, Any]) -> None:
    """Print a line for each fact; those of a part are indented."""
    from edge_adder.evaluation.report import percent

    for name, value in facts.items():
        if name == "contract":
            _print_contract(value)
        elif isinstance(value, dict):
            print(f"{_TITLES.get(name, name)}:")
            for inner, part in value.items():
                shown = _compact(part, percent) if inner == "metrics" else _compact(part)
                print(f"  {inner}: {shown}")
        else:
            print(f"{name}: {_compact(value)}")


def _print_contract(contract: dict[str, Any]) -> None:
    print(f"contract: version {contract['version']}")
    for side in ("inputs", "outputs"):
        for spec in contract[side]:
            shape = ", ".join(map(str, spec["shape"]))
            print(f"  {side[:-1]} {spec['name']}: {spec['dtype']} ({shape})")
            print(f"    {spec['meaning']}")


def _compact(value: object, show_float: Callable[[float], str] = str) -> str:
    """Return a value as one line, without JSON's punctuation."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_compact(part, show_float)}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return show_float(value) if isinstance(value, float) else str(value)
