"""The search for `edge`: python -m benchmarks.pareto time, then train, then draw.

Latency comes first, since an untrained graph is as fast as a trained one: `time` measures all
`CANDIDATES` in onnxruntime in one run. `train` fits one of them and measures it on the validation
images; the test images are never touched. `draw` collects what the runs left into
``benchmarks/pareto.json`` and draws accuracy against latency.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.figure import Figure

from benchmarks.layouts import layout
from benchmarks.plots import png
from benchmarks.report import table
from benchmarks.untrained import load_untrained, registered, time_adders
from edge_adder.environment import fingerprint
from edge_adder.files import write_atomically
from export import networks, train
from export.catalogue import count_multiply_adds, count_parameters
from export.checkpoint import WEIGHTS_DIR

ROOT = Path(__file__).parent.parent
RECORD, PLOT = Path(__file__).with_suffix(".json"), ROOT / "docs" / "pareto.png"
RUNS = Path("runs")

MOST_PARAMETERS = 25_400
"""With BatchNorm; folded, as shipped, at most 25,000."""

VALIDATED_PAIRS = 50_000
"""At the end of a run: 5,000 images with all ten numbers; after an epoch it is one number each."""

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
)
"""Layouts to time: early stride, 3×3 to 7×7 stems, 16 and 32 channels (full vectors) and others,
depthwise blocks, residual ones, averaged heads, wide then narrow."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__)


@app.command()
def time(
    calls: Annotated[int, typer.Option(min=20, help="Calls of each.")] = 4000,
) -> None:
    """Time all candidates and the registered networks, and record it."""
    adders = registered()
    found: dict[str, dict[str, float]] = {}
    for line in CANDIDATES:
        kind = layout(line)
        adders[line] = load_untrained(kind(), line)
        found[line] = {
            "parameters": count_parameters(kind()),
            "multiply_adds": count_multiply_adds(kind()),
        }
    timed = time_adders(adders, calls)
    for name, row in timed.items():
        found.setdefault(name, {}).update({key: round(value, 3) for key, value in row.items()})
    _update(timed={"machine": fingerprint(), "calls": calls, "networks": found})
    rows = [
        (name, *(f"{row.get(key, 0):,}" for key in ("parameters", "multiply_adds", "p50", "ratio")))
        for name, row in sorted(found.items(), key=lambda item: float(item[1]["ratio"]))
    ]
    print(table(("layout", "parameters", "multiply-adds", "p50, µs", "× floor"), rows))


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
    networks.NETWORKS[line] = layout(line)
    changes = {
        key: json.loads(value)
        for key, _, value in (setting.partition("=") for setting in settings or [])
    }
    config = train.TrainConfig(**{**networks.NETWORKS["edge"].recipe, **changes}, network=line)
    name = hashlib.sha256(json.dumps(config.recipe(), sort_keys=True).encode()).hexdigest()[:12]
    config = train.TrainConfig(**config.recipe(), data_dir=data_dir, out=runs / f"pareto-{name}")
    resume = (config.out / train.RESUME_FILE).exists()
    result = train.train(config, resume=resume, test=False)
    print(f"{line} {changes}: validation {result.validation}")


@app.command()
def draw(
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = RUNS,
) -> None:
    """Collect the runs into the record, draw the front and print all trainings."""
    trained = _read().get("trained", {})
    for path in sorted(runs.glob("pareto-*/checkpoint.json")):
        made = json.loads(path.read_text())
        found = made["metrics"]["validation"]
        if found["pairs"] == VALIDATED_PAIRS:  # else it is not over
            trained[path.parent.name] = {"recipe": made["config"], "validation": found}
    _update(trained=trained)
    write_atomically(PLOT, plot(_read()))
    rows = [
        (
            f"`{row['recipe']['network']}`",
            ", ".join(f"{key} {value}" for key, value in _changes(row["recipe"]).items()),
            f"{row['validation']['digit']:.2%}",
        )
        for row in sorted(trained.values(), key=lambda row: -row["validation"]["digit"])
    ]
    print(table(("layout", "settings", "validation"), rows))


def plot(record: dict[str, Any]) -> bytes:
    """Validation error against latency: trained candidates, sources, and the untrained as ticks."""
    timed = record["timed"]["networks"]
    best: dict[str, float] = {}
    for row in record["trained"].values():
        line = row["recipe"]["network"]
        best[line] = max(best.get(line, 0), row["validation"]["digit"])
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for line, digit in best.items():
        if line in timed:
            x, y = timed[line]["ratio"], 100 * (1 - digit)
            axes.plot(x, y, "o", color="tab:blue", markersize=4)
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
    waiting = [row["ratio"] for line, row in timed.items() if line not in best]
    axes.plot(
        waiting,
        [0] * len(waiting),
        "|",
        color="tab:grey",
        label="timed, not trained",
        transform=axes.get_xaxis_transform(),
    )
    axes.plot([], [], "o", color="tab:blue", markersize=4, label="candidate, best run")
    axes.plot([], [], "s", color="tab:orange", label="source network")
    axes.plot([], [], "s", color="tab:red", label="edge")
    axes.axvline(3, color="tab:grey", linestyle=":")
    axes.set(
        xscale="log",
        xlabel="p50 of raw session.run, × identity graph",
        ylabel="wrong digits, % of the validation images",
        title="Every network that was tried",
    )
    axes.set_xticks([2, 3, 4, 6, 10, 30, 100, 300], ["2", "3", "4", "6", "10", "30", "100", "300"])
    axes.grid(alpha=0.3)
    axes.legend()
    return png(figure)


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
