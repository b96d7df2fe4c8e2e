"""Pen trajectories in the UNIPEN format (unipen.org), as Pendigits has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import unlzw3
from numpy.typing import NDArray

from edge_adder.errors import InputError, one_line

from .sets import PENDIGITS, find_folder, read_checked

Lines = list[NDArray[np.float64]]
"""Strokes of a pen: for each, its points (x, y), float64 (count, 2)."""

_COMMENT = re.compile(r"\.COMMENT\s+(\d)\s+(\d+)")


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A digit as a pen wrote it.

    Attributes:
        digit: 0 to 9.
        writer: The writer's number in its file.
        lines: The strokes; x grows to the right and y downwards, in units of the tablet.
    """

    digit: int
    writer: int
    lines: Lines


def load_trajectories(name: str, folder: Path | None = None) -> list[Trajectory]:
    """Read a file of Pendigits.

    Args:
        name: `export.handwriting.sets.TRAINING_TRAJECTORIES` or `VALIDATION_TRAJECTORIES`.
        folder: Folder of the sets; None as in `find_folder`.

    Raises:
        InputError: The file is missing, or is not what was published.
        FileAccessError: It cannot be read.
    """
    content = read_checked(PENDIGITS, name, find_folder(folder))[name]
    return parse_unipen(unlzw3.unlzw(content).decode("latin-1"))


def parse_unipen(text: str) -> list[Trajectory]:
    """Read the digits of a UNIPEN file whose comments are ``.COMMENT digit writer number``.

    Raises:
        InputError: The text is not in that form.
    """
    return [_parse_segment(segment) for segment in text.split(".SEGMENT")[1:]]


def _parse_segment(segment: str) -> Trajectory:
    comment = _COMMENT.search(segment)
    if comment is None:
        raise InputError(f"a UNIPEN segment has no digit and writer: {segment[:40]!r}")
    lines: Lines = []
    for stroke in segment.split(".PEN_DOWN")[1:]:
        try:
            points = np.array(stroke.split(".PEN_UP")[0].split(), np.float64).reshape(-1, 2)
        except ValueError as error:
            raise InputError(f"a UNIPEN segment is damaged: {one_line(error)}") from error
        if len(points):
            lines.append(points * (1, -1))  # UNIPEN's y grows upwards
    if not lines:
        raise InputError(f"a UNIPEN segment has no points: {segment[:40]!r}")
    return Trajectory(int(comment[1]), int(comment[2]), lines)
