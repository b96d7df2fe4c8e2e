"""`edge-adder bench`: how fast the model is on this device, and whether its answers are correct."""
