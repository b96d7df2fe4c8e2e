"""The suite that proves latency and parity."""

import edge_adder  # noqa: F401  before onnxruntime: it turns the uploader of usage data off
