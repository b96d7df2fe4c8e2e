"""What all images of MNIST have in common: python -m benchmarks.robustness.mnist_format.

`edge_adder.preprocessing.mnist_format` recognises images in MNIST's format by these figures, and
`edge_adder.preprocessing.normalize` brings all others to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.markdown import table
from edge_adder.contract import IMAGE_SIDE
from edge_adder.preprocessing.normalize import normalize
from export.data import load_mnist

STROKES_OF = 2_000
"""Images of each part whose strokes are measured, evenly spaced."""


def main(
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
) -> None:
    """Print the box's side, the centre of mass, the brightest pixel and the stroke width."""
    rows = []
    for name in ("train", "test"):
        images = load_mnist(data_dir, train=name == "train").images[:, 0].numpy()
        sides, centres = box_sides(images), mass_centres(images)
        widths = stroke_widths(images[:: max(1, len(images) // STROKES_OF)])
        counts = ", ".join(f"{side}: {(sides == side).sum():,}" for side in np.unique(sides))
        low, middle, high = np.percentile(widths, [1, 50, 99])
        brightest = images.max(axis=(1, 2))
        rows.append(
            (
                f"{name}, {len(images):,}",
                counts,
                f"{centres.min():.2f} to {centres.max():.2f}",
                f"{brightest.min()} to {brightest.max()}",
                f"{low:.1f}, {middle:.1f}, {high:.1f}",
            )
        )
    head = ("images", "longer side of the box: images", "centre of mass", "brightest pixel")
    print(table((*head, "stroke width: 1 %, 50 %, 99 %"), rows))


def box_sides(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the longer side of the box around all ink, in pixels.

    Args:
        images: (count, 28, 28).

    Returns:
        (count,).
    """
    sides = np.zeros(len(images), np.int64)
    for axis in (1, 2):
        inked: NDArray[np.bool_] = np.any(images, axis=axis)
        extent = IMAGE_SIDE - inked.argmax(axis=1) - inked[:, ::-1].argmax(axis=1)
        sides = np.maximum(sides, extent)
    return sides


def mass_centres(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the centre of mass, in pixels from the middle of the first.

    Args:
        images: (count, 28, 28).

    Returns:
        (2, count); down and right.
    """
    mass = images.astype(np.float64)
    steps, total = np.arange(IMAGE_SIDE), mass.sum(axis=(1, 2))
    sums = np.stack([mass.sum(axis=2) @ steps, mass.sum(axis=1) @ steps])
    centres: NDArray[np.float64] = sums / total
    return centres


def stroke_widths(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean stroke width of each image in pixels, as `normalize` measures it.

    Args:
        images: (count, 28, 28).

    Returns:
        (count,).
    """
    cut = []
    for image in images:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        cut.append(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return np.array([normalize(np.ascontiguousarray(ink))[1] for ink in cut])


if __name__ == "__main__":
    typer.run(main)
