"""The command `edge-adder`, and `python -m edge_adder`."""

from __future__ import annotations

import signal
from typing import NoReturn


def run() -> NoReturn:
    """Run the command line; until it is loaded, Ctrl-C ends the process at once and in silence."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edge_adder.cli.main import main  # noqa: PLC0415  typer alone takes a tenth of a second

    main()


if __name__ == "__main__":
    run()
