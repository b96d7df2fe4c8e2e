"""`python -m edge_adder` is the command `edge-adder`."""

from edge_adder.cli import main

main()
