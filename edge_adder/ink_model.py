"""The ink model: which pixels of a picture are written on, and which of those are no digit's."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import INK, INK_CONTRACT, INK_STEP, PICTURE
from edge_adder.errors import EdgeAdderError
from edge_adder.model_file import Description, check_contract, read_bundled
from edge_adder.session import Session

INK_MODEL = Path(__file__).parent / "models" / "ink.onnx"
"""The bundled ink model."""

PARITY_BOUND = 1e-3
"""Largest accepted difference of log-odds from PyTorch's; float32 through twenty convolutions
leaves about 1e-4. No answer depends on it: a pixel is taken for written from 0 on."""


@functools.cache
def load() -> Session:
    """Load the bundled ink model, once in a process.

    Raises:
        ModelError: The file does not exist, or onnxruntime cannot load it.
        ContractError: Its tensors or metadata differ from the contract.
    """
    return open_model(read_bundled(INK_MODEL))


def open_model(content: bytes) -> Session:
    """Open a session for an ink model; errors as `load`."""
    session = Session(content, name="ink model")
    describe(session)
    return session


def describe(session: Session) -> Description:
    """Return what an ink model says of itself.

    Raises:
        ContractError: It is none.
    """
    metadata, tensors = session.read_metadata(), session.read_tensors()
    return check_contract(session.name, metadata, tensors, INK_CONTRACT)


def run(session: Session, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run an ink model.

    Args:
        session: The model.
        pictures: uint8 (batch, 3, height, width), as its contract has it.

    Returns:
        float32 (batch, 2, height, width).

    Raises:
        ModelError: The model cannot be run.
    """
    try:
        (found,) = session.run([INK.name], {PICTURE.name: np.ascontiguousarray(pictures)})
    except EdgeAdderError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise session.describe_failure(error) from error
    log_odds: NDArray[np.float32] = found
    return log_odds


def find_ink(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return for each pixel how likely it is written on, by the bundled model.

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
    padded = np.pad(picture, around, mode="edge").transpose(2, 0, 1)
    return run(load(), padded[None])[0, :, :height, :width]


@dataclass(frozen=True, slots=True)
class InkParity:
    """Difference of an ink model from PyTorch.

    Attributes:
        largest_difference: Largest absolute difference of log-odds.
        changed_pixels: Number of pixels whose most probable answer differs, where PyTorch's is not
            within the bound of a tie.
    """

    largest_difference: float
    changed_pixels: int

    @property
    def passed(self) -> bool:
        """Whether the difference is within `PARITY_BOUND` and no pixel changed."""
        return self.largest_difference <= PARITY_BOUND and not self.changed_pixels


def compare(found: NDArray[np.float32], expected: NDArray[np.float32]) -> InkParity:
    """Compare log-odds with PyTorch's for the same pictures, both in the same shape."""
    if not np.isfinite(found).all():
        return InkParity(np.inf, found.size)
    clear = np.abs(expected) > PARITY_BOUND
    changed = np.count_nonzero(((found > 0) != (expected > 0)) & clear)
    return InkParity(float(np.abs(found - expected).max(initial=0)), int(changed))


def check_parity() -> InkParity:
    """Compare the bundled ink model on this device with PyTorch's stored answers.

    Raises:
        ModelError: The model or its vectors cannot be read.
    """
    with np.load(io.BytesIO(read_bundled(INK_MODEL.with_suffix(".parity.npz")))) as stored:
        return compare(run(load(), stored[PICTURE.name]), stored[INK.name])
