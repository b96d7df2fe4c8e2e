"""Pictures of a training run, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from edge_adder.contract import DIGITS
from export.evaluate import Accuracy
from export.history import EpochRecord


def curves(history: Sequence[EpochRecord]) -> bytes:
    """Training loss and validation error over the epochs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    left.plot(epochs, [record.loss for record in history], color="tab:grey")
    left.set(title="Training loss", xlabel="epoch", ylabel="nats", yscale="log")
    digit = [100 * (1 - record.digit) for record in history]
    total = [100 * (1 - record.sum) for record in history]
    right.plot(epochs, digit, label=f"digit, {digit[-1]:.2f} % at the end", linewidth=3)
    right.plot(epochs, total, label=f"sum, {total[-1]:.2f} % at the end", linestyle="--")
    right.set(title="Validation error", xlabel="epoch", ylabel="% of pairs", yscale="log")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    return _png(figure)


def confusion(matrix: Tensor, accuracy: Accuracy) -> bytes:
    """The digit's confusion matrix.

    Args:
        matrix: int64 (10, 10), true digit × answered digit.
        accuracy: Of the same pairs, for the title.
    """
    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes = figure.subplots()
    wrong = matrix.clone().fill_diagonal_(0)
    axes.imshow(wrong.numpy(), cmap="Reds", vmin=0, vmax=max(1, 2 * int(wrong.max())))
    for true in range(DIGITS):
        for answer in range(DIGITS):
            count = int(matrix[true, answer])
            if count:
                colour = "tab:grey" if true == answer else "black"
                axes.text(
                    answer, true, str(count), ha="center", va="center", color=colour, fontsize=8
                )
    axes.set(
        title=f"Test: digit {accuracy.digit:.2%}, sum {accuracy.sum:.2%}, {accuracy.pairs:,} pairs",
        xlabel="answered digit",
        ylabel="true digit",
        xticks=range(DIGITS),
        yticks=range(DIGITS),
    )
    return _png(figure)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
