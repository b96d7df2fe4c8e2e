"""All six networks side by side: python -m benchmarks.networks.

Each is exported through the gate, and all are timed interleaved in one run. The figures go into
``export/weights/networks.json``, the plot into ``docs/networks.png`` and the tables into the block
of ``docs/networks.md``. Accuracies on MNIST are those that each training measured; those on writers
that nothing was trained on are measured here.

A network without a checkpoint, committed or in the folder of the runs, is timed with untrained
weights, since latency depends on shapes alone; its other figures stay as they were recorded.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import plots
from benchmarks.markdown import replace_block, table
from benchmarks.robustness import writers
from benchmarks.search.time import load_untrained, time_adders
from edge_adder import EdgeAdder
from edge_adder.environment import fingerprint
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from export import catalogue, networks, to_onnx
from export import checkpoint as checkpoints
from export.catalogue import NetworkFacts
from export.checkpoint import WEIGHTS_DIR
from export.handwriting.sets import NUMBERS, PENDIGITS
from export.train import CHECKPOINT_FILE

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT, PLOT = DOCS / "networks.md", DOCS / "networks.png"
MEASURED = WEIGHTS_DIR / catalogue.MEASURED_FILE

WRITERS = (NUMBERS.name, PENDIGITS.name)
"""Sets of writers in the table, in the order of `HEAD`."""

HEAD = (
    *("network", "parameters", "multiply-adds", "file", "digit", "sum"),
    *("Swiss writers", "Turkish writers", "epochs"),
    *("p50", "× floor", "largest difference", "changed"),
)


def main(
    calls: Annotated[int, typer.Option(min=20, help="Counted calls of each network.")] = 4000,
    runs: Annotated[
        Path, typer.Option(help="Folder of the runs of networks without a committed checkpoint.")
    ] = Path("runs"),
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
    draw_only: Annotated[
        bool, typer.Option("--draw-only", help="Tables and plot from the recorded figures.")
    ] = False,
) -> None:
    """Measure and record the networks; update tables and plot."""
    if not draw_only:
        measured = measure_networks(calls, runs, data_dir)
        write_atomically(MEASURED, (json.dumps(measured, indent=2) + "\n").encode())
    measured = json.loads(MEASURED.read_text())
    facts = catalogue.catalogue()
    p50 = {name: row["p50_us"] for name, row in measured["networks"].items()}
    write_atomically(PLOT, plots.networks(facts, p50 | {"identity": measured["floor_us"]}))
    tables = render(facts, measured)
    replace_block(DOCUMENT, "networks", tables)
    print(tables)


def measure_networks(calls: int, runs: Path, data_dir: Path | None) -> dict[str, Any]:
    """Export every network and time one image at a time on one thread.

    Args:
        calls: Counted calls of each network.
        runs: Folder with ``NETWORK/checkpoint.safetensors`` of networks that are not committed.
        data_dir: Folder with MNIST, for the gate.

    Returns:
        The content of ``networks.json``: the machine, ``calls``, the p50 of an identity graph in
        microseconds, and for each network its weights' SHA-256, its file's size in bytes, what the
        gate measured, its p50 in microseconds and that as a multiple of the identity graph's.
    """
    found: dict[str, dict[str, Any]] = {}
    adders = {}
    written = list(writers.read_digits())
    with tempfile.TemporaryDirectory() as folder:
        for name in networks.NETWORKS:
            committed = WEIGHTS_DIR / f"{name}.safetensors"
            own_run = runs / name / CHECKPOINT_FILE
            path = committed if committed.is_file() else own_run
            if not path.is_file():
                adders[name] = load_untrained(networks.create(name), name)
                found[name] = json.loads(MEASURED.read_text())["networks"][name]
                print(f"{name}: no checkpoint, only timed", flush=True)
                continue
            loaded = checkpoints.load(path)
            result = to_onnx.export(loaded, Path(folder) / f"{name}.onnx", data_dir=data_dir)
            adders[name] = EdgeAdder(result.path)
            read = writers.figures(written, writers.answer(adders[name], written))
            found[name] = {
                "weights_sha256": loaded.sha256,
                **gate_figures(result),
                "writers": {row.origin: row.correct for row in read if row.writer == writers.ALL},
            }
            print(f"{name}: passed the gate", flush=True)
    timed = time_adders(adders, calls)
    for name, row in found.items():
        row["p50_us"] = round(timed[name]["p50"], 1)
        row["x_floor"] = round(timed[name]["ratio"], 2)
    return {
        "machine": fingerprint(),
        "calls": calls,
        "floor_us": round(timed["identity"]["p50"], 1),
        "networks": found,
    }


def gate_figures(result: to_onnx.ExportResult) -> dict[str, Any]:
    """Return the file's size and the gate's differences over all images and batch sizes."""
    rows = result.parity
    return {
        "size_bytes": result.size_bytes,
        "largest_difference": max(row.largest_difference for row in rows),
        "changed_answers": sum(row.changed_answers for row in rows),
        "compared_pairs": sum(row.pairs for row in rows if (row.batch, row.output) == (1, "digit")),
    }


def render(facts: list[NetworkFacts], measured: dict[str, Any]) -> str:
    """Return the tables of docs/networks.md.

    Args:
        facts: The networks to show.
        measured: What `measure_networks` returned.
    """
    rows = []
    for each in facts:
        row = measured["networks"][each.name]
        rows.append(
            (
                f"`{each.name}`",
                f"{each.parameters:,}",
                f"{each.multiply_adds / 1e6:.2f} M",
                f"{row['size_bytes'] / 1000:,.0f} kB",
                percent(each.digit),
                percent(each.sum),
                *(percent(row.get("writers", {}).get(name)) or "-" for name in WRITERS),
                str(each.epochs),
                f"{row['p50_us']:,.0f} µs",
                f"{row['x_floor']:,.1f}",
                f"{row['largest_difference']:.1e}",
                str(row["changed_answers"]),
            )
        )
    return "\n\n".join([table(HEAD, rows), _how_it_was_measured(measured), _published_table()])


def _published_table() -> str:
    rows = []
    for name, network in networks.NETWORKS.items():
        if network.published_recipe is not None:
            record = json.loads((WEIGHTS_DIR / f"{name}.published.json").read_text())
            test = record["metrics"]["test"]
            published = network.published_result or (None, None)
            stated = ["not stated" if value is None else percent(value) for value in published]
            command = f"`edge-adder train --network {name} --recipe published`"
            rows.append((command, percent(test["digit"]), percent(test["sum"]), *stated))
    return table(("as published", "digit", "sum", "published digit", "published sum"), rows)


def _how_it_was_measured(measured: dict[str, Any]) -> str:
    machine = measured["machine"]
    pairs = sorted({row["compared_pairs"] for row in measured["networks"].values()})
    return (
        "digit, sum: accuracy over MNIST's 10,000 test images with all ten numbers. Swiss, Turkish "
        "writers: accuracy of the digit on writers that no network was trained on, by "
        "`python -m benchmarks.robustness.writers`. p50: median of "
        f"{measured['calls']:,} calls of raw `session.run`, batch 1, one thread, all networks in "
        "one run. × floor: the ratio to an identity graph, which takes "
        f"{measured['floor_us']} µs, as the median of the ratios of all rounds. Largest difference "
        "from PyTorch in nats, and changed answers: over "
        f"{' or '.join(f'{count:,}' for count in pairs)} pairs, at batches of 1, 2 and 257. "
        f"{machine['cpu']}, {machine['allowed_cores']} shared cores, {machine['python']}, "
        f"onnxruntime {machine['packages']['onnxruntime']}."
    )


if __name__ == "__main__":
    typer.run(main)
