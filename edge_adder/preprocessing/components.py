"""Connected components of a mask, by runs of pixels in its rows.

Two runs in neighbouring rows belong together where they touch, diagonally too (Rosenfeld and
Pfaltz, "Sequential operations in digital picture processing", 1966).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Components:
    """The components of a mask, in the order of their topmost runs.

    Attributes:
        shape: Height and width of the mask.
        row: Of each run, int64 (runs,).
        start: First column of each run.
        end: Column after its last.
        owner: The component of each run.
        top: First row of each component, int64 (components,).
        bottom: Row after its last.
        left: Its first column.
        right: Column after its last.
        area: Its pixels.
    """

    shape: tuple[int, int]
    row: Indices
    start: Indices
    end: Indices
    owner: Indices
    top: Indices
    bottom: Indices
    left: Indices
    right: Indices
    area: Indices

    def __len__(self) -> int:
        return len(self.area)

    @property
    def height(self) -> Indices:
        """Of the box around each."""
        return self.bottom - self.top

    @property
    def width(self) -> Indices:
        """Of the box around each."""
        return self.right - self.left

    def total(self, values: NDArray[np.float32] | NDArray[np.bool_]) -> NDArray[np.float64]:
        """The sum of (height, width) values over each component: (components,)."""
        sums = np.zeros((self.shape[0], self.shape[1] + 1))
        np.cumsum(values, axis=1, out=sums[:, 1:])
        of_run = sums[self.row, self.end] - sums[self.row, self.start]
        return np.bincount(self.owner, of_run, minlength=len(self)).astype(np.float64)

    def mask(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bool (height, width): the pixels of the chosen components, bool (components,)."""
        steps = np.zeros((self.shape[0], self.shape[1] + 1), np.int8)
        runs = chosen[self.owner]
        steps[self.row[runs], self.start[runs]] = 1
        steps[self.row[runs], self.end[runs]] = -1  # two runs of a row never touch
        return steps.cumsum(axis=1, dtype=np.int8)[:, :-1] > 0


def find_components(mask: NDArray[np.bool_]) -> Components:
    """The connected components of a mask, bool (height, width)."""
    height, width = mask.shape
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    owner = _join(
        np.searchsorted(row, np.arange(height + 1)).tolist(), start.tolist(), end.tolist()
    )
    _, first, owner = np.unique(owner, return_index=True, return_inverse=True)
    count = len(first)
    top, left = np.full(count, height), np.full(count, width)
    bottom, right = np.zeros(count, np.int64), np.zeros(count, np.int64)
    np.minimum.at(top, owner, row)
    np.minimum.at(left, owner, start)
    np.maximum.at(bottom, owner, row + 1)
    np.maximum.at(right, owner, end)
    area = np.bincount(owner, end - start, minlength=count).astype(np.int64)
    return Components((height, width), row, start, end, owner, top, bottom, left, right, area)


def _join(first_of_row: list[int], start: list[int], end: list[int]) -> Indices:
    """The lowest run that each run is connected with, int64 (runs,)."""
    parent = list(range(len(start)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    for row in range(1, len(first_of_row) - 1):
        above, run = first_of_row[row - 1], first_of_row[row]
        last_above, last = run, first_of_row[row + 1]
        while above < last_above and run < last:
            if start[above] <= end[run] and start[run] <= end[above]:
                one, other = root(above), root(run)
                parent[max(one, other)] = min(one, other)
            if end[above] < end[run]:
                above += 1
            else:
                run += 1
    return np.array([root(run) for run in range(len(parent))], np.int64)
