"""The look of every plot of the project: size of text, colours, grid, plain numbers on the axes."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a read-only home folder

import matplotlib as mpl  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.axis import Axis  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: E402

BLUE, ORANGE, GREEN, RED = "tab:blue", "tab:orange", "tab:green", "tab:red"
PURPLE, GREY, LIGHT_GREY = "tab:purple", "tab:grey", "lightgrey"

STYLE: dict[Any, Any] = {  # matplotlib types each name by itself
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.alpha": 0.3,
    "legend.fontsize": 9,
    "legend.frameon": False,
}

DOTS_PER_INCH = 120


@contextmanager
def plot(
    width: float, height: float, columns: int = 1, *, rows: int = 1, share_y: bool = False
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Open a figure in the common style; everything on it must be drawn within the block.

    Args:
        width: In inches.
        height: In inches.
        columns: Number of axes side by side.
        rows: Number of such rows; the axes come row by row.
        share_y: Whether they have the y-axis in common.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, list(figure.subplots(rows, columns, sharey=share_y, squeeze=False).flat)


def use_plain_numbers(axis: Axis) -> None:
    """Label an axis with numbers such as 20 or 5,000; set its scale before."""
    if axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def png(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file, the same for the same figure."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
