"""Other ways to run the same network, side by side.

PyTorch runs the checkpoint, all others the file that was exported from it, or what their converter
makes of it. They are timed in turns, on one thread, and each must give the same answers before
that. A peer that is not installed or fails is listed as absent.
"""
