"""Training of one candidate, measured on the validation images as they are and perturbed.

The test images are never used: they measure what was chosen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.search.candidates import layout
from edge_adder.contract import DIGITS
from edge_adder.errors import InputError
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from export import checkpoint as checkpoints
from export import networks
from export.augment import Augmentation, augment
from export.config import TrainConfig
from export.data import LabelledImages, load_mnist, split_indices
from export.evaluate import EVALUATION_BATCH
from export.resume import RESUME_FILE
from export.train import train

RUN_PREFIX = "search-"
"""Start of the folders' names; the rest is a hash of the recipe."""

PERTURBED_FILE = "perturbed.json"
"""In a run's folder: what `measure_perturbed` returned."""

PERTURBATION = Augmentation(
    shift=0.04, rotation_degrees=8, scale=0.08, stretch=0.06, shear=0.12, bend=0.5
)
"""Perturbation of the validation images, about half as strong as the training's augmentation."""

COPIES = 10
"""Perturbed copies of each validation image."""


def train_candidate(
    line: str, settings: Sequence[str], *, runs: Path, data_dir: Path | None = None
) -> str:
    """Train a candidate, or finish its training, and return what it reached.

    Args:
        line: The candidate.
        settings: ``NAME=VALUE`` for each field of `TrainConfig` that differs from `edge`'s recipe;
            values are JSON.
        runs: Folder for the run's folder.
        data_dir: Folder with ``MNIST/raw``; None as in `export.data.load_mnist`.

    Raises:
        InputError: `line` is not a layout, or a setting is not one of `TrainConfig`'s.
    """
    try:
        networks.NETWORKS[line] = layout(line)
    except ValueError as error:
        raise InputError(str(error)) from error
    changes = dict(_parse_setting(text) for text in settings)
    config = _config(line, changes, runs, data_dir)
    resume = (config.out / RESUME_FILE).exists()
    result = train(config, resume=resume, test=False)
    mnist = load_mnist(data_dir, train=True)
    _, held_out = split_indices(len(mnist), config.split, config.seed)
    network = checkpoints.load(result.checkpoint).build()
    perturbed = measure_perturbed(network, mnist.at(held_out))
    content = json.dumps(perturbed, indent=2) + "\n"
    write_atomically(config.out / PERTURBED_FILE, content.encode())
    return (
        f"{line} {changes}: validation {result.validation}; "
        f"perturbed: digit {percent(perturbed['digit'])}, {perturbed['nats']:.4f} nats"
    )


@torch.inference_mode()
def measure_perturbed(network: nn.Module, validation: LabelledImages) -> dict[str, Any]:
    """Measure a network on perturbed copies of the validation images.

    There are `COPIES` times as many of them, so the figure separates similar candidates better.

    Args:
        network: Keeps the contract; on the CPU. It is put into inference mode and left there.
        validation: The images as they are, on the CPU.

    Returns:
        ``digit``, the accuracy, a fraction; ``nats``, the mean negative log-likelihood of the
        correct digit; ``images``, how many were measured. The same for the same network and images.
    """
    network.eval()
    generator = torch.Generator().manual_seed(0)
    correct, nats = 0, 0.0
    for _ in range(COPIES):
        for start in range(0, len(validation), EVALUATION_BATCH):
            labels = validation.labels[start : start + EVALUATION_BATCH]
            images = validation.images[start : start + EVALUATION_BATCH]
            number = torch.arange(start, start + len(labels)) % DIGITS
            digit, _ = network(augment(images, PERTURBATION, generator), number)
            correct += int((digit.argmax(1) == labels).sum())
            nats += float(F.nll_loss(digit, labels, reduction="sum"))
    count = COPIES * len(validation)
    return {"digit": correct / count, "nats": nats / count, "images": count}


def _config(line: str, changes: dict[str, Any], runs: Path, data_dir: Path | None) -> TrainConfig:
    """Return `edge`'s recipe with changes, in a folder named after the recipe."""
    recipe: dict[str, Any] = {**networks.NETWORKS["edge"].recipe, **changes}
    try:
        config = TrainConfig(**recipe, network=line, data_dir=data_dir)
    except TypeError as error:
        raise InputError(f"settings must be TrainConfig's, with its types: {error}") from error
    name = hashlib.sha256(json.dumps(config.recipe(), sort_keys=True).encode()).hexdigest()[:12]
    return dataclasses.replace(config, out=runs / f"{RUN_PREFIX}{name}")


def _parse_setting(text: str) -> tuple[str, Any]:
    """Split ``epochs=30`` into name and value.

    Raises:
        InputError: It has no ``=``, or its value is not JSON.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"a setting must be NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise InputError(f"the value of a setting must be JSON, got {text!r}: {error}") from error
