"""Training of the ink network: python -m edge_adder.export.ink.train --out runs/ink [--resume].

Scenes are composed once, by all processors, and kept beside the runs. A run that was stopped
continues from its last complete epoch. Handwriting and MNIST are found as in `edge-adder train`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import math
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from edge_adder.environment import thread_count
from edge_adder.errors import EdgeAdderError, InputError
from edge_adder.files import make_folder, write_atomically

from .. import checkpoint, networks
from ..checkpoint import Checkpoint
from ..config import Schedule
from ..handwriting.sets import VALIDATION_WRITERS
from ..resume import RESUME_FILE, TrainState, check_new_run, check_same_run
from ..schedule import make_scheduler, relative_rate
from ..train import CHECKPOINT_FILE, HISTORY_FILE
from .network import InkFinder
from .scenes import SIDE, compose
from .writing import Sources, load_sources

SCENES_DIR = "ink_scenes"
"""Folder of the composed scenes, beside the folders of the runs."""

SCENES_FORMAT = 4
"""Raise it whenever `compose` gives other scenes: those that were kept are then not used."""

NAME = "ink"
"""Name of the network in checkpoints and provenance."""

_BLOCK = 500
"""Scenes in a file."""

_CROP = 192
"""Height and width of what is cut from a scene for a step, in pixels."""

_CHANNELS = 5
"""Channels of a scene in its file: red, green, blue, digit, mark."""

_RARE = 3.0
"""Weight of written pixels in the loss: they are a few per cent of all."""

_MARKS = 0.2
"""Weight of the loss that tells marks from digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InkConfig:
    """Everything that decides a run.

    Attributes:
        scenes: Composed scenes, a multiple of 500.
        validation_scenes: Scenes of other writers to validate on.
        epochs: Passes over the scenes.
        batch_size: Scenes in each step.
        learning_rate: Highest learning rate of AdamW.
        weight_decay: AdamW's, on weights with two or more axes.
        ema_decay: Decay in each step of the moving average of the weights, which is kept.
        schedule: As in `export.config.TrainConfig`.
        scan_writers: Writers of Numbers whose digits are in the scenes.
        pen_writers: Writers of Pendigits whose digits are in the scenes.
        seed: Seed of the first weights, the order and the crops.
        start: SHA-256 of the weights that the run begins with; None for fresh ones.
        out: Folder of the run.
    """

    scenes: int = 12_000
    validation_scenes: int = 500
    epochs: int = 12
    batch_size: int = 16
    learning_rate: float = 0.004
    weight_decay: float = 0.01
    ema_decay: float = 0.995
    schedule: Schedule = "cosine"
    scan_writers: tuple[str, ...] = tuple(networks.NETWORKS["edge"].recipe["scan_writers"])
    pen_writers: tuple[int, ...] = tuple(networks.NETWORKS["edge"].recipe["pen_writers"])
    seed: int = 0
    start: str | None = None
    out: Path = Path("runs/ink")

    def __post_init__(self) -> None:
        if self.scenes < _BLOCK or self.scenes % _BLOCK:
            raise InputError(f"scenes must be a multiple of {_BLOCK}, got {self.scenes}")
        if self.epochs < 1:
            raise InputError(f"epochs must be 1 or more, got {self.epochs}")

    def recipe(self) -> dict[str, Any]:
        """Return the fields that decide the weights, in JSON's types."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k != "out"}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


@dataclass(frozen=True, slots=True)
class InkRecord:
    """One epoch of the history.

    Attributes:
        epoch: Counted from 1.
        loss: Mean training loss, in nats.
        learning_rate: Learning rate of its last step.
        writing: Intersection over union of the pixels with writing on the validation scenes.
        mark: Share of those pixels that are rightly told to be a digit's or a mark's.
        seconds: Time of the epoch, validation included.
    """

    epoch: int
    loss: float
    learning_rate: float
    writing: float
    mark: float
    seconds: float


def train(config: InkConfig, *, start: Checkpoint | None = None, resume: bool = False) -> Path:
    """Train the ink network; print a line for each epoch; return the checkpoint.

    Args:
        config: The run.
        start: The weights that `config.start` names.
        resume: Continue the run in `config.out` after its last complete epoch.

    Raises:
        InputError: Data are missing, `config.out` holds another run, there is none to resume, or
            training diverged.
        CheckpointError: The file to resume from cannot be read.
        FileAccessError: A file cannot be written.
    """
    if not resume:
        check_new_run(config.out)
    make_folder(config.out)
    cache = config.out.parent / SCENES_DIR
    blocks = _scenes(cache, config, config.scenes // _BLOCK, validation=False)
    held_out = validation_scenes(config)
    identity = {"recipe": config.recipe(), "data_sha256": blocks[0].parent.name}
    torch.manual_seed(config.seed)
    network = InkFinder()
    if start is not None:
        network.load_state_dict(start.weights)
    state = TrainState(network, config, InkRecord)
    if resume:
        check_same_run(config.out, identity)
        state.load(config.out / RESUME_FILE)
    else:
        state.save(config.out / RESUME_FILE, identity)
    steps = len(blocks) * (_BLOCK // config.batch_size)
    done = len(state.history)
    scheduler = make_scheduler(config, state.optimizer, steps=steps, done_epochs=done)  # type: ignore[arg-type]
    for epoch in range(done, config.epochs):
        began = time.perf_counter()
        loss = _train_epoch(config, state, scheduler, blocks, epoch)
        if not math.isfinite(loss):
            raise InputError(f"training diverged in epoch {epoch + 1}: lower learning_rate")
        writing, mark = measure(state.average.module, held_out)
        rate = config.learning_rate * relative_rate(config.schedule, (epoch + 1) / config.epochs)
        seconds = round(time.perf_counter() - began, 1)
        record = InkRecord(epoch + 1, loss, rate, writing, mark, seconds)
        state.history.append(record)
        state.save(config.out / RESUME_FILE, identity)
        _save(config, state, record)
        print(
            f"epoch {record.epoch} of {config.epochs}: loss {loss:.4f}, writing found "
            f"{writing:.4f}, marks told {mark:.4f}, {seconds:.0f} s",
            flush=True,
        )
    return config.out / CHECKPOINT_FILE


def validation_scenes(config: InkConfig) -> list[NDArray[np.uint8]]:
    """Return the scenes of other writers, uint8 (scenes, 5, SIDE, SIDE) each.

    Raises:
        InputError: Data are missing.
        FileAccessError: A file cannot be read or written.
    """
    count = -(-config.validation_scenes // _BLOCK)
    cache = config.out.parent / SCENES_DIR
    return [np.load(path) for path in _scenes(cache, config, count, validation=True)]


def _scenes(cache: Path, config: InkConfig, count: int, *, validation: bool) -> list[Path]:
    """Return the files of kept scenes, which are composed where they are missing."""
    writers = (VALIDATION_WRITERS, ()) if validation else (config.scan_writers, config.pen_writers)
    origin = {"format": SCENES_FORMAT, "side": SIDE, "writers": writers, "validation": validation}
    key = hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]
    folder = cache / key
    make_folder(folder)
    paths = [folder / f"{index}.npy" for index in range(count)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        start = functools.partial(_load_in_process, writers[0], writers[1], validation)
        processes = min(len(missing), thread_count("auto"))
        with multiprocessing.get_context("spawn").Pool(processes, start) as pool:
            for path in pool.imap_unordered(_compose_block, missing):
                print(f"composed {path}", flush=True)
    return paths


_sources: Sources | None = None


def _load_in_process(
    scan_writers: Sequence[str], pen_writers: Sequence[int], validation: bool
) -> None:
    global _sources  # noqa: PLW0603  of a process that composes
    _sources = load_sources(scan_writers, pen_writers, validation=validation)


def _compose_block(path: Path) -> Path:
    """Compose the scenes of one file, which depend on its number alone."""
    assert _sources is not None  # noqa: S101
    generator = np.random.default_rng(int(path.stem))
    block = np.empty((_BLOCK, _CHANNELS, SIDE, SIDE), np.uint8)
    for scene in block:
        picture, scene[3], scene[4] = compose(_sources, generator)
        scene[:3] = picture.transpose(2, 0, 1)
    content = io.BytesIO()
    np.save(content, block)
    write_atomically(path, content.getvalue())
    return path


def _train_epoch(
    config: InkConfig, state: TrainState, scheduler: Any, blocks: list[Path], epoch: int
) -> float:
    """Learn from every scene once; return the mean loss in nats."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch + 1)
    state.network.train()
    losses, steps = 0.0, 0
    for batch in _batches(config, blocks, generator):
        pictures, answers = _vary(batch, generator)
        loss = loss_of(state.network(pictures), answers)
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.average.update_parameters(state.network)
        scheduler.step()
        losses, steps = losses + loss.item(), steps + 1
    return losses / steps


def _batches(config: InkConfig, blocks: list[Path], generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the scenes in a new order: of blocks, and in each block."""
    for index in torch.randperm(len(blocks), generator=generator).tolist():
        block = torch.from_numpy(np.load(blocks[index]))
        order = torch.randperm(len(block), generator=generator)
        for start in range(0, len(block) - config.batch_size + 1, config.batch_size):
            yield block[order[start : start + config.batch_size]]


def _vary(batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cut a part of each scene, and change its colours.

    Returns:
        Pictures, uint8 (batch, 3, 192, 192), and answers, float32 (batch, 2, 192, 192), 0 to 1.
    """
    top, left = torch.randint(SIDE - _CROP + 1, (2,), generator=generator).tolist()
    batch = batch[:, :, top : top + _CROP, left : left + _CROP]
    count = len(batch)

    def chance(share: float) -> Tensor:
        return (torch.rand(count, generator=generator) < share)[:, None, None, None]

    pictures = batch[:, :3].float()
    order = torch.randperm(3, generator=generator)
    pictures = torch.where(chance(0.4), pictures[:, order], pictures)
    pictures = torch.where(chance(0.12), 255 - pictures, pictures)
    factor = 0.6 + 0.6 * torch.rand(count, 1, 1, 1, generator=generator)
    offset = 12 * torch.randn(count, 1, 1, 1, generator=generator)
    pictures = torch.where(chance(0.5), pictures * factor + offset, pictures)
    return pictures.clamp(0, 255).to(torch.uint8), answers_of(batch)


def answers_of(batch: Tensor) -> Tensor:
    """Return how much of each pixel is writing, and a mark: float32 (batch, 2, ...), 0 to 1.

    A pixel that is half covered counts in full, so that a hairline is not lost.
    """
    covered = (batch[:, 3:].float() / 127).clamp(max=1)
    return torch.stack([covered.amax(1), covered[:, 1]], 1)


def loss_of(log_odds: Tensor, answers: Tensor) -> Tensor:
    """Return the loss of both answers, in nats.

    Of writing it is the mean cross-entropy of every pixel, of marks that of the written pixels.

    Args:
        log_odds: float32 (batch, 2, height, width), as the network gives them.
        answers: The same shape, as `answers_of` gives them.
    """
    written = answers[:, 0]
    found, told = F.binary_cross_entropy_with_logits(log_odds, answers, reduction="none").unbind(1)
    weight = 1 + (_RARE - 1) * written
    of_marks = (told * written).sum() / written.sum().clamp(min=1)
    return (found * weight).mean() + _MARKS * of_marks


@torch.inference_mode()
def measure(network: torch.nn.Module, blocks: list[NDArray[np.uint8]]) -> tuple[float, float]:
    """Return intersection over union of writing, and the share of it that is told rightly."""
    network.eval()
    both = either = right = 0
    for block in blocks:
        for batch in torch.split(torch.from_numpy(block), 25):
            found, mark = (network(batch[:, :3]) > 0).unbind(1)
            expected, is_mark = (answers_of(batch) > 0.5).unbind(1)
            both += int((found & expected).sum())
            either += int((found | expected).sum())
            right += int((found & expected & (mark == is_mark)).sum())
    return both / max(1, either), right / max(1, both)


def _save(config: InkConfig, state: TrainState, record: InkRecord) -> None:
    metrics = {"validation": {"writing": record.writing, "mark": record.mark}}
    weights = state.average.module.state_dict()
    checkpoint.save(
        Checkpoint(NAME, weights, config.recipe(), metrics), config.out / CHECKPOINT_FILE
    )
    records = [dataclasses.asdict(each) for each in state.history]
    content = (json.dumps(records, indent=2) + "\n").encode()
    write_atomically(config.out / HISTORY_FILE, content)


def main(  # noqa: PLR0917  options, all by name
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = InkConfig().out,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    epochs: Annotated[int, typer.Option(help="Passes over the scenes.")] = InkConfig().epochs,
    scenes: Annotated[int, typer.Option(help="Scenes to compose.")] = InkConfig().scenes,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    learning_rate: Annotated[
        float, typer.Option(help="Highest learning rate.")
    ] = InkConfig().learning_rate,
    start: Annotated[
        Path | None, typer.Option("--from", help="Checkpoint of the ink network to begin with.")
    ] = None,
) -> None:
    """Train the ink network on scenes that are composed first."""
    try:
        first = None if start is None else checkpoint.load(start)
        config = InkConfig(
            out=out,
            epochs=epochs,
            scenes=scenes,
            seed=seed,
            learning_rate=learning_rate,
            start=None if first is None else first.sha256,
        )
        print(train(config, start=first, resume=resume))
    except EdgeAdderError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    typer.run(main)
