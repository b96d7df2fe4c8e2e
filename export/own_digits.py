"""Continue a training on labelled pictures of one's own, mixed with MNIST.

The pictures are prepared as on the device, and a share of them is held out for validation: whole
writers where a table names at least `MIN_WRITERS`, else a share of each digit. MNIST's images and
non-digits in the mixture keep what the network knows already.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_adder.contract import DIGITS
from edge_adder.errors import InputError
from edge_adder.evaluation.datasets import LabelledPictures, prepare_all
from edge_adder.evaluation.datasets import load as load_pictures
from edge_adder.files import make_folder, write_atomically

from . import checkpoint as checkpoints
from . import plots
from .augment import Augmentation
from .augmentation_cache import CACHE_DIR, AugmentationCache
from .checkpoint import Checkpoint
from .config import TrainConfig
from .data import LabelledImages, join, load_mnist, split_indices, with_synthetic
from .evaluate import Accuracy, evaluate
from .resume import RESUME_FILE, TrainState, check_new_run
from .train import (
    CHECKPOINT_FILE,
    CURVES_FILE,
    Observer,
    Run,
    fresh_network,
    learn,
    resolve_device,
)

SETTINGS: dict[str, Any] = {
    "epochs": 6,
    "learning_rate": 0.001,
    "negatives": 1500,
    "handwriting": 0.2,
}
"""Fields of `TrainConfig` whose defaults suit a short training from fresh weights only."""

VALIDATION_SHARE = 0.2
"""Share of the pictures, or of their writers, that is held out."""

MIN_WRITERS = 5
"""Least number of writers of whom some are held out as a whole."""

MIN_PICTURES = 20
"""Least number of pictures: with fewer, the validation says nothing."""

MNIST_IMAGES = 12_000
"""Images of MNIST in the mixture; the pictures are repeated to about as many."""

MOST_REPEATS = 40
"""How often a picture is in the mixture at most; each copy is augmented in its own way."""


@dataclass(frozen=True, slots=True)
class OwnDigits:
    """Pictures of one's own, prepared.

    Attributes:
        train_set: To learn from.
        validation: Held out.
        left_out: Pictures that could not be read, with the reason.
    """

    train_set: LabelledImages
    validation: LabelledImages
    left_out: list[str]


@dataclass(frozen=True, slots=True)
class ContinueResult:
    """A finished continuation; accuracies are over all images with all ten numbers.

    Attributes:
        checkpoint: Path of the weights.
        own_before: Accuracy on the held-out pictures before.
        own_after: The same after.
        mnist_before: Accuracy on MNIST's validation images before.
        mnist_after: The same after.
    """

    checkpoint: Path
    own_before: Accuracy
    own_after: Accuracy
    mnist_before: Accuracy
    mnist_after: Accuracy


def load(folder: Path, seed: int = 0) -> OwnDigits:
    """Read labelled pictures, prepare them, and hold some out.

    Args:
        folder: As `edge_adder.evaluation.datasets.load` takes it.
        seed: Seed of what is held out.

    Raises:
        InputError: There are no labelled pictures, or fewer than `MIN_PICTURES` can be read.
        FileAccessError: The folder cannot be read.
    """
    pictures = load_pictures(folder)
    images, unreadable = prepare_all(pictures)
    kept = np.array([i for i in range(len(pictures)) if i not in unreadable], np.int64)
    if len(kept) < MIN_PICTURES:
        raise InputError(
            f"{folder} has {len(kept)} pictures that can be read, expected {MIN_PICTURES} or more"
        )
    held_out = _hold_out(pictures, kept, np.random.default_rng(seed))
    parts = [
        LabelledImages(
            torch.from_numpy(images[chosen][:, None]), torch.from_numpy(pictures.labels[chosen])
        )
        for chosen in (np.setdiff1d(kept, held_out), held_out)
    ]
    left_out = [f"{pictures.names[index]}: {error}" for index, error in unreadable.items()]
    return OwnDigits(parts[0], parts[1], left_out)


def _hold_out(
    pictures: LabelledPictures, kept: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return the indices of the pictures to validate on: of whole writers, or of each digit."""
    writers = pictures.groups.get("writer")
    if writers is not None:
        named = sorted({writers[index] for index in kept})
        if len(named) >= MIN_WRITERS:
            count = max(1, round(VALIDATION_SHARE * len(named)))
            chosen = {named[i] for i in generator.permutation(len(named))[:count]}
            return np.array([index for index in kept if writers[index] in chosen], np.int64)
    parts = []
    for digit in range(DIGITS):
        own = generator.permutation(kept[pictures.labels[kept] == digit])
        if len(own) > 1:
            parts.append(own[: max(1, round(VALIDATION_SHARE * len(own)))])
    return np.sort(np.concatenate(parts))


def continue_training(
    config: TrainConfig, start: Checkpoint, own: OwnDigits, observer: Observer | None = None
) -> ContinueResult:
    """Train a checkpoint's network further on pictures of one's own, mixed with MNIST.

    After every epoch `config.out` holds ``checkpoint.safetensors`` and its JSON, as in a training.

    Args:
        config: The run; its network is that of `start`, and `data_dir` is MNIST's.
        start: The weights to begin with.
        own: The pictures.
        observer: Called at each step and epoch.

    Raises:
        InputError: MNIST is missing, `config.out` holds another run, or training diverged.
        CheckpointError: The weights are not those of the network.
        FileAccessError: A file cannot be written.
    """
    check_new_run(config.out)
    device = resolve_device(config.device)
    weights = start.build().state_dict()
    mnist = load_mnist(config.data_dir, train=True)
    learned, held_out = split_indices(len(mnist), config.split, config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    chosen = learned[torch.randperm(len(learned), generator=generator)[:MNIST_IMAGES]]
    repeats = max(1, min(MOST_REPEATS, len(chosen) // len(own.train_set)))
    train_set = join(
        [
            with_synthetic(
                mnist.at(chosen),
                digits=config.synthetic_digits,
                ones_and_sevens=config.ones_and_sevens,
                negatives=config.negatives,
            ),
            *[own.train_set] * repeats,
        ]
    )
    if len(train_set) < config.batch_size:
        raise InputError(f"batch_size must be at most {len(train_set)}, got {config.batch_size}")
    make_folder(config.out)
    state = TrainState(fresh_network(config, device), config)
    for module in (state.network, state.average.module):
        module.load_state_dict(weights)
    run = Run(
        config=config,
        train_set=train_set.to(device),
        augmented=AugmentationCache(
            train_set.to(device),
            augmentation=Augmentation() if config.augment else None,
            handwriting=config.handwriting,
            folder=config.out.parent / CACHE_DIR,
        ),
        numbers=None,
        validation=own.validation.to(device),
        state=state,
        observer=observer or Observer(),
    )
    both = (run.validation, mnist.at(held_out).to(device))
    before = [evaluate(state.network, part)[0] for part in both]
    identity = {"recipe": config.recipe(), "data_sha256": train_set.sha256}
    state.save(config.out / RESUME_FILE, identity)
    learn(run, identity)
    after = [evaluate(state.average.module, part)[0] for part in both]
    result = ContinueResult(config.out / CHECKPOINT_FILE, before[0], after[0], before[1], after[1])
    _save(run, start, own, result)
    return result


def _save(run: Run, start: Checkpoint, own: OwnDigits, result: ContinueResult) -> None:
    """Write the final checkpoint, with where it comes from, and the curves."""
    config = run.config.recipe() | {
        "continued_from": {"network": start.network, "weights_sha256": start.sha256},
        "own_pictures": {
            "train": len(own.train_set),
            "validation": len(own.validation),
            "train_sha256": own.train_set.sha256,
        },
    }
    metrics = {
        "validation": result.mnist_after.to_dict(),
        "validation_before": result.mnist_before.to_dict(),
        "own_validation": result.own_after.to_dict(),
        "own_validation_before": result.own_before.to_dict(),
    }
    weights = run.state.average.module.state_dict()
    made = Checkpoint(run.config.network, weights, config, metrics)
    checkpoints.save(made, result.checkpoint)
    write_atomically(run.config.out / CURVES_FILE, plots.curves(run.state.history))
