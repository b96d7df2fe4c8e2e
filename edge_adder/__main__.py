"""`python -m edge_adder` is the command `edge-adder`."""

from edge_adder.cli.main import main

main()
