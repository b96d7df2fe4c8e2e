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
from typing import Any, Literal, Self

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from edge_adder.contract import DIGITS, SUMS
from edge_adder.errors import CheckpointError, InputError
from edge_adder.evaluation.figures import confusion_matrix
from edge_adder.files import make_folder, write_atomically
from export import checkpoint, networks, plots
from export.augmentation_cache import AugmentationCache
from export.checkpoint import Checkpoint
from export.data import (
    SPLITS,
    Augmentation,
    LabelledImages,
    Split,
    draw_numbers,
    load_mnist,
    split_indices,
)
from export.evaluate import Accuracy, evaluate
from export.history import EpochRecord
from export.synthetic.digits import draw_digits
from export.synthetic.negatives import NON_DIGIT, draw_negatives

DEVICES = ("auto", "cpu", "cuda")

RECIPES = ("ours", "published")
"""Where a network's settings come from: chosen here, or from its source."""

Schedule = Literal["cosine", "constant"]
SCHEDULES: tuple[Schedule, ...] = ("cosine", "constant")

Numbers = Literal["random", "table"]
NUMBERS: tuple[Numbers, ...] = ("random", "table")

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

CHECKPOINT_FILE = "checkpoint.safetensors"
RESUME_FILE = "resume.safetensors"
HISTORY_FILE = "history.json"
CURVES_FILE = "curves.png"
CONFUSION_FILE = "confusion.png"
CACHE_DIR = "augmentation_cache"
"""Beside the folders of the runs; see `export.augmentation_cache.AugmentationCache`."""

_RESUME_KEY = "edge_adder.resume"
_WARM_UP = 0.1  # share of the run in which the learning rate rises
_CHOICES: dict[str, tuple[str, ...]] = {
    "schedule": SCHEDULES,
    "numbers": NUMBERS,
    "split": SPLITS,
    "precision": PRECISIONS,
    "device": DEVICES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run.

    Attributes:
        network: A key of `export.networks.NETWORKS`.
        epochs: Passes over the images to fit.
        batch_size: Images for each step.
        learning_rate: Highest rate of AdamW.
        schedule: ``cosine`` rises to it in a tenth of the run, then falls along a cosine to 0;
            ``constant`` stays there.
        weight_decay: Of AdamW, on weights with two or more axes.
        averaging: Decay, for each step, of the exponential average of the weights that is
            validated and kept; 0 keeps the last weights.
        augment: Whether images are moved, turned, scaled, sheared and bent.
        erase: Share of the images that lose a random rectangle.
        redrawn: Share of the images that are redrawn as strangers' pictures bring them.
        drawn: Drawn digits that are learned from beside MNIST's.
        outliers: Drawn images that show no digit, where all answers are to be as probable.
        variations: After so many epochs the same augmented images come again; 0 for never.
        teachers: Names of finished runs beside `out`, whose answers are learned from.
        distillation: Share of the loss that is the distance from the teachers' answers (Kullback
            and Leibler's); the rest is from the labels.
        temperature: That logits are divided by where the two answers are compared.
        label_smoothing: Probability that is spread over all digits in the labels.
        numbers: ``random`` draws each image a new number in every epoch; ``table`` gives the
            image with index i the number i modulo 10.
        split: Which training images are held out for validation.
        precision: Of convolutions and linear layers in training; weights stay float32. bfloat16
            pays for wide layers on a CPU with AMX, and nowhere else on a CPU.
        seed: Of the first weights, the order, the numbers, the augmentation (but for kept
            variations, which all seeds share) and the split.
        device: ``auto`` takes CUDA where it is.
        data_dir: Folder with ``MNIST/raw``; None as in `export.data.load_mnist`.
        out: Folder for what the run leaves.

    Raises:
        InputError: A value is out of its range.
    """

    network: str = networks.DEFAULT
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 0.006
    schedule: Schedule = "cosine"
    weight_decay: float = 0.05
    averaging: float = 0.999
    augment: bool = True
    erase: float = 0.0
    redrawn: float = 0.0
    drawn: int = 0
    outliers: int = 0
    variations: int = 0
    teachers: tuple[str, ...] = ()
    distillation: float = 0.0
    temperature: float = 1.0
    label_smoothing: float = 0.0
    numbers: Numbers = "random"
    split: Split = "fixed"
    precision: Precision = "float32"
    seed: int = 0
    device: str = "auto"
    data_dir: Path | None = None
    out: Path = Path("runs/edge")

    def __post_init__(self) -> None:
        networks.find(self.network)
        _require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        _require(self.batch_size >= 2, "batch_size", self.batch_size, "2 or more")
        _require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "above 0")
        _require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "0 or more")
        _require(0 <= self.averaging < 1, "averaging", self.averaging, "0 or more and below 1")
        for name in ("drawn", "outliers"):
            count = getattr(self, name)
            _require(count >= 0, name, count, "0 or more")
        for name in ("erase", "redrawn", "distillation", "label_smoothing"):
            share = getattr(self, name)
            _require(0 <= share <= 1, name, share, "0 to 1")
        _require(self.variations >= 0, "variations", self.variations, "0 or more")
        _require(0 < self.temperature < math.inf, "temperature", self.temperature, "above 0")
        object.__setattr__(self, "teachers", tuple(self.teachers))  # JSON has lists
        if bool(self.teachers) != bool(self.distillation):
            raise InputError("teachers and distillation need each other")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            _require(value in choices, name, value, f"one of {', '.join(choices)}")
        _require(0 <= self.seed < 2**31, "seed", self.seed, "0 or more and below 2**31")

    @classmethod
    def for_network(cls, network: str, recipe: str = "ours", **changes: Any) -> Self:
        """The settings that a network is trained with.

        Args:
            network: A key of `export.networks.NETWORKS`.
            recipe: One of `RECIPES`.
            **changes: Fields with other values.

        Raises:
            InputError: The network has no such recipe, or a value is out of its range.
        """
        networks.find(network)
        _require(recipe in RECIPES, "recipe", recipe, f"one of {', '.join(RECIPES)}")
        kind = networks.find(network)
        settings = kind.recipe if recipe == "ours" else kind.published_recipe
        if settings is None:
            having = [n for n, other in networks.NETWORKS.items() if other.published_recipe]
            raise InputError(
                f"no recipe of {network} is published: expected one of {', '.join(having)}"
            )
        return cls(network=network, **{**settings, **changes})

    def recipe(self) -> dict[str, Any]:
        """The fields that decide the weights, in JSON's types: all but device and folders."""
        fields = dataclasses.asdict(self)
        fields["teachers"] = list(self.teachers)
        return {k: v for k, v in fields.items() if k not in ("device", "data_dir", "out")}


def _require(good: bool, name: str, got: object, expected: str) -> None:
    if not good:
        raise InputError(f"{name} must be {expected}, got {got!r}")


class Observer:
    """Is told how a training run goes; this one ignores it."""

    def start(self, config: TrainConfig, *, done_epochs: int, steps_per_epoch: int) -> None:
        """The run begins, or continues after `done_epochs`."""

    def step(self, epoch: int, step: int, loss: Callable[[], float]) -> None:
        """A step of an epoch is done; both count from 1. `loss` waits for the device."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is done and on disk."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished run.

    Attributes:
        checkpoint: Path of the weights.
        validation: Accuracy on the held-out training images.
        test: Accuracy on the test images; None where they were left alone.

    Both are over all images with all ten numbers.
    """

    checkpoint: Path
    validation: Accuracy
    test: Accuracy | None


class _State:
    """What changes during a run: the network, its averaged twin, the optimiser, the history."""

    def __init__(self, config: TrainConfig, device: torch.device, teachers: list[str]) -> None:
        self.teachers = teachers
        torch.manual_seed(config.seed)
        self.network = networks.create(config.network).to(device)
        if config.precision == "bfloat16":
            self.network.to(memory_format=torch.channels_last)  # as AMX wants them
        self.average = networks.create(config.network).to(device)
        self.average.load_state_dict(self.network.state_dict())
        matrices = [p for p in self.network.parameters() if p.ndim >= 2]
        vectors = [p for p in self.network.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )
        self.history: list[EpochRecord] = []

    @torch.no_grad()
    def update_average(self, decay: float, step: int) -> None:
        """Move the averaged weights towards the network's; faster during the first steps."""
        decay = min(decay, step / (step + 10))
        twins = zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        for average, value in twins:
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def save(self, path: Path, run: dict[str, Any]) -> None:
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in slots.items()}
        header = run | {"history": [dataclasses.asdict(r) for r in self.history]}
        tensors = {k: v.cpu().contiguous() for k, v in tensors.items()}
        write_atomically(path, safetensors.torch.save(tensors, {_RESUME_KEY: json.dumps(header)}))

    def load(self, path: Path) -> None:
        """Continue from a file that `save` made for the same run.

        Raises:
            CheckpointError: The file lacks something.
        """
        header = read_resume_header(path)
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        slots: dict[int, dict[str, Tensor]] = {}
        groups = self.optimizer.state_dict()["param_groups"]
        try:
            for name, tensor in safetensors.torch.load_file(path).items():
                part, _, rest = name.partition(".")
                parts[part][rest] = tensor
            for name, tensor in parts["optimizer"].items():
                index, _, slot = name.partition(".")
                slots.setdefault(int(index), {})[slot] = tensor
            self.network.load_state_dict(parts["network"])
            self.average.load_state_dict(parts["average"])
            self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
            self.history = [EpochRecord(**record) for record in header["history"]]
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{path} cannot be resumed from: {reason}") from error


def read_resume_header(path: Path) -> dict[str, Any]:
    """The recipe, the hashes of data and teachers and the history in a run's resume file.

    Raises:
        InputError: There is no such file.
        CheckpointError: It cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[_RESUME_KEY])
            header = {key: header[key] for key in ("recipe", "data_sha256", "teachers", "history")}
    except FileNotFoundError as error:
        raise InputError(f"nothing to resume in {path.parent}: no {path.name}") from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be resumed from: {error}") from error
    return header


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
        observer: Is told of each step and epoch.

    Raises:
        InputError: Data are missing or other than before, `config.out` holds another run, there is
            none to resume, or training diverged.
        CheckpointError: The file to resume from cannot be read.
        FileAccessError: A file cannot be written.
    """
    observer = observer or Observer()
    device = resolve_device(config.device)
    resume_path = config.out / RESUME_FILE
    if not resume and resume_path.exists():
        done = len(read_resume_header(resume_path)["history"])
        raise InputError(
            f"{config.out} holds a run of {done} epochs: continue it with --resume, "
            "or choose another --out"
        )
    teachers = find_teachers(config)
    everything = load_mnist(config.data_dir, train=True)
    run: dict[str, Any] = {
        "recipe": config.recipe(),
        "data_sha256": everything.sha256,
        "teachers": [teacher.sha256 for teacher in teachers],
    }
    if resume:
        _check_same_run(read_resume_header(resume_path), run, config.out)
    fit_indices, validation_indices = split_indices(len(everything), config.split, config.seed)
    fit = everything.at(fit_indices)
    if config.drawn or config.outliers:
        fit = _with_drawn(fit, config)
        further = torch.arange(config.drawn + config.outliers)
        fit_indices = torch.cat([fit_indices, further])
    fit = fit.to(device)
    validation = everything.at(validation_indices).to(device)
    if len(fit) < config.batch_size:
        raise InputError(f"batch_size must be at most {len(fit)}, got {config.batch_size}")

    augmentation_cache = AugmentationCache(
        fit,
        augmentation=Augmentation() if config.augment else None,
        erase=config.erase,
        redrawn=config.redrawn,
        teachers=teachers,
        variations=config.variations,
        folder=config.out.parent / CACHE_DIR,
    )

    make_folder(config.out)
    state = _State(config, device, run["teachers"])
    if resume:
        state.load(resume_path)
    else:
        state.save(resume_path, run)
    observer.start(
        config, done_epochs=len(state.history), steps_per_epoch=len(fit) // config.batch_size
    )
    table = fit_indices % DIGITS if config.numbers == "table" else None
    for epoch in range(len(state.history), config.epochs):
        began = time.perf_counter()
        loss = _train_epoch(
            state, config, fit, augmentation_cache, epoch, table=table, observer=observer
        )
        if not math.isfinite(loss):
            raise InputError(
                f"training diverged in epoch {epoch + 1} (loss {loss}): lower learning_rate"
            )
        accuracy, _ = evaluate(state.average, validation, every_number=False)
        record = EpochRecord(
            epoch=epoch + 1,
            loss=loss,
            learning_rate=state.optimizer.param_groups[0]["lr"],
            digit=accuracy.digit,
            sum=accuracy.sum,
            seconds=round(time.perf_counter() - began, 3),
        )
        state.history.append(record)
        state.save(resume_path, run)
        _save_checkpoint(state, config, {"validation": accuracy.to_dict()})
        _save_history(state, config)
        observer.epoch(record)
    return _finish(state, config, validation, test=test)


def _with_drawn(fit: LabelledImages, config: TrainConfig) -> LabelledImages:
    """MNIST's images, then drawn digits, then what is no digit."""
    digits, labels = draw_digits(config.drawn)
    outliers = draw_negatives(config.outliers)
    return LabelledImages(
        torch.cat([fit.images, torch.from_numpy(digits), torch.from_numpy(outliers)]),
        torch.cat(
            [fit.labels, torch.from_numpy(labels), torch.full((config.outliers,), NON_DIGIT)]
        ),
    )


def _finish(
    state: _State, config: TrainConfig, validation: LabelledImages, *, test: bool
) -> TrainResult:
    """Leave the final checkpoint and the plots; touch the test images once, if at all."""
    chosen, confusion = evaluate(state.average, validation)
    metrics = {"validation": chosen.to_dict()}
    tested = None
    if test:
        images = load_mnist(config.data_dir, train=False).to(validation.labels.device)
        tested, confusion = evaluate(state.average, images)
        metrics["test"] = tested.to_dict()
    _save_checkpoint(state, config, metrics)
    _save_history(state, config)
    write_atomically(config.out / CURVES_FILE, plots.curves(state.history))
    title = f"Test: {tested}" if tested else f"Validation: {chosen}"
    write_atomically(config.out / CONFUSION_FILE, confusion_matrix(confusion.tolist(), title))
    return TrainResult(config.out / CHECKPOINT_FILE, chosen, tested)


def _train_epoch(
    state: _State,
    config: TrainConfig,
    fit: LabelledImages,
    augmentation_cache: AugmentationCache,
    epoch: int,
    *,
    table: Tensor | None,
    observer: Observer,
) -> float:
    """Fit the images once, in a new order, with new numbers or those of `table`.

    The last images of the order, fewer than a batch, have their turn in another epoch.

    Returns:
        The mean loss, in nats.
    """
    generator = torch.Generator().manual_seed(_epoch_seed(config.seed, epoch))
    torch.manual_seed(_epoch_seed(config.seed, epoch))  # dropout draws from the global generator
    order = torch.randperm(len(fit), generator=generator)
    numbers = draw_numbers(len(fit), generator) if table is None else table
    steps = len(fit) // config.batch_size
    losses = torch.zeros((), device=fit.labels.device)
    state.network.train()
    for step in range(steps):
        chosen = order[step * config.batch_size : (step + 1) * config.batch_size]
        number = numbers[chosen].to(fit.labels.device)
        chosen = chosen.to(fit.labels.device)
        lesson, labels = augmentation_cache.batch(epoch, chosen, generator), fit.labels[chosen]
        done = epoch * steps + step + 1
        for group in state.optimizer.param_groups:
            group["lr"] = config.learning_rate * _rate(config, done / (config.epochs * steps))
        with torch.autocast(
            labels.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
        ):
            digit, total = state.network(lesson.images, number)
        loss = _loss(config, (digit.float(), total.float()), targets(labels, number), lesson.advice)
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.update_average(config.averaging, done)
        losses += loss.detach()
        observer.step(epoch + 1, step + 1, loss.item)
    return float(losses) / steps


def _loss(
    config: TrainConfig,
    answers: tuple[Tensor, Tensor],
    wanted: tuple[Tensor, Tensor],
    advice: Tensor | None,
) -> Tensor:
    """The mean distance of both outputs from the targets, and of the digit from the advice.

    Args:
        config: The shares.
        answers: digit float32 (batch, 10) and sum float32 (batch, 19); log-probabilities.
        wanted: Probabilities of both; see `targets`.
        advice: float (batch, 10); the teachers' log-probabilities of the digits.
    """
    digit, _ = answers
    of_digit, of_sum = (
        -(target * answer).sum(1).mean() for answer, target in zip(answers, wanted, strict=True)
    )
    if config.label_smoothing:
        of_digit = torch.lerp(of_digit, -digit.mean(), config.label_smoothing)
    loss = (of_digit + of_sum) / 2
    if advice is None:
        return loss
    ours, theirs = ((x / config.temperature).log_softmax(1) for x in (digit, advice.float()))
    distance = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    distance = distance * config.temperature**2  # keeps the gradient's size
    return torch.lerp(loss, distance, config.distillation)


def targets(labels: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities that both outputs should have.

    Args:
        labels: int64 (batch,); 0 to 9, or `NON_DIGIT`, for which all digits are as probable.
        numbers: int64 (batch,); 0 to 9.

    Returns:
        digit: float32 (batch, 10).
        sum: float32 (batch, 19); the digit's, moved by the number.
    """
    digits = F.one_hot(labels.clamp(min=0), DIGITS).float()
    digits[labels == NON_DIGIT] = 1 / DIGITS
    places = numbers[:, None] + torch.arange(DIGITS, device=numbers.device)
    return digits, digits.new_zeros(len(labels), SUMS).scatter_(1, places, digits)


def find_teachers(config: TrainConfig) -> list[Checkpoint]:
    """What the runs left that are named.

    Raises:
        InputError: There is no such run beside this one, it is not over, or it has learned from
            images that validate this one.
        CheckpointError: Its checkpoint cannot be read.
    """
    found = []
    for name in config.teachers:
        folder = config.out.parent / name
        if not (folder / CHECKPOINT_FILE).is_file():
            seed = name.rpartition("-")[2]
            options = f" --seed {seed}" if seed.isdigit() else ""
            raise InputError(
                f"no teacher in {folder}: train it first (edge-adder train --network teacher"
                f"{options} --out {folder} --no-test), or learn without one (--no-teacher)"
            )
        teacher = checkpoint.load(folder / CHECKPOINT_FILE)
        done, epochs = _done_epochs(folder), teacher.config.get("epochs")
        if done != epochs:
            raise InputError(
                f"the teacher in {folder} has {done} of {epochs} epochs: finish it first "
                f"(edge-adder train --resume --out {folder} --no-test)"
            )
        apart = (config.split, config.seed if config.split != "fixed" else None)
        theirs = teacher.config.get("split"), teacher.config.get("seed")
        if (theirs[0], theirs[1] if theirs[0] != "fixed" else None) != apart:
            raise InputError(
                f"the teacher in {folder} has learned from images that validate this run: "
                f"its split is {theirs[0]}, this one's {config.split}"
            )
        found.append(teacher)
    return found


def _done_epochs(folder: Path) -> int | None:
    try:
        return len(json.loads((folder / HISTORY_FILE).read_text()))
    except (OSError, ValueError):
        return None


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch + 1  # a prime apart, so that neighbouring seeds share no epoch


def _rate(config: TrainConfig, progress: float) -> float:
    """Share of the highest learning rate: a linear rise, then half a cosine down to 0."""
    if config.schedule == "constant":
        return 1.0
    if progress < _WARM_UP:
        return progress / _WARM_UP
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def resolve_device(name: str) -> torch.device:
    """The device that a name of `DEVICES` stands for here.

    Raises:
        InputError: CUDA was asked for and is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for and PyTorch finds none: use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _check_same_run(found: dict[str, Any], asked: dict[str, Any], out: Path) -> None:
    recipe, wanted = found["recipe"], asked["recipe"]
    different = [
        f"{key} {recipe.get(key)!r}, asked for {wanted.get(key)!r}"
        for key in recipe | wanted
        if recipe.get(key) != wanted.get(key)
    ]
    if different:
        raise InputError(f"the run in {out} has {'; '.join(different)}")
    if found["teachers"] != asked["teachers"]:
        raise InputError(f"the run in {out} began with other teachers of the same names")
    if found["data_sha256"] != asked["data_sha256"]:
        raise InputError(f"the run in {out} began with other images: name theirs with --data-dir")


def _save_checkpoint(state: _State, config: TrainConfig, metrics: dict[str, Any]) -> None:
    recipe = config.recipe()
    if state.teachers:
        recipe["teachers_sha256"] = state.teachers
    made = Checkpoint(config.network, state.average.state_dict(), recipe, metrics)
    checkpoint.save(made, config.out / CHECKPOINT_FILE)


def _save_history(state: _State, config: TrainConfig) -> None:
    records = [dataclasses.asdict(record) for record in state.history]
    write_atomically(config.out / HISTORY_FILE, (json.dumps(records, indent=2) + "\n").encode())
