"""The suite's results as Markdown."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bounds import bounds
from edge_adder.bench.report import report as device_report
from edge_adder.errors import InputError
from edge_adder.files import write_atomically
from export.verify import BOUND


def render(results: dict[str, Any], *, pictures: str = "") -> str:
    """The report.

    Args:
        results: As `benchmarks.suite.run_suite` returns them.
        pictures: Where the plots lie, seen from the report: empty, or a folder and a slash.
    """
    parts = [
        "# What edge-adder measures of itself",
        f"Made by `python -m benchmarks` on {results['date']}; nothing here is written by hand. "
        "Ratios are of one run; absolute figures are of the machine that `edge-adder bench` names "
        "below.",
        "## Bounds",
        bounds_table(results),
        "## On the device: `edge-adder bench`",
        f"```\n{device_report(results['bench'])}\n```",
        f"![Latency of every call]({pictures}latency.png)",
        f"![Stages of a prediction]({pictures}stages.png)",
        f"![Throughput over batch and threads]({pictures}throughput.png)",
        "## Files and processes",
        *_files_and_processes(results),
        "## Peers",
        *_peers(results["peers"]),
        f"![p50 of each peer]({pictures}peers.png)",
        "## All networks",
        *_networks(results["networks"]),
        f"![Error against latency]({pictures}networks.png)",
        "## The graph",
        *graph_paragraphs(results["graph"]),
        "## MLPerf-style scenarios",
        *_scenarios(results["scenarios"]),
        "## Parity matrix",
        *_parity_matrix(
            results["parity_matrix"], results["images"], results["seconds"]["parity_matrix"]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def bounds_table(results: dict[str, Any]) -> str:
    """Every bound with its verdict."""
    rows = [
        (b.what, "" if b.ratio is None else f"{b.ratio:.2f}", f"{b.sign} {b.limit:g}", b.verdict)
        for b in bounds(results)
    ]
    return table(("ratio", "measured", "bound", "verdict"), rows)


def readme_block(results: dict[str, Any]) -> str:
    """What the README says of a suite: the bounds, and a few absolute figures with the machine."""
    found = results["bench"]
    calls, cold, machine = found["latency"]["calls"], found["cold_start"], found["environment"]
    versions = ", ".join(f"{name} {of}" for name, of in machine["packages"].items())
    absolute = (
        f"In the same run, batch 1, {plural(found['threads'], 'thread')}: `predict` takes "
        f"{calls['predict_array']['p50']:.0f} µs for an array and "
        f"{calls['predict_png']['p50']:.0f} µs for a PNG file's bytes, a new process "
        f"{cold['process']:.0f} ms until its first answer is printed, with "
        f"{cold['peak_memory_bytes'] / 1e6:.0f} MB of memory; `predict_many` reads "
        f"{found['throughput']['default']['images_per_second']:,.0f} arrays a second. "
        f"{machine['cpu']}, {plural(machine['cores'], 'shared core')}, {machine['system']}, "
        f"{machine['python']}, {versions}."
    )
    return f"{bounds_table(results)}\n\n{textwrap.fill(absolute, 102)}"


def plural(count: int, noun: str) -> str:
    """Such as ``1 thread`` and ``2 threads``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def renew_block(document: Path, name: str, content: str) -> None:
    """Replace what a document has between ``<!-- NAME: … -->`` and ``<!-- /NAME -->``."""
    block = re.compile(f"(<!-- {name}: [^>]*-->\n).*(\n<!-- /{name} -->)", re.DOTALL)
    renewed, count = block.subn(lambda m: m[1] + content + m[2], document.read_text())
    if count != 1:
        raise InputError(f"{document} has {count} blocks {name!r}, expected one")
    write_atomically(document, renewed.encode())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def percent(fraction: float | None, digits: int = 2) -> str:
    """A fraction as ``99.57 %``; nothing for None.

    Args:
        fraction: 0 to 1.
        digits: After the point.
    """
    return "" if fraction is None else f"{100 * fraction:.{digits}f} %"


def spread(fractions: Sequence[float]) -> str:
    """Mean and standard deviation as ``99.57 % ± 0.031 %``; of one the first, of none nothing."""
    if len(fractions) < 2:
        return "".join(percent(each) for each in fractions)
    return f"{percent(statistics.mean(fractions))} ± {percent(statistics.stdev(fractions), 3)}"


def graph_paragraphs(found: dict[str, Any]) -> list[str]:
    """What `benchmarks.graph.measure` found."""
    whole, floor, adds = found["p50_us"], found["floor_us"], found["multiply_adds"]
    rows = [("floor", "an identity graph", "", percent(floor / whole, 1))]
    for row in found["operators"]:
        cells = row["operator"], f"`{row['node']}`", f"{row['us']:.1f}", percent(row["share"], 1)
        rows.append(cells)
    peak, side = found["peak_per_second"], found["peak_side"]
    return [
        f"p50 of raw `session.run`, batch 1, one thread: {whole:.1f} µs, {found['ratio']:.2f} "
        "times the identity graph. The times are from onnxruntime's own profile, without the "
        "slowest tenth. Its profiler and the dispatch add to them; the shares rest on the "
        "assumption that this is the same for each operator, as much as the cheapest takes, "
        f"{found['added_us']:.1f} µs. What is above that is scaled to what the floor leaves of the "
        "p50.",
        table(("operator", "node", "profile, µs", "share of the p50"), rows),
        f"{adds:,} multiply-adds, {found['weights_bytes']:,} bytes of weights and tables. That is "
        f"{adds / whole / 1e3:.1f} thousand million multiply-adds a second, "
        f"{percent(adds / (whole / 1e6) / peak, 0)} of the {peak / 1e9:.1f} that a product of "
        f"{side}×{side} matrices reaches on the same thread; without the floor "
        f"{percent(adds / ((whole - floor) / 1e6) / peak, 0)}.",
    ]


def _files_and_processes(results: dict[str, Any]) -> list[str]:
    files, startup = results["files"], results["startup"]
    return [
        f"{files['files']:,} PNG files of 28×28: Pillow alone decodes "
        f"{files['decoded_per_second']:,.0f} a second on {files['threads']} threads and "
        f"{files['decoded_on_one_per_second']:,.0f} on one, since it takes the interpreter's lock "
        f"for most of its time; `predict_many` decodes such files on one thread and answers "
        f"{files['predicted_per_second']:,.0f}, {files['ratio_on_one']:.2f} of the latter.",
        f"`edge-adder predict`, from start to end: {startup['predict_ms']:.0f} ms; a bare script "
        f"of ten lines with the same imports {startup['bare_ms']:.0f} ms (medians of "
        f"{startup['runs']}, in turn).",
    ]


def _peers(peers: dict[str, Any]) -> list[str]:
    sizes = list(peers["batches"])
    names = list(peers["batches"][sizes[0]])
    rows = []
    for name in names:
        cells = []
        for size in sizes:
            row = peers["batches"][size].get(name)
            cells += ["", ""] if row is None else [f"{row['p50']:,.1f}", f"{row['ratio']:.2f}"]
        rows.append((name, *cells))
    head = ["peer"]
    for size in sizes:
        head += [f"batch {size}, p50 in µs", "/ edge-adder"]
    absent = [f"Absent: {name} ({reason})." for name, reason in peers["absent"].items()]
    return [
        f"All on {peers['threads']} thread, in turn, on the same images; each gives the same "
        "answers. PyTorch runs the checkpoint, all others the exported file.",
        table(head, rows),
        *absent,
    ]


def _networks(timed: dict[str, dict[str, float]]) -> list[str]:
    floor = timed["identity"]["p50"]
    rows = [
        (f"`{name}`", f"{row['p50']:,.1f}", f"{row['ratio']:,.2f}")
        for name, row in timed.items()
        if name != "identity"
    ]
    return [
        f"Raw `session.run`, batch 1, one thread, in turn; floor: {floor:.1f} µs, the same of an "
        "identity graph. Weights are fresh, since time depends on shapes alone; the accuracies in "
        "the picture are those of the committed records.",
        table(("network", "p50 in µs", "× floor"), rows),
    ]


def _scenarios(scenarios: dict[str, Any] | None) -> list[str]:
    if scenarios is None:
        return ["LoadGen is not installed."]
    single, multi, server, offline = (
        scenarios[name] for name in ("SingleStream", "MultiStream", "Server", "Offline")
    )
    valid = {True: "valid", False: "invalid"}
    rows = [
        (
            "SingleStream",
            f"p90 {single['early_stopping_p90_us']:,.1f} µs, with early stopping",
            valid[single["valid"]],
        ),
        (
            f"MultiStream, {multi['samples']} samples",
            f"p99 {multi['early_stopping_p99_us']:,.1f} µs, with early stopping",
            valid[multi["valid"]],
        ),
        (
            f"Server, p99 under {server['bound_ms']:g} ms",
            f"{server['samples_per_second']:,.0f} samples a second",
            valid[server["valid"]],
        ),
        (
            f"Offline, batches of {offline['batch']}",
            f"{offline['samples_per_second']:,.0f} samples a second",
            valid[offline["valid"]],
        ),
    ]
    return [
        "Driven by MLCommons' LoadGen, which keeps the clock and judges validity; model and data "
        "are ours, so these are no MLPerf results. One thread.",
        table(("scenario", "figure", "LoadGen's verdict"), rows),
    ]


def _parity_matrix(rows: list[dict[str, Any]], images: str, seconds: int) -> list[str]:
    head: tuple[str, ...] = ("provider", "optimisation", "batch", "threads", "pairs")
    head += ("digit: largest, p99.9", "changed", "sum: largest, p99.9", "changed")
    cells = []
    for row in rows:
        line = [row["provider"], row["level"], str(row["batch"]), str(row["threads"])]
        line.append(f"{row['pairs']:,}")
        for name in ("digit", "sum"):
            found = row[name]
            margins = "".join(f", margin {margin:.1e}" for margin in found["margins"][:1])
            pair = found["largest_difference"], found["p99.9_difference"]
            line.append("not finite" if None in pair else "{:.1e}, {:.1e}".format(*pair))
            line.append(f"{found['changed_answers']}{margins}")
        cells.append(line)
    answers = sum(2 * row["pairs"] for row in rows)
    return [
        f"{answers:,} answers in {seconds} s. Differences from PyTorch in nats, bound {BOUND:g}; "
        f"{images} with all ten numbers. `onnx.reference` is ONNX's own evaluator, on a sample.",
        table(head, cells),
    ]
