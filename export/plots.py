"""Plots of a training run, as PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence

from edge_adder.evaluation.report import percent

from .history import EpochRecord


def curves(history: Sequence[EpochRecord]) -> bytes:
    """Draw training loss and validation error over the epochs."""
    from .plot_style import BLUE, GREY, ORANGE, plot, png, use_plain_numbers  # noqa: PLC0415

    epochs = [record.epoch for record in history]
    digit = [100 * (1 - record.digit) for record in history]
    total = [100 * (1 - record.sum) for record in history]
    with plot(9, 3.6, columns=2) as (figure, (left, right)):
        left.plot(epochs, [record.loss for record in history], color=GREY)
        left.set(title="Training loss", xlabel="epoch", ylabel="nats", yscale="log")
        for name, errors, colour, style in (
            ("digit", digit, BLUE, "-"),
            ("sum", total, ORANGE, ":"),
        ):
            label = f"{name}, {percent(errors[-1] / 100)} at the end"
            right.plot(epochs, errors, style, color=colour, linewidth=2.5, label=label)
        scale = "log" if max(digit + total) > 0 else "linear"  # few images may all be correct
        right.set(title="Validation error", xlabel="epoch", ylabel="% of pairs", yscale=scale)
        right.legend()
        for axes in (left, right):
            use_plain_numbers(axes.yaxis)
        return png(figure)
