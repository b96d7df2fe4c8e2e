"""What the commands of export print: progress, tables, results."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge_adder.evaluation.report import percent

from . import networks
from .adopt import AdoptResult
from .catalogue import NetworkFacts
from .checkpoint import how_to_make
from .config import TrainConfig
from .evaluate import Accuracy
from .history import EpochRecord
from .networks.parts import Network
from .own_digits import ContinueResult, OwnDigits
from .to_onnx import VECTORS, ExportResult
from .train import Observer, TrainResult
from .verify import ParityRow

_STEPS_BETWEEN_LOSSES = 20  # reading the loss waits for the device


def train_report(config: TrainConfig, result: TrainResult) -> str:
    """Return a run's accuracies, and whether the network's bar was reached."""
    lines = [f"validation: {result.validation}"]
    if result.test is not None:
        lines += [f"test: {result.test}", *_bar(config.network, result.test)]
    return "\n".join([*lines, f"checkpoint: {result.checkpoint}"])


def _bar(name: str, test: Accuracy) -> list[str]:
    """Return a line that says whether a network reached its bar, if it has one."""
    network = networks.find(name)
    digit_bar = getattr(network, "digit_bar", None)
    if not issubclass(network, Network) or digit_bar is None:
        return []
    passed = test.digit >= digit_bar and test.sum >= network.sum_bar
    bar = f"digit {percent(digit_bar)}"
    bar += f" and sum {percent(network.sum_bar)}" if network.sum_bar else ""
    return [f"bar of {bar} on the test images: {'passed' if passed else 'not reached'}"]


def continue_report(result: ContinueResult, own: OwnDigits) -> str:
    """Return the accuracies before and after, on the user's pictures and on MNIST."""
    rows = [
        ("your digits", result.own_before, result.own_after),
        ("MNIST", result.mnist_before, result.mnist_after),
    ]
    lines = [f"{'validation':12}{'pictures':>9}{'digit before':>14}{'after':>9}{'sum after':>11}"]
    for name, before, after in rows:
        lines.append(
            f"{name:12}{after.pairs // 10:>9,}{percent(before.digit):>14}"
            f"{percent(after.digit):>9}{percent(after.sum):>11}"
        )
    return "\n".join(
        [
            *lines,
            f"learned from {len(own.train_set):,} of your pictures, mixed with MNIST",
            f"checkpoint: {result.checkpoint}",
        ]
    )


def export_report(result: ExportResult) -> str:
    """Return what the gate measured, and the files that were written."""
    facts = result.provenance
    operators = ", ".join(f"{count} {name}" for name, count in facts["operators"].items())
    versions = f"opset {facts['opset']}, IR {facts['ir_version']}"
    return "\n".join(
        [
            *_parity_table(result),
            *_validation(facts),
            "",
            f"{result.path}: {result.size_bytes:,} bytes, {versions}, {operators}",
            f"{result.vectors}: {VECTORS} synthetic digits with PyTorch's answers",
            *([f"{result.parity_json}: the same as JSON"] if result.parity_json else []),
        ]
    )


def adopt_report(result: AdoptResult) -> str:
    """Return what was checked, and the files that were written."""
    lines = []
    if result.vectors is not None:
        lines = [*_parity_rows(result.parity), ""]
    renamed = ", ".join(f"{old} is now {new}" for new, old in result.renamed.items())
    lines += [
        f"{result.path}: {result.size_bytes:,} bytes, from {result.provenance['adopted']['file']}",
        *([f"names: {renamed}"] if renamed else []),
    ]
    if result.vectors is not None:
        lines.append(f"{result.vectors}: {VECTORS} synthetic digits with PyTorch's answers")
    else:
        lines.append(
            "no parity vectors: nothing says what the file should compute; name a PyTorch "
            "reference with --network and --checkpoint"
        )
    return "\n".join(lines)


def _parity_table(result: ExportResult) -> list[str]:
    return [
        f"PyTorch {torch.__version__.partition('+')[0]} against onnxruntime "
        f"{result.onnxruntime}, {_bounds(result.provenance)}:",
        *_parity_rows(result.parity),
    ]


def _bounds(provenance: Mapping[str, Any]) -> str:
    parity = provenance["parity"]
    if "precision" in provenance:
        return f"at most {100 * parity['max_changed']:g} % changed answers"
    return f"bounds {parity['bound']:g} and 0"


def _validation(provenance: Mapping[str, Any]) -> list[str]:
    """Return the accuracy of both precisions on the validation images, where it was measured."""
    found = provenance.get("validation")
    if not found:
        return []
    rates = ", ".join(f"{name} {percent(found[name])}" for name in found if name != "images")
    return [f"digit accuracy on {found['images']:,} validation images: {rates}"]


def _parity_rows(rows: Sequence[ParityRow]) -> list[str]:
    header = f"{'images':24}{'pairs':>8}{'batch':>7}{'output':>8}{'largest difference':>20}"
    return [
        f"{header}{'changed answers':>17}{'sum is not digit + number':>27}",
        *(
            f"{row.images:24}{row.pairs:>8,}{row.batch:>7}{row.output:>8}"
            f"{row.largest_difference:>20.2e}{row.changed_answers:>17}{row.contradictions:>27}"
            for row in rows
        ),
    ]


def networks_table(networks_facts: Sequence[NetworkFacts]) -> str:
    """Return the facts of every network as a table."""
    header = f"{'network':15}{'parameters':>10}{'multiply-adds':>15}{'file':>11}"
    lines = [f"{header}{'digit':>9}{'sum':>9}{'epochs':>8}  source"]
    for facts in networks_facts:
        size = "-" if facts.size_bytes is None else f"{facts.size_bytes / 1000:,.0f} kB"
        digit, total = (
            "-" if value is None else percent(value) for value in (facts.digit, facts.sum)
        )
        lines.append(
            f"{facts.name:15}{facts.parameters:10,}{facts.multiply_adds:15,}{size:>11}{digit:>9}"
            f"{total:>9}{facts.epochs or '-':>8}  {facts.source}"
        )
    missing = [facts.name for facts in networks_facts if not facts.committed]
    lines += ["", "digit, sum: accuracy on 10,000 test images with all ten numbers"]
    return "\n".join([*lines, *(f"{name}: {how_to_make(name)}" for name in missing)])


def handwriting_table(facts: Sequence[Mapping[str, Any]]) -> str:
    """Return what `export.commands.handwriting_facts` found as text."""
    blocks = []
    for each in facts:
        parts, missing = len(each["sha256"]), len(each["missing"])
        state = "complete" if not missing else f"{missing} of {parts} parts missing"
        blocks.append(
            f"{each['name']}: {each['title']}\n"
            f"  content   {each['content']}; {each['size_bytes'] / 1e6:.1f} MB\n"
            f"  authors   {each['authors']}\n"
            f"  licence   {each['licence']}\n"
            f"  source    {each['page']}\n"
            f"  folder    {each['folder']} ({state})"
        )
    return "\n\n".join(blocks)


class ProgressBar(Observer):
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
        """Show the bar."""
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
        """Move the bar now and then."""
        done = (epoch - 1) * self._steps + step
        if step % _STEPS_BETWEEN_LOSSES == 0 and not self._progress.disable:
            self._progress.update(self._task, completed=done, epoch=epoch, loss=f"{loss():.4f}")

    def epoch(self, record: EpochRecord) -> None:
        """Show the epoch's accuracy."""
        self._done = record.epoch
        digit, total = percent(record.digit), percent(record.sum)
        self._progress.update(
            self._task,
            completed=record.epoch * self._steps,
            epoch=min(record.epoch + 1, self._epochs),
            loss=f"{record.loss:.4f}",
            validation=f"{digit} / {total}",
        )
        if self._progress.disable:
            self._console.print(
                f"epoch {record.epoch}/{self._epochs}: loss {record.loss:.4f}, validation digit "
                f"{digit} sum {total}, {record.seconds:.1f} s",
                soft_wrap=True,
            )

    def interrupted(self, config: TrainConfig) -> None:
        """Say what is saved and how to continue, once there is something."""
        self._progress.stop()
        if not self._epochs:
            return
        command = ["edge-adder", "train", "--resume", "--out", str(config.out)]
        if networks.own.is_own(config.network):  # never imported from a file's word
            command += ["--network", config.network]
        if config.data_dir is not None:
            command += ["--data-dir", str(config.data_dir)]
        self._console.print(
            f"edge-adder: stopped; {self._done} of {self._epochs} epochs are in {config.out}: "
            f"continue with `{shlex.join(command)}`",
            soft_wrap=True,
            markup=False,
        )
