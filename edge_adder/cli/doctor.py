"""`edge-adder doctor`."""

from __future__ import annotations

import typer

from edge_adder.cli.options import JsonOption, ModelOption, ProviderOption
from edge_adder.cli.output import print_coloured, print_json

EXAMPLE = "edge-adder doctor --provider cuda"

COLOURS = {True: typer.colors.GREEN, False: typer.colors.RED, None: None}
"""Colour of a line in a terminal, by whether its check is good."""


def doctor(
    model: ModelOption = None, provider: ProviderOption = "cpu", as_json: JsonOption = False
) -> int:
    """Check this machine and test a model on it.

    Needs no network. A model file is compared with PyTorch's answers in NAME.parity.npz beside it,
    if there is one. Exits with 4 if onnxruntime or the provider is at fault, and with 3 if the
    model is.
    """
    from edge_adder.doctor import report, run_checks

    diagnosis = run_checks(provider, model)  # type: ignore[arg-type]  # which checks it
    if as_json:
        print_json(diagnosis.to_dict())
    else:
        for good, line in report(diagnosis):
            print_coloured(line, COLOURS[good])
    return diagnosis.exit_code
