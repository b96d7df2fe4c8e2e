"""`edge-adder bench`: how fast the model is on this device, and whether it is right."""
