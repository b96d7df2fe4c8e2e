"""Plots of the benchmarks, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import LogLocator

from edge_adder.bench.report import CALLS
from edge_adder.bench.timing import PERCENTILES
from edge_adder.evaluation.metrics import Coverage
from export.catalogue import NetworkFacts
from export.networks import DEFAULT
from export.plot_style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    RED,
    plot,
    png,
    use_plain_numbers,
)

SUITE = ("latency.png", "stages.png", "throughput.png", "peers.png")
"""Files that `suite` draws."""

_STAGES = {
    "predict_array": ("session_run", "result"),
    "predict_png": ("decode", "prepare", "session_run", "result"),
}
_STAGE_COLOURS = {"decode": ORANGE, "prepare": GREEN, "session_run": BLUE, "result": PURPLE}

_LATENCIES = ("predict_png", "predict_array", "edge_adder_run", "session_run", "identity")
_MARKERS = {"p50": "o", "p90": "s", "p99": "D", "p99.9": "^", "max": "|"}


def suite(results: dict[str, Any]) -> dict[str, bytes]:
    """Return the plots of a suite by file name.

    Args:
        results: What `benchmarks.suite.run_suite` returned.
    """
    bench = results["bench"]
    plots = (
        latency(bench["latency"]["calls"]),
        stages(bench["latency"]["calls"]),
        throughput(bench["throughput"]),
        peers(results["peers"]["batches"]),
    )
    return dict(zip(SUITE, plots, strict=True))


def latency(calls: dict[str, Any]) -> bytes:
    """Draw the percentiles of the main kinds of call.

    Args:
        calls: Figures by kind of call, in microseconds, as docs/bench.md describes them.
    """
    with plot(8, 3.4) as (figure, (axes,)):
        for row, call in enumerate(_LATENCIES):
            figures = {name: calls[call][name] for name in (*PERCENTILES, "max")}
            measured = {name: value for name, value in figures.items() if value is not None}
            colour = GREY if call == "identity" else BLUE
            axes.plot([measured["p50"], measured["max"]], [row, row], color=colour, alpha=0.4)
            for name, value in measured.items():
                axes.plot(value, row, _MARKERS[name], color=colour, markersize=6)
        for name, marker in _MARKERS.items():
            axes.plot([], [], marker, color=BLUE, markersize=6, label=name)
        axes.set_yticks(range(len(_LATENCIES)), [CALLS[call] for call in _LATENCIES])
        count = calls[_LATENCIES[0]]["count"]
        axes.set(xscale="log", xlabel="µs", title=f"Latency of one image, {count:,} calls of each")
        axes.margins(y=0.12)
        use_plain_numbers(axes.xaxis)
        figure.legend(loc="outside lower center", ncols=len(_MARKERS))
        return png(figure)


def stages(calls: dict[str, Any]) -> bytes:
    """Draw the stages of a prediction as a stack, for an array and for a PNG file.

    Args:
        calls: As in `latency`.
    """
    with plot(8, 2.6) as (figure, (axes,)):
        for row, (whole, parts) in enumerate(_STAGES.items()):
            left, total = 0.0, calls[whole]["p50"]
            for part in parts:
                width = calls[part]["p50"]
                label = CALLS[part] if len(parts) == len(_STAGE_COLOURS) else None
                axes.barh(row, width, left=left, color=_STAGE_COLOURS[part], label=label)
                left += width
            label = "everything else" if row else None
            axes.barh(row, max(0.0, total - left), left=left, color=LIGHT_GREY, label=label)
            axes.text(total, row, f" {total:.0f} µs", va="center")
        axes.set_yticks(range(len(_STAGES)), [CALLS[whole] for whole in _STAGES])
        axes.set(xlabel="µs, median", title="Stages of a prediction")
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside lower center", ncols=5)
        return png(figure)


def throughput(found: dict[str, Any]) -> bytes:
    """Draw images per second over the batch size, a line for each number of threads.

    Args:
        found: ``pairs`` and ``default`` as docs/bench.md describes them.
    """
    with plot(8, 4.5) as (figure, (axes,)):
        for threads in sorted({pair["threads"] for pair in found["pairs"]}):
            line = sorted(
                (pair["batch"], pair["images_per_second"])
                for pair in found["pairs"]
                if pair["threads"] == threads
            )
            label = f"{threads} thread{'s' * (threads > 1)}"
            axes.plot(*zip(*line, strict=True), marker="o", label=label)
        default = found["default"]["images_per_second"]
        axes.axhline(default, color=RED, linestyle="--", label="predict_many without options")
        axes.set(title="Throughput of EdgeAdder.run", xlabel="batch", ylabel="images per second")
        axes.set_xscale("log", base=2)
        sizes = sorted({pair["batch"] for pair in found["pairs"]})
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_ylim(0)
        use_plain_numbers(axes.yaxis)
        axes.legend()
        return png(figure)


def peers(batches: dict[str, Any]) -> bytes:
    """Draw the median time of each peer, side by side for each batch size, the fastest first.

    Args:
        batches: Figures by batch size and peer, as `benchmarks.peers.compare_peers` returns them.
    """
    first = next(iter(batches.values()))
    names = sorted(first, key=lambda name: first[name]["p50"], reverse=True)  # upwards
    with plot(8, 1.2 + 0.26 * len(names), len(batches), share_y=True) as (figure, columns):
        for axes, (size, rows) in zip(columns, batches.items(), strict=True):
            for row, name in enumerate(names):
                if name in rows:
                    value = rows[name]["p50"]
                    axes.plot(value, row, "o", color=RED if name == "edge-adder" else BLUE)
                    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
                    axes.annotate(
                        text, (value, row), (7, 0), textcoords="offset points", va="center"
                    )
            axes.set(xscale="log", xlabel="µs, median", title=f"batch {size}")
            axes.set_yticks(range(len(names)), names)
            axes.margins(x=0.3)
            use_plain_numbers(axes.xaxis)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))  # room for 10,000
        return png(figure)


def networks(facts: Sequence[NetworkFacts], p50: Mapping[str, float]) -> bytes:
    """Draw test error against latency: a dot for the digit, a ring for the sum.

    Args:
        facts: The networks to show.
        p50: Median latency in microseconds by network; ``identity`` is the identity graph's.
    """
    with plot(8, 4.8) as (figure, (axes,)):
        for each in facts:
            x = p50[each.name]
            digit, total = (100 * (1 - (value or 0)) for value in (each.digit, each.sum))
            colour = RED if each.name == DEFAULT else BLUE
            axes.plot([x, x], [digit, total], color=colour, linewidth=1, alpha=0.5)
            axes.plot(x, total, "o", color=colour, markersize=9, fillstyle="none")
            axes.plot(x, digit, "o", color=colour, markersize=5)
            to_left = each.name == DEFAULT  # others are on its right
            axes.annotate(
                each.name,
                (x, total),
                (-8 if to_left else 8, 0),
                textcoords="offset points",
                ha="right" if to_left else "left",
                va="center_baseline",
            )
        axes.axvline(p50["identity"], color=GREY, linestyle=":", label="identity graph")
        axes.plot([], [], "o", color=GREY, markersize=5, label="digit")
        axes.plot([], [], "o", color=GREY, markersize=9, fillstyle="none", label="sum")
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="median latency of one image on one thread, µs",
            ylabel="wrong answers, % of 100,000 test pairs",
            title="Error against latency (lower left is better)",
        )
        axes.margins(0.12)
        axes.set_xlim(right=3 * max(p50.values()))  # room for the last label
        use_plain_numbers(axes.xaxis)
        use_plain_numbers(axes.yaxis)
        axes.legend()
        return png(figure)


def coverage(points: Sequence[Coverage]) -> bytes:
    """Draw the accuracy of the answers against how many are left at each minimum probability."""
    kept = [each for each in points if each.correct is not None]
    with plot(7, 4) as (figure, (axes,)):
        answered = [100 * each.answered for each in kept]
        correct = [100 * (each.correct or 0) for each in kept]
        axes.plot(answered, correct, marker="o")
        for x, y, each in zip(answered, correct, kept, strict=True):
            axes.annotate(f"{each.min_probability:g}", (x, y), (6, 3), textcoords="offset points")
        axes.set(
            xlabel="answered, % of the test pairs",
            ylabel="correct, % of the answered pairs",
            title="Answers at each --min-probability",
        )
        axes.margins(0.1)
        return png(figure)
