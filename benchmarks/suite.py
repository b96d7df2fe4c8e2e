"""Everything that is measured, in one folder: python -m benchmarks, or edge-adder bench --suite."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import files, graph, parity_matrix, peers, plots, scenarios, startup
from benchmarks.report import readme_block, render, renew_block
from benchmarks.search import time as untrained
from edge_adder import EdgeAdder
from edge_adder.bench.run import FULL, QUICK, bench
from edge_adder.bench.timing import Times
from edge_adder.contract import IMAGE
from edge_adder.errors import InputError
from edge_adder.evaluation.datasets import cached_mnist, find_data_dir
from edge_adder.files import make_folder, write_atomically
from edge_adder.parity import bundled_vectors
from export import checkpoint as checkpoints
from export.data import load_mnist

RESULTS_MD = Path(__file__).parent / "RESULTS.md"
"""The committed report; its pictures and results lie in ``results`` beside it."""

VERSIONS = ("torch", "onnx", "onnxruntime", "openvino", "mlcommons-loadgen", "numpy", "pillow")

README = Path(__file__).parent.parent / "README.md"


def run_suite(
    out: Path,
    *,
    quick: bool = False,
    data_dir: Path | None = None,
    progress: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Measure the bundled model in every way and write results, report and plots.

    Args:
        out: A folder; gets ``results.json``, ``report.md`` and the plots.
        quick: Fewer calls everywhere, a part of the test images.
        data_dir: Folder with ``MNIST/raw``; where neither it nor `EDGE_ADDER_DATA` nor the cache
            has it, the parity matrix runs on the stored drawn digits.
        progress: Is called with a line for each part.

    Returns:
        What stands in ``results.json``, which is written after each part: ``date``, ``versions``,
        ``seconds`` that each part took, ``images``, what they are; ``bench`` as docs/bench.md
        describes it; ``networks`` as `benchmarks.search.time.time_adders` returns it; ``files``,
        ``startup``, ``peers``, ``graph``, ``scenarios`` and ``parity_matrix`` as the modules of
        these names return them; ``passed``, whether parity holds everywhere.

    Raises:
        InputError: The bundled model is not that of the committed checkpoint.
        FileAccessError: `out` cannot be written.
    """
    make_folder(out)
    adder = EdgeAdder()
    loaded = checkpoints.load(checkpoints.committed(adder.provenance["network"]))
    if loaded.sha256 != adder.provenance["weights_sha256"]:
        raise InputError("the bundled model is not of the committed checkpoint: export it again")
    network = loaded.build()
    images, what = _images(data_dir)
    times: dict[str, Times] = {}
    config = QUICK if quick else FULL
    some = images[:: max(1, len(images) // 20)] if quick else images
    parts: dict[str, Callable[[], Any]] = {
        "bench": lambda: bench(adder, config=config, on_times=times.update).to_dict(),
        "files": lambda: files.measure(adder, images, 500 if quick else 10_000, 3 if quick else 5),
        "startup": lambda: startup.measure(3 if quick else 20),
        "peers": lambda: peers.compare_peers(adder, network, 300 if quick else 10_000),
        "networks": lambda: untrained.time_adders(untrained.registered(), 200 if quick else 3_000),
        "graph": lambda: graph.measure(adder, network, 300 if quick else 3_000),
        "scenarios": lambda: scenarios.run_scenarios(adder, 0.3 if quick else 5.0),
        "parity_matrix": lambda: parity_matrix.run_matrix(
            adder.model_bytes, network, some, out / "parity", progress=progress
        ),
    }
    results: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "images": what,
        "versions": {name: _version(name) for name in VERSIONS},
        "seconds": {},
    }
    for name, measure in parts.items():
        progress(name.replace("_", " "))
        began = time.monotonic()
        results[name] = measure()
        results["seconds"][name] = round(time.monotonic() - began)
        write_atomically(out / "results.json", (json.dumps(results, indent=2) + "\n").encode())
    device_passed = results["bench"]["parity"]["passed"]
    results["passed"] = device_passed and parity_matrix.passed(results["parity_matrix"])
    write_atomically(out / "results.json", (json.dumps(results, indent=2) + "\n").encode())
    for name, picture in plots.suite(results, times).items():
        write_atomically(out / name, picture)
    write_atomically(out / "report.md", render(results).encode())
    return results


def publish(out: Path) -> None:
    """Make the report in `out` the committed one, and the README's bounds its own."""
    folder = RESULTS_MD.with_name("results")
    make_folder(folder)
    for name in (*plots.NAMES, "results.json"):
        write_atomically(folder / name, (out / name).read_bytes())
    results = json.loads((out / "results.json").read_text())
    write_atomically(RESULTS_MD, render(results, pictures="results/").encode())
    renew_block(README, "bounds", readme_block(results))


def _version(name: str) -> str | None:
    with contextlib.suppress(PackageNotFoundError):
        return version(name)
    return None


def _images(data_dir: Path | None) -> tuple[NDArray[np.uint8], str]:
    """What files and parity matrix run on, and what it is."""
    folder = find_data_dir(data_dir) or cached_mnist()
    if folder is not None:
        return load_mnist(folder, train=False).images.numpy(), "test images"
    return bundled_vectors()[IMAGE.name], "drawn digits"
