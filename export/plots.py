"""Pictures of a training run, as PNG bytes."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence

from export.history import EpochRecord


def curves(history: Sequence[EpochRecord]) -> bytes:
    """Training loss and validation error over the epochs."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a read-only home folder
    from matplotlib.figure import Figure  # noqa: PLC0415  an export needs no plots

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    left.plot(epochs, [record.loss for record in history], color="tab:grey")
    left.set(title="Training loss", xlabel="epoch", ylabel="nats", yscale="log")
    digit = [100 * (1 - record.digit) for record in history]
    total = [100 * (1 - record.sum) for record in history]
    right.plot(epochs, digit, label=f"digit, {digit[-1]:.2f} % at the end", linewidth=3)
    right.plot(epochs, total, label=f"sum, {total[-1]:.2f} % at the end", linestyle="--")
    scale = "log" if max(digit + total) > 0 else "linear"  # none is wrong, of few images
    right.set(title="Validation error", xlabel="epoch", ylabel="% of pairs", yscale=scale)
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
