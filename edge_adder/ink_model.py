"""The ink model: which pixels of a picture are written on, and which of those are no digit's."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import INK, INK_CONTRACT, INK_STEP, PICTURE
from edge_adder.model_file import check_contract, read_bundled
from edge_adder.session import Session

INK_MODEL = Path(__file__).parent / "models" / "ink.onnx"
"""The model that `find_ink` runs."""


@functools.cache
def load() -> Session:
    """Load the ink model, once in a process.

    Raises:
        ModelError: The file does not exist, or onnxruntime cannot load it.
        ContractError: Its tensors or metadata differ from the contract.
    """
    session = Session(read_bundled(INK_MODEL), name="ink")
    check_contract("ink", session.read_metadata(), session.read_tensors(), INK_CONTRACT)
    return session


def find_ink(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return for each pixel how likely it is writing.

    Args:
        picture: uint8 (height, width, 3), of any size.

    Returns:
        float32 (2, height, width); log-odds that a pixel is written on, and that what is written
        there is a sign, a letter or a mark rather than a digit.

    Raises:
        ModelError: The model cannot be loaded or run.
    """
    height, width = picture.shape[:2]
    around = ((0, -height % INK_STEP), (0, -width % INK_STEP), (0, 0))
    padded = np.pad(picture, around, mode="edge").transpose(2, 0, 1)[None]
    session = load()
    try:
        (found,) = session.run([INK.name], {PICTURE.name: np.ascontiguousarray(padded)})
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise session.describe_failure(error) from error
    log_odds: NDArray[np.float32] = found[0, :, :height, :width]
    return log_odds
