"""Training: a frozen `TrainConfig` in; a checkpoint, a history and two plots out.

Every epoch is a function of the state before it, the seed and its own index alone: augmentation,
numbers, order and dropout draw from generators that are seeded anew for each epoch. So a run that
was stopped continues from its last complete epoch to the same weights as one that was not.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from edge_adder.contract import DIGITS
from edge_adder.errors import InputError
from edge_adder.evaluation.drawings import confusion_matrix
from edge_adder.files import make_folder, write_atomically

from . import checkpoint, networks, plots
from .augment import Augmentation
from .augmentation_cache import CACHE_DIR, AugmentationCache
from .checkpoint import Checkpoint
from .config import TrainConfig
from .data import (
    LabelledImages,
    draw_numbers,
    join,
    load_mnist,
    split_indices,
    with_synthetic,
)
from .evaluate import Accuracy, evaluate
from .handwriting import load as handwriting
from .history import EpochRecord
from .loss import mean_loss, targets
from .resume import RESUME_FILE, TrainState, check_new_run, check_same_run
from .schedule import make_scheduler, relative_rate

CHECKPOINT_FILE = "checkpoint.safetensors"
HISTORY_FILE = "history.json"
CURVES_FILE = "curves.png"
CONFUSION_FILE = "confusion.png"


class Observer:
    """Follows a training run; this one ignores it."""

    def start(self, config: TrainConfig, *, done_epochs: int, steps_per_epoch: int) -> None:
        """The run begins, or continues after `done_epochs`."""

    def step(self, epoch: int, step: int, loss: Callable[[], float]) -> None:
        """A step of an epoch is done; both count from 1. `loss` waits for the device."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is done and on disk."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished run; accuracies are over all images with all ten numbers.

    Attributes:
        checkpoint: Path of the weights.
        validation: Accuracy on the validation images.
        test: Accuracy on the test images; None where they were not used.
    """

    checkpoint: Path
    validation: Accuracy
    test: Accuracy | None


@dataclass(frozen=True, slots=True)
class Run:
    """What every epoch needs.

    Attributes:
        train_set: Images to learn from, on the device.
        augmented: The same images, augmented.
        numbers: int64 (count,), the number of each image; None draws them in every epoch.
        validation: Images to validate on, on the device.
    """

    config: TrainConfig
    train_set: LabelledImages
    augmented: AugmentationCache
    numbers: Tensor | None
    validation: LabelledImages
    state: TrainState
    observer: Observer

    @property
    def steps(self) -> int:
        """Number of steps in an epoch."""
        return len(self.train_set) // self.config.batch_size


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    test: bool = True,
    observer: Observer | None = None,
) -> TrainResult:
    """Train a network on MNIST and measure it once on the test images.

    After every epoch `config.out` holds ``checkpoint.safetensors`` (the averaged weights) with its
    JSON, ``history.json`` and ``resume.safetensors`` (everything that is needed to continue). At
    the end come the test accuracy in the checkpoint, ``curves.png`` and ``confusion.png``.

    Args:
        config: The run.
        resume: Continue the run in `config.out` after its last complete epoch.
        test: Measure on the test images at the end; not while something is being chosen.
        observer: Called at each step and epoch.

    Raises:
        InputError: Data are missing or other than before, `config.out` holds another run, there is
            none to resume, or training diverged.
        CheckpointError: The file to resume from cannot be read.
        FileAccessError: A file cannot be written.
    """
    device = resolve_device(config.device)
    if not resume:
        check_new_run(config.out)
    mnist = load_mnist(config.data_dir, train=True)
    identity = {"recipe": config.recipe(), "data_sha256": mnist.sha256}
    if resume:
        check_same_run(config.out, identity)
    run = _start(config, mnist, device, observer or Observer())
    if resume:
        run.state.load(config.out / RESUME_FILE)
    else:
        run.state.save(config.out / RESUME_FILE, identity)
    learn(run, identity)
    return _finish(run, test=test)


def _start(
    config: TrainConfig, mnist: LabelledImages, device: torch.device, observer: Observer
) -> Run:
    """Divide the images, add the synthetic ones, and make a network."""
    learned, held_out = split_indices(len(mnist), config.split, config.seed)
    train_set = with_synthetic(
        mnist.at(learned),
        digits=config.synthetic_digits,
        ones_and_sevens=config.ones_and_sevens,
        negatives=config.negatives,
    )
    train_set = join([train_set, *_handwriting(config)])
    if len(train_set) < config.batch_size:
        raise InputError(f"batch_size must be at most {len(train_set)}, got {config.batch_size}")
    synthetic = torch.arange(len(train_set) - len(learned))
    cyclic = torch.cat([learned, synthetic]) % DIGITS
    train_set = train_set.to(device)
    augmented = AugmentationCache(
        train_set,
        augmentation=Augmentation() if config.augment else None,
        handwriting=config.handwriting,
        passes=config.cached_passes,
        folder=config.out.parent / CACHE_DIR,
    )
    make_folder(config.out)
    return Run(
        config=config,
        train_set=train_set,
        augmented=augmented,
        numbers=cyclic if config.numbers == "cyclic" else None,
        validation=mnist.at(held_out).to(device),
        state=TrainState(fresh_network(config, device), config),
        observer=observer,
    )


def fresh_network(config: TrainConfig, device: torch.device) -> nn.Module:
    """Return the network of a run with its first weights, which the seed decides."""
    torch.manual_seed(config.seed)
    network = networks.create(config.network).to(device)
    if config.precision == "bfloat16":
        network.to(memory_format=torch.channels_last)  # as AMX wants them
    return network


def _handwriting(config: TrainConfig) -> list[LabelledImages]:
    """Return the scans and drawings of a recipe."""
    cache = config.out.parent / handwriting.CACHE_DIR
    parts = []
    if config.scan_writers:
        scans = handwriting.load_scans(config.scan_writers, cache=cache)
        parts += [scans] * config.scan_copies
    if config.pen_writers:
        parts.append(handwriting.load_drawings(config.pen_writers, config.pen_copies, cache=cache))
    return parts


def learn(run: Run, identity: dict[str, Any]) -> None:
    """Train and record every epoch that is not done yet."""
    config, state = run.config, run.state
    done = len(state.history)
    run.observer.start(config, done_epochs=done, steps_per_epoch=run.steps)
    scheduler = make_scheduler(config, state.optimizer, steps=run.steps, done_epochs=done)
    for epoch in range(done, config.epochs):
        began = time.perf_counter()
        loss = _train_epoch(run, scheduler, epoch)
        if not math.isfinite(loss):
            raise InputError(
                f"training diverged in epoch {epoch + 1} (loss {loss}): lower learning_rate"
            )
        accuracy, _ = evaluate(state.average.module, run.validation, every_number=False)
        record = EpochRecord(
            epoch=epoch + 1,
            loss=loss,
            learning_rate=config.learning_rate
            * relative_rate(config.schedule, (epoch + 1) / config.epochs),
            digit=accuracy.digit,
            sum=accuracy.sum,
            seconds=round(time.perf_counter() - began, 3),
        )
        state.history.append(record)
        state.save(config.out / RESUME_FILE, identity)
        _save_results(run, {"validation": accuracy.to_dict()})
        run.observer.epoch(record)


def _train_epoch(run: Run, scheduler: LambdaLR, epoch: int) -> float:
    """Learn from the images once, in a new order; return the mean loss in nats.

    The last images of the order, fewer than a batch, are left for another epoch.
    """
    config, train_set = run.config, run.train_set
    seed = _epoch_seed(config.seed, epoch)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout draws from the global generator
    order = torch.randperm(len(train_set), generator=generator)
    numbers = run.numbers
    if numbers is None:
        numbers = draw_numbers(len(train_set), generator)
    device = train_set.labels.device
    losses = torch.zeros((), device=device)
    run.state.network.train()
    for step in range(run.steps):
        chosen = order[step * config.batch_size : (step + 1) * config.batch_size]
        number, chosen = numbers[chosen].to(device), chosen.to(device)
        images = run.augmented.batch(epoch, chosen, generator)
        loss = _step(run, images, train_set.labels[chosen], number)
        scheduler.step()
        losses += loss
        run.observer.step(epoch + 1, step + 1, loss.item)
    return float(losses) / run.steps


def _step(run: Run, images: Tensor, labels: Tensor, number: Tensor) -> Tensor:
    """Move the weights, and their average, by one batch; return its mean loss in nats."""
    state, bfloat16 = run.state, run.config.precision == "bfloat16"
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=bfloat16):
        digit, total = state.network(images, number)
    loss = mean_loss((digit.float(), total.float()), targets(labels, number))
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    state.average.update_parameters(state.network)
    return loss.detach()


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch + 1  # a prime apart, so that neighbouring seeds share no epoch


def resolve_device(name: str) -> torch.device:
    """Return the device for a name of `export.config.Device` on this machine.

    Raises:
        InputError: CUDA was requested and is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was requested and PyTorch finds none: use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _finish(run: Run, *, test: bool) -> TrainResult:
    """Write the final checkpoint and the plots; use the test images once, if at all."""
    config, network = run.config, run.state.average.module
    validation, confusion = evaluate(network, run.validation)
    metrics, title = {"validation": validation.to_dict()}, f"Validation: {validation}"
    tested = None
    if test:
        images = load_mnist(config.data_dir, train=False)
        tested, confusion = evaluate(network, images.to(run.validation.labels.device))
        metrics, title = metrics | {"test": tested.to_dict()}, f"Test: {tested}"
    _save_results(run, metrics)
    _save_plots(run, confusion, title)
    return TrainResult(config.out / CHECKPOINT_FILE, validation, tested)


def _save_plots(run: Run, confusion: Tensor, title: str) -> None:
    curves = plots.curves(run.state.history)
    write_atomically(run.config.out / CURVES_FILE, curves)
    matrix = confusion_matrix(confusion.tolist(), title)
    write_atomically(run.config.out / CONFUSION_FILE, matrix)


def _save_results(run: Run, metrics: dict[str, Any]) -> None:
    """Write the checkpoint with the averaged weights, and the history."""
    config, state = run.config, run.state
    weights = state.average.module.state_dict()
    made = Checkpoint(config.network, weights, config.recipe(), metrics)
    checkpoint.save(made, config.out / CHECKPOINT_FILE)
    records = [dataclasses.asdict(record) for record in state.history]
    content = (json.dumps(records, indent=2) + "\n").encode()
    write_atomically(config.out / HISTORY_FILE, content)
