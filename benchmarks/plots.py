"""Pictures of the suite's results, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edge_adder.bench.report import CALLS
from edge_adder.bench.timing import Times
from export.catalogue import NetworkFacts, catalogue
from export.networks import DEFAULT

_STAGES = {
    "predict_array": ("session_run", "result"),
    "predict_png": ("decode", "prepare", "session_run", "result"),
}
NAMES = ("latency.png", "throughput.png", "stages.png", "peers.png", "networks.png")
"""The files that `suite` makes."""

_SHOWN = ("identity", "session_run", "edge_adder_run", "predict_array", "predict_png")


def suite(results: dict[str, Any], times: Mapping[str, Times]) -> dict[str, bytes]:
    """All pictures by file name.

    Args:
        results: As `benchmarks.suite.run_suite` returns them.
        times: Every measured latency by kind of call.
    """
    return {
        "latency.png": latency(times),
        "throughput.png": throughput(results["bench"]["throughput"]),
        "stages.png": stages(results["bench"]["latency"]["calls"]),
        "peers.png": peers(results["peers"]),
        "networks.png": networks(
            catalogue(), {name: row["p50"] for name, row in results["networks"].items()}
        ),
    }


def latency(times: Mapping[str, Times]) -> bytes:
    """How many calls take longer than a time, for each kind of call."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in _SHOWN:
        ordered = np.sort(times[name].counted) / 1000
        beyond = 1 - np.arange(len(ordered)) / len(ordered)
        axes.step(ordered, 100 * beyond, where="post", label=CALLS[name])
    for percentile in (50, 90, 99, 99.9):
        axes.axhline(100 - percentile, color="tab:grey", linewidth=0.6, linestyle=":")
        axes.text(
            1,
            100 - percentile,
            f" p{percentile:g}",
            transform=axes.get_yaxis_transform(),
            va="center",
            color="tab:grey",
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="µs",
        ylabel="% of the calls that take longer",
        title="Latency of one image, every call",
    )
    axes.legend()
    axes.grid(alpha=0.3)
    return png(figure)


def throughput(found: dict[str, Any]) -> bytes:
    """Images in a second over batch sizes, a line for each number of threads."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for count in sorted({pair["threads"] for pair in found["pairs"]}):
        line = [
            (p["batch"], p["images_per_second"]) for p in found["pairs"] if p["threads"] == count
        ]
        label = f"{count} thread{'s' * (count > 1)}"
        axes.plot(*zip(*sorted(line), strict=True), marker="o", label=label)
    default = found["default"]["images_per_second"]
    axes.axhline(default, color="tab:red", linestyle="--", label="predict_many as it is")
    axes.set(
        xlabel="batch",
        ylabel="images a second",
        title="Throughput of EdgeAdder.run",
        ylim=(0, None),
    )
    axes.set_xscale("log", base=2)
    axes.legend()
    axes.grid(alpha=0.3)
    return png(figure)


def stages(calls: dict[str, Any]) -> bytes:
    """The stages of a prediction, stacked, beside the whole."""
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axes = figure.subplots()
    colours = {
        "decode": "tab:orange",
        "prepare": "tab:green",
        "session_run": "tab:blue",
        "result": "tab:purple",
    }
    for row, (whole, parts) in enumerate(_STAGES.items()):
        left = 0.0
        for part in parts:
            width = calls[part]["p50"]
            axes.barh(
                row,
                width,
                left=left,
                color=colours[part],
                label=CALLS[part] if len(parts) == len(colours) else None,
            )
            left += width
        rest = max(0.0, calls[whole]["p50"] - left)
        axes.barh(row, rest, left=left, color="lightgrey", label="the rest" if row else None)
        axes.text(calls[whole]["p50"], row, f" {calls[whole]['p50']:.0f} µs", va="center")
    axes.set_yticks(range(len(_STAGES)), [CALLS[whole] for whole in _STAGES])
    axes.set(xlabel="µs, p50", title="Where the time of a prediction goes")
    axes.margins(x=0.12)
    axes.legend(loc="lower right", fontsize=8)
    return png(figure)


def peers(found: dict[str, Any]) -> bytes:
    """The p50 of each peer, a panel for each batch size."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, (size, rows) in zip(
        figure.subplots(1, len(found["batches"]), sharey=True),
        found["batches"].items(),
        strict=True,
    ):
        names = list(rows)[::-1]
        values = [rows[name]["p50"] for name in names]
        colours = ["tab:red" if name == "edge-adder" else "tab:blue" for name in names]
        axes.barh(names, values, color=colours)
        for index, value in enumerate(values):
            axes.text(value, index, f" {value:,.0f}", va="center", fontsize=8)
        axes.set(xlabel="µs, p50", title=f"batch {size}")
        axes.margins(x=0.25)
    return png(figure)


def networks(facts: list[NetworkFacts], p50: Mapping[str, float]) -> bytes:
    """Test error against latency: a dot for the digit, a ring for the sum.

    Args:
        facts: Of the networks to show.
        p50: Microseconds by network; ``identity`` is the floor.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    for each in facts:
        x = p50[each.name]
        digit, total = (100 * (1 - (value or 0)) for value in (each.digit, each.sum))
        colour = "tab:red" if each.name == DEFAULT else "tab:blue"
        axes.plot([x, x], [digit, total], color=colour, linewidth=1, alpha=0.5)
        axes.plot(x, total, "o", color=colour, markersize=9, fillstyle="none")
        axes.plot(x, digit, "o", color=colour, markersize=5)
        axes.annotate(
            each.name, (x, max(digit, total)), (0, 9), textcoords="offset points", ha="center"
        )
    axes.axvline(p50["identity"], color="tab:grey", linestyle=":", label="identity graph")
    axes.plot([], [], "o", color="tab:grey", markersize=5, label="digit")
    axes.plot([], [], "o", color="tab:grey", markersize=9, fillstyle="none", label="sum")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="p50 of one image, one thread, µs",
        ylabel="wrong answers, % of 100,000 test pairs",
        title="Error against latency: lower left is better",
    )
    ticks = [0.3, 0.5, 1, 2, 3, 5, 10, 20]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.margins(0.12)
    axes.legend()
    return png(figure)


def png(figure: Figure) -> bytes:
    """A figure as a PNG file's content, the same for the same figure."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
