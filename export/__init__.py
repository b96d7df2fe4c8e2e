"""Development tools: PyTorch trains a network and exports it to ONNX. Not part of the wheel."""
