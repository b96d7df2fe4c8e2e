"""The learning rate over a training run."""

from __future__ import annotations

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from .config import Schedule, TrainConfig

_WARMUP = 0.1
"""Share of the run in which the learning rate rises."""


def relative_rate(schedule: Schedule, progress: float) -> float:
    """Return the learning rate of a step, as a share of the highest.

    Args:
        schedule: ``constant``, or ``cosine``: a linear rise, then half a cosine down to 0.
        progress: Share of the run's steps that are done with this one, 0 to 1.
    """
    if schedule == "constant":
        return 1.0
    if progress < _WARMUP:
        return progress / _WARMUP
    return (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP))) / 2


def make_scheduler(
    config: TrainConfig, optimizer: torch.optim.Optimizer, *, steps: int, done_epochs: int
) -> LambdaLR:
    """Return the scheduler, to be stepped after each step of the optimizer.

    Args:
        config: The run.
        optimizer: Its groups have the highest rate as ``initial_lr``.
        steps: Steps in an epoch.
        done_epochs: Epochs that are done already.
    """
    total = config.epochs * steps

    def rate(done: int) -> float:
        return relative_rate(config.schedule, min(1.0, (done + 1) / total))

    return LambdaLR(optimizer, rate, last_epoch=done_epochs * steps - 1)
