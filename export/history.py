"""The record of each epoch of a training run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch of the history.

    Attributes:
        epoch: Counted from 1.
        loss: Mean training loss, in nats.
        learning_rate: Learning rate of its last step.
        digit: Validation accuracy of the digit with the averaged weights and one number for each
            image, a fraction.
        sum: Validation accuracy of the sum, a fraction.
        seconds: Time of the epoch, validation included.
    """

    epoch: int
    loss: float
    learning_rate: float
    digit: float
    sum: float
    seconds: float
