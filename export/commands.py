"""What `edge-adder train` and `edge-adder export` call: options in, a report as text out."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge_adder.errors import CheckpointError, InputError
from export import checkpoint as checkpoints
from export import networks, to_onnx
from export import train as training
from export.catalogue import catalogue
from export.history import EpochRecord
from export.to_onnx import ExportResult
from export.train import Observer, TrainConfig, TrainResult
from export.verify import BOUND

_STEPS_BETWEEN_LOSSES = 20  # reading the loss waits for the device


def train(
    given: dict[str, Any],
    *,
    recipe: str | None,
    device: str,
    data_dir: Path | None,
    out: Path | None,
    resume: bool,
    test: bool,
) -> str:
    """Train, show progress on stderr, and report.

    Args:
        given: The fields of `TrainConfig.recipe` that the user named. A resumed run takes the
            others from its file, a new one from `recipe`.
        recipe: As in `TrainConfig.for_network`; None for ``ours``, or for that of a resumed run.
        device: As in `TrainConfig`.
        data_dir: As in `TrainConfig`.
        out: Folder of the run; None for ``runs/NETWORK``, or ``runs/NETWORK-published``.
        resume: Continue the run in `out`.
        test: As in `export.train.train`.

    Raises:
        EdgeAdderError: As `export.train.train`.
    """
    network = given.get("network", networks.DEFAULT)
    out = out or Path("runs") / (f"{network}-published" if recipe == "published" else network)
    places: dict[str, Any] = {"device": device, "data_dir": data_dir, "out": out}
    if resume:
        header = training.read_resume_header(out / training.RESUME_FILE)
        if recipe is not None:
            network = given.pop("network", None) or header["recipe"]["network"]
            given = TrainConfig.for_network(network, recipe, **given).recipe()
        try:
            config = TrainConfig(**{**header["recipe"], **given, **places})
        except TypeError as error:
            raise CheckpointError(f"the run in {out} is of another version: {error}") from error
    else:
        config = TrainConfig.for_network(
            recipe=recipe or "ours", **given | {"network": network} | places
        )
    with _ProgressBar() as observer:
        try:
            result = training.train(config, resume=resume, test=test, observer=observer)
        except KeyboardInterrupt:
            observer.interrupted(config)
            raise
    return _train_report(config, result)


def export(
    checkpoint: Path | None,
    network: str | None,
    out: Path,
    *,
    opset: int | None,
    batch: str,
    data_dir: Path | None,
) -> str:
    """Export through the gate, and report what it measured.

    Args:
        checkpoint: The file; None for the committed checkpoint of `network`.
        network: A network's name; None for the default, or for that of `checkpoint`.
        out: The file to write.
        opset: None for the default.
        batch: ``dynamic`` or a number.
        data_dir: As in `export.to_onnx.export`.

    Raises:
        EdgeAdderError: As `export.to_onnx.export`.
    """
    loaded = checkpoints.load(checkpoint or checkpoints.committed(network or networks.DEFAULT))
    if network is not None and loaded.network != network:
        raise InputError(f"{checkpoint} is of network {loaded.network}, asked for {network}")
    if batch != "dynamic" and not (batch.isascii() and batch.isdigit()):
        raise InputError(f"batch must be 'dynamic' or 1 to {to_onnx.MAX_BATCH}, got {batch!r}")
    result = to_onnx.export(
        loaded,
        out,
        opset=to_onnx.OPSET if opset is None else opset,
        batch=None if batch == "dynamic" else int(batch),
        data_dir=data_dir,
    )
    facts = result.provenance
    operators = ", ".join(f"{count} {name}" for name, count in facts["operators"].items())
    versions = f"opset {facts['opset']}, IR {facts['ir_version']}"
    return "\n".join(
        [
            _parity_table(result),
            "",
            f"{result.path}: {result.size_bytes:,} bytes, {versions}, {operators}",
            f"{result.vectors}: {to_onnx.VECTORS} drawn digits with PyTorch's answers",
        ]
    )


def committed_onnx(network: str) -> bytes:
    """The ONNX file of a network's committed checkpoint, without the gate.

    Raises:
        InputError: No network has this name.
        CheckpointError: No checkpoint is committed for it.
    """
    loaded = checkpoints.load(checkpoints.committed(network))
    return to_onnx.to_onnx(loaded.build(), loaded)


def networks_facts() -> list[dict[str, Any]]:
    """The facts of every network, in JSON's types."""
    return [dataclasses.asdict(facts) for facts in catalogue()]


def networks_table() -> str:
    """The facts of every network as a table."""
    header = f"{'network':15}{'parameters':>10}{'multiply-adds':>15}{'file':>11}"
    lines = [f"{header}{'digit':>9}{'sum':>9}{'epochs':>8}  source"]
    missing = []
    for facts in catalogue():
        size = "-" if facts.size_bytes is None else f"{facts.size_bytes / 1000:,.0f} kB"
        digit, total = (
            "-" if value is None else f"{value:.2%}" for value in (facts.digit, facts.sum)
        )
        lines.append(
            f"{facts.name:15}{facts.parameters:10,}{facts.multiply_adds:15,}{size:>11}{digit:>9}"
            f"{total:>9}{facts.epochs or '-':>8}  {facts.source}"
        )
        if not facts.committed:
            missing.append(facts.name)
    lines += ["", "digit, sum: accuracy on 10,000 test images with all ten numbers"]
    lines += [f"{name}: {checkpoints.how_to_make(name)}" for name in missing]
    return "\n".join(lines)


def _parity_table(result: ExportResult) -> str:
    title = (
        f"PyTorch {torch.__version__.partition('+')[0]} against onnxruntime "
        f"{result.onnxruntime}, bounds {BOUND:g} and 0:"
    )
    header = f"{'images':20}{'pairs':>8}{'batch':>7}{'output':>8}{'largest difference':>20}"
    lines = [title, f"{header}{'changed answers':>17}{'sum is not digit + number':>27}"]
    lines += [
        f"{row.images:20}{row.pairs:>8,}{row.batch:>7}{row.output:>8}"
        f"{row.largest_difference:>20.2e}{row.changed_answers:>17}{row.contradictions:>27}"
        for row in result.parity
    ]
    return "\n".join(lines)


def _train_report(config: TrainConfig, result: TrainResult) -> str:
    network = networks.find(config.network)
    lines = [f"validation: {result.validation}"]
    if result.test is not None:
        passed = result.test.digit >= network.digit_bar and result.test.sum >= network.sum_bar
        bar = f"digit {network.digit_bar:.2%}"
        bar += f" and sum {network.sum_bar:.2%}" if network.sum_bar else ""
        lines += [
            f"test: {result.test}",
            f"bar of {bar} on the test images: {'passed' if passed else 'not reached'}",
        ]
    return "\n".join([*lines, f"checkpoint: {result.checkpoint}"])


class _ProgressBar(Observer):
    """A bar with loss, validation and time left; a line for each epoch where stderr is a file."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  validation {task.fields[validation]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._steps = self._epochs = self._done = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, config: TrainConfig, *, done_epochs: int, steps_per_epoch: int) -> None:
        self._steps, self._epochs, self._done = steps_per_epoch, config.epochs, done_epochs
        self._task = self._progress.add_task(
            "training",
            total=config.epochs * steps_per_epoch,
            completed=done_epochs * steps_per_epoch,
            epoch=done_epochs + 1,
            epochs=config.epochs,
            loss="-",
            validation="-",
        )

    def step(self, epoch: int, step: int, loss: Callable[[], float]) -> None:
        done = (epoch - 1) * self._steps + step
        if step % _STEPS_BETWEEN_LOSSES == 0 and not self._progress.disable:
            self._progress.update(self._task, completed=done, epoch=epoch, loss=f"{loss():.4f}")

    def epoch(self, record: EpochRecord) -> None:
        self._done = record.epoch
        self._progress.update(
            self._task,
            completed=record.epoch * self._steps,
            epoch=min(record.epoch + 1, self._epochs),
            loss=f"{record.loss:.4f}",
            validation=f"{record.digit:.2%} / {record.sum:.2%}",
        )
        if self._progress.disable:
            self._console.print(
                f"epoch {record.epoch}/{self._epochs}: loss {record.loss:.4f}, validation digit "
                f"{record.digit:.2%} sum {record.sum:.2%}, {record.seconds:.1f} s",
                soft_wrap=True,
            )

    def interrupted(self, config: TrainConfig) -> None:
        """Say what is safe and how to go on, once something is."""
        self._progress.stop()
        if not self._epochs:
            return
        command = ["edge-adder", "train", "--resume", "--out", str(config.out)]
        if config.data_dir is not None:
            command += ["--data-dir", str(config.data_dir)]
        self._console.print(
            f"edge-adder: stopped; {self._done} of {self._epochs} epochs are in {config.out}: "
            f"continue with `{shlex.join(command)}`",
            soft_wrap=True,
            markup=False,
        )
