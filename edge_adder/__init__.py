"""edge-adder: an image of a handwritten digit and a number in; the digit and their sum out.

The names below are the public API. They are loaded when they are first used, so that importing this
package imports neither onnxruntime nor Pillow.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from edge_adder.contract import CONTRACT
from edge_adder.errors import (
    CheckpointError,
    ContractError,
    EdgeAdderError,
    ExitCode,
    FileAccessError,
    ImageError,
    InputError,
    ModelError,
    ParityError,
    ProviderError,
)

if TYPE_CHECKING:
    from edge_adder.prediction import Outputs, Prediction, Predictions
    from edge_adder.predictor import EdgeAdder
    from edge_adder.preprocessing.prepare import Unread, prepare_image

__version__ = "0.1.0"

# onnxruntime starts an uploader of usage data when it is imported, unless it is told not to before.
# Whatever imports it here imports this package first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "CONTRACT",
    "CheckpointError",
    "ContractError",
    "EdgeAdder",
    "EdgeAdderError",
    "ExitCode",
    "FileAccessError",
    "ImageError",
    "InputError",
    "ModelError",
    "Outputs",
    "ParityError",
    "Prediction",
    "Predictions",
    "ProviderError",
    "Unread",
    "__version__",
    "prepare_image",
]

_LAZY = {
    "EdgeAdder": "edge_adder.predictor",
    "Outputs": "edge_adder.prediction",
    "Prediction": "edge_adder.prediction",
    "Predictions": "edge_adder.prediction",
    "Unread": "edge_adder.preprocessing.prepare",
    "prepare_image": "edge_adder.preprocessing.prepare",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
