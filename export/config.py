"""The settings of a training run, from defaults and a network's recipe."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from edge_adder.errors import InputError

from . import networks
from .data import Split
from .networks.parts import Network

Recipe = Literal["ours", "published"]
"""Where a network's settings come from: chosen here, or from its source."""

Schedule = Literal["cosine", "constant"]
Numbers = Literal["random", "cyclic"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "schedule": get_args(Schedule),
    "numbers": get_args(Numbers),
    "split": get_args(Split),
    "precision": get_args(Precision),
    "device": get_args(Device),
}
_LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "synthetic_digits": 0,
    "ones_and_sevens": 0,
    "negatives": 0,
    "scan_copies": 0,
    "pen_copies": 0,
    "cached_passes": 0,
}
_PLACES = ("device", "data_dir", "out")
"""Fields that do not decide the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run.

    Attributes:
        network: A key of `export.networks.NETWORKS`, or a class as `export.networks.own` finds it.
        epochs: Passes over the training set.
        batch_size: Images in each step.
        learning_rate: Highest learning rate of AdamW.
        schedule: ``cosine`` rises to it in a tenth of the run, then falls along a cosine to 0;
            ``constant`` stays there.
        weight_decay: AdamW's, on weights with two or more axes.
        ema_decay: Decay in each step of the exponential moving average of the weights, which is
            validated and kept; 0 keeps the last weights.
        augment: Whether images are shifted, rotated, scaled, sheared and bent.
        handwriting: Share of the images that get the handwriting augmentation instead
            (`export.synthetic.handwriting`), 0 to 1.
        synthetic_digits: Synthetic digits in the training set, beside MNIST's.
        ones_and_sevens: Synthetic 1s with flags and 7s, in equal parts
            (`export.synthetic.ones_and_sevens`).
        negatives: Synthetic images of non-digits in the training set, whose target is the same
            probability for every digit.
        scan_writers: Writers of Numbers whose scans are in the training set
            (`export.handwriting.sets`).
        scan_copies: How often each scan is in it; each copy is augmented in its own way.
        pen_writers: Writers of Pendigits whose trajectories are drawn for the training set.
        pen_copies: Drawings of each trajectory, each with another hand and pen.
        cached_passes: Passes of the handwriting augmentation over the training set that are kept
            and repeated in turn; 0 augments anew in every epoch.
        numbers: ``random`` draws a new number for each image in every epoch; ``cyclic`` gives the
            image with index i the number i modulo 10.
        split: Which training images are held out for validation.
        precision: Type of convolutions and linear layers in training; weights stay float32.
            bfloat16 is faster on a CPU with AMX or AVX-512 BF16, and slower on others.
        seed: Seed of the first weights, the order, the numbers, the augmentation (but for cached
            passes, which all seeds share) and the split.
        device: ``auto`` takes CUDA where it is available.
        data_dir: Folder with ``MNIST/raw``; None as in `export.data.load_mnist`.
        out: Folder of the run.

    Raises:
        InputError: A value is out of its range.
    """

    network: str = networks.DEFAULT
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 0.006
    schedule: Schedule = "cosine"
    weight_decay: float = 0.05
    ema_decay: float = 0.999
    augment: bool = True
    handwriting: float = 0.0
    synthetic_digits: int = 0
    ones_and_sevens: int = 0
    negatives: int = 0
    scan_writers: Sequence[str] = ()
    scan_copies: int = 0
    pen_writers: Sequence[int] = ()
    pen_copies: int = 0
    cached_passes: int = 0
    numbers: Numbers = "random"
    split: Split = "fixed"
    precision: Precision = "float32"
    seed: int = 0
    device: Device = "auto"
    data_dir: Path | None = None
    out: Path = Path("runs/edge")

    def __post_init__(self) -> None:
        networks.find(self.network)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            _require(value >= least, name, value, f"{least} or more")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            _require(value in choices, name, value, f"one of {', '.join(choices)}")
        _require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "above 0")
        _require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "0 or more")
        _require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "0 or more and below 1")
        _require(0 <= self.handwriting <= 1, "handwriting", self.handwriting, "0 to 1")
        _require(0 <= self.seed < 2**31, "seed", self.seed, "0 or more and below 2**31")

    @classmethod
    def for_network(cls, network: str, recipe: str = "ours", **changes: Any) -> Self:
        """Return the settings that a network is trained with.

        Args:
            network: As in the class.
            recipe: One of `Recipe`.
            **changes: Fields with other values.

        Raises:
            InputError: The network has no such recipe, or a value is out of its range.
        """
        kind = networks.find(network)
        recipes = get_args(Recipe)
        _require(recipe in recipes, "recipe", recipe, f"one of {', '.join(recipes)}")
        settings = None
        if issubclass(kind, Network):
            settings = kind.recipe if recipe == "ours" else kind.published_recipe
        elif recipe == "ours":
            settings = {}
        if settings is None:
            published = [name for name, each in networks.NETWORKS.items() if each.published_recipe]
            raise InputError(
                f"no recipe of {network} is published: expected one of {', '.join(published)}"
            )
        return cls(network=network, **{**settings, **changes})

    def recipe(self) -> dict[str, Any]:
        """Return the fields that decide the weights, in JSON's types: not device and folders."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k not in _PLACES}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise InputError(f"{name} must be {expected}, got {value!r}")
