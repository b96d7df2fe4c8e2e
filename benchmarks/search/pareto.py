"""The search for `edge`: python -m benchmarks.search.pareto time, then train, then draw.

Latency comes first, since an untrained graph is as fast as a trained one: `time` measures all
`CANDIDATES` in onnxruntime in one run. `train` fits one of them and measures it on the validation
images, as they are and moved; the test images are never touched. `draw` collects what the runs left
into ``benchmarks/pareto.json``, draws accuracy against latency into ``docs/pareto.png`` and writes
``benchmarks/SEARCH.md``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional as F

from benchmarks.plots import png
from benchmarks.report import spread, table
from benchmarks.search.candidates import layout
from benchmarks.search.time import load_untrained, registered, time_adders
from edge_adder.contract import DIGITS
from edge_adder.environment import fingerprint
from edge_adder.errors import InputError
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from export import checkpoint as checkpoints
from export import networks, train
from export.catalogue import count_multiply_adds, count_parameters
from export.checkpoint import WEIGHTS_DIR
from export.data import Augmentation, LabelledImages, augment, load_mnist, split_indices
from export.evaluate import EVALUATION_BATCH
from export.networks.parts import Network

ROOT = Path(__file__).parents[2]
RECORD, PLOT = Path(__file__).parents[1] / "pareto.json", ROOT / "docs" / "pareto.png"
PAGE = Path(__file__).parents[1] / "SEARCH.md"
RUNS = Path("runs")

VALIDATED_PAIRS = 50_000
"""At the end of a run: 5,000 images with all ten numbers; after an epoch it is one number each."""

MOVED = Augmentation(shift=0.04, rotation_degrees=8, scale=0.08, stretch=0.06, shear=0.12, bend=0.5)
"""How the validation images are moved for the second figure: about half as far as in training."""

MOVES = 10
"""How often each validation image is moved."""

MOVED_FILE = "search.json"
"""In a run's folder: what `measure_moved` found."""

BOUND = 3.0
"""Of the p50, in those of the identity graph."""

CANDIDATES = (
    "16k5s2 16k3s2 32k3s2 32k3 flat",
    "16k5s2 16k3s2 32k3s2 32k3 mean",
    "16k5s2 16k3s2 32k3s2 32k3r flat",
    "16k5s2 32k3s2 32k3s2 flat",
    "16k5s2v 32k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 32k3v 48k3v flat",
    "16k5s2v 24k3s2 32k3v 32k3v flat",
    "16k3s2 16k3s2 32k3s2 32k3 flat",
    "16k3s2 16k3s2 16k3 32k3s2 32k3v flat",
    "16k5s2 16k3s2 32k3v 32k3v flat",
    "16k5s2 16k3s2 32k3v 32k3s2 flat",
    "16k5s2 16k3s2 32k3s2 32k3v flat",
    "16k5s2 16k3s2 32k3s2 48k3v flat",
    "16k5s2 32k3s2 32k3s2v flat",
    "16k5s2 32k3s2 32k3s2v 32k3v flat",
    "16k5s2 16k3s2 32k3s2v 32k3 flat",
    "16k5s2 16k3s2 16k3 32k3s2 32k3v flat",
    "16k5s2 16k3s2 16k3r 32k3s2 32k3v flat",
    "16k5s2 32k3s2d 64k3s2d 64k3d mean",
    "16k5s2 32k3s2d 64k3s2d 64k3d 96k3d mean",
    "16k7s4 32k3 32k3s2 flat",
    "16k7s4 16k3 32k3s2 32k3v flat",
    "32k7s4 32k3s2 32k3v flat",
    "8k5s2 16k3s2 32k3s2 32k3 flat",
    "16k5s2 16k3s2 48k3s2 32k3v flat",
    "32k5s2 16k3s2 32k3s2 32k3 flat",
    "16k5s2 16k3s2 16k3s2 32k3 32k3v flat",
    "16k5s2v 16k3s2 16k3 32k3v 32k3v flat",
    "16k5s2v 16k3 32k3s2v 32k3v flat",
    "16k4s2v 16k3s2v 32k3v 32k3v flat",
    "16k5s2v 16k3 16k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3v 16k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 16k3 32k3v 40k3v flat",
    "16k5s2v 16k3s2 16k3r 32k3v 40k3v flat",
    "16k5s2v 16k3s2 40k3v 40k3v flat",
    "16k5s2v 16k3s2 32k3 32k3v flat",
    "16k3s2v 16k3s2 32k3v 40k3v flat",
    "16k5s2v 16k5s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 32k3v 48k2v flat",
    "16k5s2v 16k3s2 32k3v 64k2v flat",
    "16k5s2v 32k2s2v 32k3v 32k3v flat",
    "24k5s2v 16k3s2 32k3v 48k3v flat",
    "16k7s2v 16k3s2 32k3v 48k3v flat",
)
"""Layouts to time: early stride, 3×3 to 7×7 stems, 16 and 32 channels (full vectors) and others,
depthwise blocks, residual ones, averaged heads, wide then narrow."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__)


@dataclass(frozen=True, slots=True)
class Group:
    """Trainings of one layout that differ in the seed alone, and in their teachers' weights.

    Attributes:
        line: The layout.
        settings: What differs from the defaults of a training.
        seeds: Of the trainings.
        digits: Validation accuracy of each, a fraction.
        moved: As `measure_moved` returned, of those that were measured so.
    """

    line: str
    settings: dict[str, Any]
    seeds: list[int]
    digits: list[float]
    moved: list[dict[str, Any]]

    @property
    def digit(self) -> float:
        """The mean validation accuracy, a fraction."""
        return statistics.mean(self.digits)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the validation accuracy; None of a single seed."""
        return statistics.stdev(self.digits) if len(self.digits) > 1 else None


@app.command()
def time(
    calls: Annotated[int, typer.Option(min=20, help="Calls of each.")] = 4000,
) -> None:
    """Time all candidates and the registered networks, and record it."""
    adders = registered()
    found: dict[str, dict[str, float]] = {
        name: _sizes(networks.create(name)) for name in networks.NETWORKS
    }
    for line in CANDIDATES:
        kind = layout(line)
        adders[line] = load_untrained(kind(), line)
        found[line] = _sizes(kind())
    timed = time_adders(adders, calls)
    for name, row in timed.items():
        found.setdefault(name, {}).update({key: round(value, 3) for key, value in row.items()})
    _update(timed={"machine": fingerprint(), "calls": calls, "networks": found})
    print(_timed_table(found))


@app.command("train")
def train_one(
    line: Annotated[str, typer.Argument(help="A layout, in quotes.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Fields of TrainConfig, such as epochs=30.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder for the runs and their teachers.")] = RUNS,
) -> None:
    """Train one layout with `edge`'s recipe and print its validation accuracy."""
    try:
        networks.NETWORKS[line] = layout(line)
    except ValueError as error:
        raise InputError(str(error)) from error
    changes = dict(_setting(text) for text in settings or [])
    try:
        config = train.TrainConfig(
            **{**networks.NETWORKS["edge"].recipe, **changes},
            network=line,
            data_dir=data_dir,
            out=runs / "pareto",
        )
    except TypeError as error:
        raise InputError(f"settings must be TrainConfig's, with its types: {error}") from error
    teachers = [teacher.sha256 for teacher in train.find_teachers(config)]
    origin = json.dumps([config.recipe(), teachers], sort_keys=True)
    name = hashlib.sha256(origin.encode()).hexdigest()[:12]
    config = dataclasses.replace(config, out=runs / f"pareto-{name}")
    resume = (config.out / train.RESUME_FILE).exists()
    result = train.train(config, resume=resume, test=False)
    everything = load_mnist(data_dir, train=True)
    _, held_out = split_indices(len(everything), config.split, config.seed)
    moved = measure_moved(checkpoints.load(result.checkpoint).build(), everything.at(held_out))
    write_atomically(config.out / MOVED_FILE, (json.dumps(moved, indent=2) + "\n").encode())
    print(
        f"{line} {changes}: validation {result.validation}; "
        f"moved: digit {percent(moved['digit'])}, {moved['nats']:.4f} nats"
    )


@torch.inference_mode()
def measure_moved(network: nn.Module, validation: LabelledImages) -> dict[str, Any]:
    """How well a network reads the validation images once they are moved a little.

    There are `MOVES` times as many of them, so the figure tells closer layouts apart.

    Args:
        network: Keeps the contract; on the CPU. It is put into inference mode and left there.
        validation: The images as they are, on the CPU.

    Returns:
        ``digit``, the accuracy, a fraction; ``nats``, the mean negative log-likelihood of the right
        digit; ``images``, how many were asked. The same for the same network and images.
    """
    network.eval()
    generator = torch.Generator().manual_seed(0)
    right, nats = 0, 0.0
    for _ in range(MOVES):
        for start in range(0, len(validation), EVALUATION_BATCH):
            labels = validation.labels[start : start + EVALUATION_BATCH]
            images = validation.images[start : start + EVALUATION_BATCH]
            number = torch.arange(start, start + len(labels)) % DIGITS
            digit, _ = network(augment(images, MOVED, generator), number)
            right += int((digit.argmax(1) == labels).sum())
            nats += float(F.nll_loss(digit, labels, reduction="sum"))
    count = MOVES * len(validation)
    return {"digit": right / count, "nats": nats / count, "images": count}


@app.command()
def draw(
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = RUNS,
) -> None:
    """Collect the runs into the record, draw the front and write the page.

    Raises:
        InputError: Something that is to be drawn was not timed.
    """
    record = _read()
    record["trained"] = record.get("trained", {}) | _finished(runs)
    timed = record.get("timed", {}).get("networks", {})
    shown = {row["recipe"]["network"] for row in record["trained"].values()} | {*networks.NETWORKS}
    if missing := sorted(shown - set(timed)):
        raise InputError(
            f"not timed: {', '.join(missing)}; put a layout into CANDIDATES, then "
            "`python -m benchmarks.search.pareto time`"
        )
    _update(trained=record["trained"])
    write_atomically(PLOT, plot(record))
    write_atomically(PAGE, page(record).encode())
    print(_groups_table(group(record["trained"])))


def group(trained: dict[str, dict[str, Any]]) -> list[Group]:
    """Trainings by all of their recipe but the seed and the teachers' weights.

    Args:
        trained: By run, as `draw` records it.

    Returns:
        The best first.
    """
    found: dict[str, Group] = {}
    for row in trained.values():
        recipe = {k: v for k, v in row["recipe"].items() if k not in ("seed", "teachers_sha256")}
        made = found.setdefault(
            json.dumps(recipe, sort_keys=True),
            Group(recipe["network"], _changes(recipe), [], [], []),
        )
        made.seeds.append(row["recipe"]["seed"])
        made.digits.append(row["validation"]["digit"])
        made.moved.extend([row["moved"]] if "moved" in row else [])
    return sorted(found.values(), key=lambda each: -each.digit)


def page(record: dict[str, Any]) -> str:
    """The record as Markdown, with the plot."""
    timed = record["timed"]
    machine = timed["machine"]
    parts = [
        "# The search for `edge`",
        "Made by `python -m benchmarks.search.pareto draw`; nothing here is written by hand. The test "
        "images have no part in it.",
        "![Validation error against latency](../docs/pareto.png)",
        "## Trained",
        "The trainings with one layout and one recipe, best first. Settings: what differs from "
        "the defaults of `TrainConfig`. Validation: digit accuracy over "
        f"{VALIDATED_PAIRS:,} pairs, mean ± standard deviation over the seeds. Moved: the same "
        f"over the validation images moved {MOVES} ways each, and the mean negative "
        "log-likelihood of the right digit in nats; blank where it was not measured.",
        _groups_table(group(record["trained"])),
        "## Timed",
        f"Untrained, p50 of {timed['calls']:,} calls of raw `session.run`, batch 1, one "
        "thread, in turn, in those of an identity graph; the bound is "
        f"{BOUND:.1f}. Parameters: in training, before BatchNorm is folded. {machine['cpu']}, "
        f"{machine['allowed_cores']} shared cores, {machine['python']}, onnxruntime "
        f"{machine['packages']['onnxruntime']}.",
        _timed_table(timed["networks"]),
    ]
    return "\n\n".join(parts) + "\n"


def plot(record: dict[str, Any]) -> bytes:
    """Validation error against latency: trained candidates, sources, and the untrained as ticks."""
    timed = record["timed"]["networks"]
    best: dict[str, Group] = {}
    for each in group(record["trained"]):
        best.setdefault(each.line, each)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for line, each in best.items():
        x, y = timed[line]["ratio"], 100 * (1 - each.digit)
        bar = None if each.deviation is None else 100 * each.deviation
        axes.errorbar(x, y, bar, fmt="o", color="tab:blue", markersize=4, capsize=2)
        axes.annotate(line, (x, y), (4, 3), textcoords="offset points", fontsize=6)
    for name in networks.NETWORKS:
        path = WEIGHTS_DIR / f"{name}.json"
        if not path.is_file():  # a candidate that this process has trained
            continue
        made = json.loads(path.read_text())
        x, y = timed[name]["ratio"], 100 * (1 - made["metrics"]["validation"]["digit"])
        colour = "tab:red" if name == networks.DEFAULT else "tab:orange"
        axes.plot(x, y, "s", color=colour, markersize=6)
        axes.annotate(name, (x, y), (5, -9), textcoords="offset points", fontsize=8)
    drawn = {*best, *networks.NETWORKS, "identity"}
    waiting = [row["ratio"] for line, row in timed.items() if line not in drawn]
    axes.plot(
        waiting,
        [0] * len(waiting),
        "|",
        color="tab:grey",
        label="candidate, not trained",
        transform=axes.get_xaxis_transform(),
    )
    label = "candidate, its best recipe: mean of the seeds, ± standard deviation"
    axes.plot([], [], "o", color="tab:blue", markersize=4, label=label)
    axes.plot([], [], "s", color="tab:orange", label="source network, with a recipe of its own")
    axes.plot([], [], "s", color="tab:red", label="edge, with a recipe of its own")
    axes.axvline(BOUND, color="tab:grey", linestyle=":", label=f"bound: {BOUND:.1f} × identity")
    axes.set(
        xscale="log",
        xlabel="p50 of raw session.run, × identity graph",
        ylabel="wrong digits, % of the validation images",
        title="Every network that was tried",
    )
    axes.set_xticks([2, 3, 4, 6, 10, 30, 100, 300], ["2", "3", "4", "6", "10", "30", "100", "300"])
    axes.grid(alpha=0.3)
    axes.margins(x=0.12)
    axes.legend(fontsize=8)
    return png(figure)


def _finished(runs: Path) -> dict[str, dict[str, Any]]:
    """What the finished trainings in a folder left, by run."""
    found = {}
    for path in sorted(runs.glob("pareto-*/checkpoint.json")):
        made = json.loads(path.read_text())
        validation = made["metrics"]["validation"]
        if validation["pairs"] != VALIDATED_PAIRS:  # it is not over
            continue
        row = {"recipe": made["config"], "validation": validation}
        moved = path.with_name(MOVED_FILE)
        if moved.is_file():
            row["moved"] = json.loads(moved.read_text())
        found[path.parent.name] = row
    return found


def _setting(text: str) -> tuple[str, Any]:
    """``epochs=30`` → its name and its value.

    Raises:
        InputError: It has no ``=``, or its value is no JSON.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"a setting must be NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise InputError(f"the value of a setting must be JSON, got {text!r}: {error}") from error


def _sizes(network: Network) -> dict[str, float]:
    return {
        "parameters": count_parameters(network),
        "multiply_adds": count_multiply_adds(network),
    }


def _timed_table(timed: dict[str, dict[str, float]]) -> str:
    rows = []
    for name, row in sorted(timed.items(), key=lambda item: item[1]["ratio"]):
        sizes = (f"{row[key]:,}" if key in row else "" for key in ("parameters", "multiply_adds"))
        rows.append((f"`{name}`", *sizes, f"{row['p50']:,.1f}", f"{row['ratio']:,.2f}"))
    return table(("layout", "parameters", "multiply-adds", "p50, µs", "× floor"), rows)


def _groups_table(groups: list[Group]) -> str:
    rows = [
        (
            f"`{each.line}`",
            ", ".join(f"{name} {json.dumps(value)}" for name, value in each.settings.items()),
            ", ".join(str(seed) for seed in sorted(each.seeds)),
            spread(each.digits),
            spread([row["digit"] for row in each.moved]),
            f"{statistics.mean(row['nats'] for row in each.moved):.4f}" if each.moved else "",
        )
        for each in groups
    ]
    return table(("layout", "settings", "seeds", "validation", "moved", "moved, nats"), rows)


def _changes(recipe: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults of a training."""
    usual = train.TrainConfig().recipe()
    return {k: v for k, v in recipe.items() if k != "network" and v != usual.get(k)}


def _read() -> dict[str, Any]:
    return dict(json.loads(RECORD.read_text())) if RECORD.is_file() else {}


def _update(**parts: Any) -> None:
    write_atomically(RECORD, (json.dumps(_read() | parts, indent=1) + "\n").encode())


if __name__ == "__main__":
    app()
