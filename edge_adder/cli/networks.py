"""`edge-adder networks`."""

from __future__ import annotations

from edge_adder.cli.development import load_tools
from edge_adder.cli.options import JsonOption
from edge_adder.cli.output import print_json

EXAMPLE = "edge-adder networks --json"


def networks(as_json: JsonOption = False) -> None:
    """List the networks with their cost, accuracy and source."""
    commands = load_tools("networks", "edge_adder.export.commands")
    if as_json:
        print_json(commands.networks_facts())
    else:
        print(commands.networks_table())
