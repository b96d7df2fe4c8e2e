"""One picture and one page of the search: accuracy against latency, every training, every time."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.markdown import mean_and_deviation, table
from benchmarks.search import record as records
from benchmarks.search.train import PERTURBED_FILE, RUN_PREFIX
from edge_adder.errors import InputError
from edge_adder.files import write_atomically
from export import networks
from export.checkpoint import WEIGHTS_DIR
from export.config import TrainConfig
from export.plot_style import BLUE, GREY, ORANGE, RED, plot, png, use_plain_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT = Path(__file__).parents[2] / "docs" / "pareto.png"
PAGE = Path(__file__).parents[1] / "SEARCH.md"

VALIDATED_PAIRS = 50_000
"""Pairs at the end of a training: 5,000 images with all ten numbers. After an epoch it is one
number for each."""

BOUND = 3.5
"""Largest p50 of the default network, in those of the identity graph."""

UNTRAINED = "candidate, not trained"


@dataclass(frozen=True, slots=True)
class Group:
    """Trainings of one layout with one recipe, which differ in the seed alone.

    Attributes:
        line: The layout.
        settings: Fields of the recipe that differ from the defaults of `TrainConfig`.
        seeds: Seed of each training.
        digits: Validation accuracy of each, a fraction.
    """

    line: str
    settings: dict[str, Any]
    seeds: list[int]
    digits: list[float]

    @property
    def digit(self) -> float:
        """Mean validation accuracy, a fraction."""
        return statistics.mean(self.digits)


def draw(runs: Path) -> str:
    """Collect finished trainings into the record, draw the picture, write the page.

    Args:
        runs: Folder of the runs.

    Returns:
        The table of trainings.

    Raises:
        InputError: A network that is to be drawn was not timed.
    """
    record = records.read()
    record["trained"] = record.get("trained", {}) | _finished(runs)
    timed = record.get("timed", {}).get("networks", {})
    shown = {row["recipe"]["network"] for row in record["trained"].values()} | {*networks.NETWORKS}
    if missing := sorted(shown - set(timed)):
        steps = "put a layout into CANDIDATES, then `python -m benchmarks.search time`"
        raise InputError(f"not timed: {', '.join(missing)}; {steps}")
    records.update(trained=record["trained"])
    write_atomically(PLOT, draw_plot(record))
    write_atomically(PAGE, page(record).encode())
    return _groups_table(group(record["trained"]))


def _finished(runs: Path) -> dict[str, dict[str, Any]]:
    """Return recipe and measurements of the finished trainings in a folder, by run."""
    found = {}
    for path in sorted(runs.glob(f"{RUN_PREFIX}*/checkpoint.json")):
        made = json.loads(path.read_text())
        validation = made["metrics"]["validation"]
        if validation["pairs"] != VALIDATED_PAIRS:  # the training is not finished
            continue
        row = {"recipe": made["config"], "validation": validation}
        perturbed = path.with_name(PERTURBED_FILE)
        if perturbed.is_file():
            row["perturbed"] = json.loads(perturbed.read_text())
        found[path.parent.name] = row
    return found


def group(trained: dict[str, dict[str, Any]]) -> list[Group]:
    """Group trainings by their recipe without the seed, the best group first.

    Args:
        trained: By run, as `benchmarks.search.record.read` describes it.
    """
    usual = TrainConfig().recipe()
    found: dict[str, Group] = {}
    for row in trained.values():
        recipe = {name: value for name, value in row["recipe"].items() if name != "seed"}
        line = recipe["network"]
        usual["network"] = line
        settings = {name: value for name, value in recipe.items() if value != usual.get(name)}
        made = found.setdefault(json.dumps(recipe, sort_keys=True), Group(line, settings, [], []))
        made.seeds.append(row["recipe"]["seed"])
        made.digits.append(row["validation"]["digit"])
    return sorted(found.values(), key=lambda each: -each.digit)


def page(record: dict[str, Any]) -> str:
    """Return the record as Markdown, with the plot."""
    timed, groups = record["timed"], group(record["trained"])
    machine = timed["machine"]
    deviation = ", mean ± standard deviation over the seeds" if _several_seeds(groups) else ""
    parts = [
        "# The search for `edge`",
        "Made by `python -m benchmarks.search draw`; do not edit it by hand. The test images are "
        "not used in the search.",
        "![Validation error against latency](../docs/pareto.png)",
        "## Trained",
        "All trainings with one layout and one recipe, best first. Settings: what differs from the "
        "defaults of `TrainConfig`; `teachers`, `distillation`, `temperature` and "
        "`label_smoothing` are gone from it, and their rows remain as a record of what was tried. "
        f"Validation: digit accuracy over {VALIDATED_PAIRS:,} pairs{deviation}.",
        _groups_table(groups),
        "## Timed",
        f"Untrained, p50 of {timed['calls']:,} calls of raw `session.run`, batch 1, one thread, "
        f"interleaved; × floor: relative to an identity graph, bound {BOUND:.1f}. Parameters: in "
        f"training, before BatchNorm is folded. {machine['cpu']}, {machine['allowed_cores']} "
        f"shared cores, {machine['python']}, onnxruntime {machine['packages']['onnxruntime']}.",
        _timed_table(timed["networks"]),
    ]
    return "\n\n".join(parts) + "\n"


def _several_seeds(groups: Iterable[Group]) -> bool:
    return any(len(each.seeds) > 1 for each in groups)


def _groups_table(groups: list[Group]) -> str:
    rows = []
    for each in groups:
        settings = (f"{name} {json.dumps(value)}" for name, value in each.settings.items())
        seeds = ", ".join(map(str, sorted(each.seeds)))
        cells = f"`{each.line}`", ", ".join(settings), seeds, mean_and_deviation(each.digits)
        rows.append(cells)
    return table(("layout", "settings", "seeds", "validation"), rows)


def _timed_table(timed: dict[str, dict[str, float]]) -> str:
    rows = []
    for name, row in sorted(timed.items(), key=lambda item: item[1]["ratio"]):
        sizes = (f"{row[key]:,}" if key in row else "" for key in ("parameters", "multiply_adds"))
        rows.append((f"`{name}`", *sizes, f"{row['p50']:,.1f}", f"{row['ratio']:,.2f}"))
    return table(("layout", "parameters", "multiply-adds", "p50, µs", "× floor"), rows)


def draw_plot(record: dict[str, Any]) -> bytes:
    """Draw validation error against latency as a PNG file.

    Dots are trained candidates, squares the networks of the registry, ticks at the bottom untrained
    candidates.
    """
    ratios = {name: row["ratio"] for name, row in record["timed"]["networks"].items()}
    best: dict[str, Group] = {}
    for each in group(record["trained"]):
        best.setdefault(each.line, each)
    label = "candidate, with its best recipe"
    if _several_seeds(best.values()):
        label += ": mean of the seeds ± standard deviation"
    untrained = ratios.keys() - best.keys() - networks.NETWORKS.keys() - {"identity"}
    with plot(8, 5) as (figure, (axes,)):
        axes.errorbar(
            [ratios[line] for line in best],
            [100 * (1 - each.digit) for each in best.values()],
            [_deviation(each.digits) for each in best.values()],
            fmt="o",
            color=BLUE,
            capsize=2,
            label=label,
        )
        at_the_bottom = axes.get_xaxis_transform()
        x = sorted(ratios[line] for line in untrained)
        axes.plot(x, [0] * len(x), "|", color=GREY, label=UNTRAINED, transform=at_the_bottom)
        _draw_networks(axes, ratios)
        axes.axvline(BOUND, color=GREY, linestyle=":", label=f"bound: {BOUND:g} × identity graph")
        axes.set(
            xscale="log",
            xlabel="p50 of raw session.run, × identity graph",
            ylabel="wrong digits, % of the validation images",
            title="Every network that was tried",
        )
        use_plain_numbers(axes.xaxis)
        axes.margins(x=0.12)
        axes.legend()
        return png(figure)


def _draw_networks(axes: Axes, ratios: dict[str, float]) -> None:
    """Draw the registered networks as squares, each with its name."""
    for name in networks.NETWORKS:
        path = WEIGHTS_DIR / f"{name}.json"
        if not path.is_file():  # a candidate that this process has trained
            continue
        accuracy = json.loads(path.read_text())["metrics"]["validation"]["digit"]
        place = ratios[name], 100 * (1 - accuracy)
        is_edge = name == networks.DEFAULT  # the line of the bound is right of it
        axes.plot(*place, "s", color=RED if is_edge else ORANGE)
        side = {"xytext": (-6, -3), "ha": "right"} if is_edge else {"xytext": (6, -3)}
        axes.annotate(name, place, textcoords="offset points", fontsize=9, **side)
    axes.plot([], [], "s", color=ORANGE, label="published network, with a recipe of its own")
    axes.plot([], [], "s", color=RED, label="edge, with a recipe of its own")


def _deviation(fractions: list[float]) -> float:
    """Return the standard deviation in percent; of a single value, NaN, which is not drawn."""
    return 100 * statistics.stdev(fractions) if len(fractions) > 1 else math.nan
