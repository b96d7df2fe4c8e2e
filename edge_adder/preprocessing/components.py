"""Connected components of a mask, made of runs: stretches of pixels along its rows.

Two runs in neighbouring rows belong together where they touch, diagonally too (Rosenfeld and
Pfaltz, "Sequential operations in digital picture processing", 1966).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.morphology import dilate

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Components:
    """The components of a mask, in the order of their topmost runs.

    Attributes:
        shape: Height and width of the mask.
        row: Row of each run, int64 (runs,).
        start: First column of each run.
        end: Column after the last of each run.
        owner: Index of the component of each run.
        top: First row of each component, int64 (components,).
        bottom: Row after the last of each component.
        left: First column of each component.
        right: Column after the last of each component.
        area: Area of each component, in pixels.
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
        """Height of each component's bounding box, in pixels, int64 (components,)."""
        return self.bottom - self.top

    @property
    def width(self) -> Indices:
        """Width of each component's bounding box, in pixels, int64 (components,)."""
        return self.right - self.left

    def total(self, values: NDArray[np.float32] | NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the sum of values, (height, width), over each component: (components,)."""
        if not len(self):
            return np.zeros(0)
        first = self.row * self.shape[1]
        ends = np.stack([first + self.start, first + self.end], axis=1).ravel()
        sums = np.add.reduceat(np.append(values, 0), ends, dtype=np.float64)  # of runs and gaps
        return np.bincount(self.owner, sums[::2], minlength=len(self)).astype(np.float64)

    def mask(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the pixels of the chosen components, bool (components,): bool (height, width)."""
        steps = np.zeros((self.shape[0], self.shape[1] + 1), np.int8)
        runs = chosen[self.owner]
        steps[self.row[runs], self.start[runs]] = 1
        steps[self.row[runs], self.end[runs]] = -1  # two runs of a row never touch
        return steps.cumsum(axis=1, dtype=np.int8)[:, :-1] > 0


def find_components(mask: NDArray[np.bool_], bridge: int = 0) -> Components:
    """Return the connected components of a mask, bool (height, width).

    Args:
        mask: The pixels.
        bridge: Pixels by which the mask is grown to see what belongs together: components are
            joined over gaps of up to twice as many, and keep their own pixels.
    """
    height, width = mask.shape
    row, start, end = _find_runs(mask)
    if bridge:
        grown_row, grown_start, _ = grown = _find_runs(dilate(mask, bridge))
        place = np.searchsorted(grown_row * width + grown_start, row * width + start, "right") - 1
        owner = _join(*grown, height)[place]
    else:
        owner = _join(row, start, end, height)
    owners, owner = np.unique(owner, return_inverse=True)
    count = len(owners)
    top, left = np.full(count, height), np.full(count, width)
    bottom, right = np.zeros(count, np.int64), np.zeros(count, np.int64)
    np.minimum.at(top, owner, row)
    np.minimum.at(left, owner, start)
    np.maximum.at(bottom, owner, row + 1)
    np.maximum.at(right, owner, end)
    area = np.bincount(owner, end - start, minlength=count).astype(np.int64)
    return Components((height, width), row, start, end, owner, top, bottom, left, right, area)


def run_lengths(mask: NDArray[np.bool_]) -> Indices:
    """Return for each pixel of a mask the length of its run along the row; 0 elsewhere."""
    _, start, end = _find_runs(mask)
    lengths = np.zeros(mask.shape, np.int64)
    lengths[mask] = np.repeat(end - start, end - start)
    return lengths


def _find_runs(mask: NDArray[np.bool_]) -> tuple[Indices, Indices, Indices]:
    """Return row, first column and column after the last of each run, int64 (runs,) each."""
    if not mask.any():  # as most pictures have no marks and nothing faint
        none = np.zeros(0, np.int64)
        return none, none, none
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    return row, start, np.nonzero(edges == -1)[1]


def _join(rows: Indices, starts: Indices, ends: Indices, height: int) -> Indices:
    """Return the lowest run that each run is connected with, int64 (runs,)."""
    first_of_row = np.searchsorted(rows, np.arange(height + 1)).tolist()
    start, end = starts.tolist(), ends.tolist()
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
