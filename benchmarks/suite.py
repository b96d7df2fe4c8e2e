"""All measurements in one folder: python -m benchmarks, or edge-adder bench --suite."""

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

from benchmarks import files, graph, parity_matrix, plots, scenarios, startup
from benchmarks.bounds import verdicts
from benchmarks.markdown import replace_block
from benchmarks.peers import compare as peers
from benchmarks.report import all_bounds, peers_block, performance_block, render, score_parts
from benchmarks.score import report as score_report
from edge_adder import EdgeAdder
from edge_adder.bench.run import FULL, QUICK, bench
from edge_adder.contract import IMAGE
from edge_adder.errors import InputError
from edge_adder.evaluation.datasets import cached_mnist, find_data_dir
from edge_adder.files import make_folder, write_atomically
from edge_adder.parity import bundled_vectors
from export import checkpoint as checkpoints
from export.data import load_mnist

RESULTS_MD = Path(__file__).parent / "RESULTS.md"
"""The committed report; its plots and results are in ``results`` beside it."""

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
"""The page with the block ``bounds``."""

README = Path(__file__).parent.parent / "README.md"
"""The page with the block ``peers``."""

RESULTS_FILE, REPORT_FILE = "results.json", "report.md"

VERSIONS = ("torch", "onnx", "onnxruntime", "openvino", "mlcommons-loadgen", "numpy", "pillow")

Parts = dict[str, Callable[[], Any]]


def run_suite(
    out: Path,
    *,
    quick: bool = False,
    data_dir: Path | None = None,
    progress: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Measure the bundled model in every way and write results, report and plots.

    Args:
        out: Folder for ``results.json``, ``report.md`` and the plots.
        quick: Make fewer calls, and use a part of the test images.
        data_dir: Folder with ``MNIST/raw``; where neither it nor `EDGE_ADDER_DATA` nor the cache
            has it, the parity matrix runs on the stored synthetic digits.
        progress: Is called with a line for each part.

    Returns:
        The content of ``results.json``, which is written after each part: the run, ``seconds`` of
        each part, ``bench`` as docs/bench.md describes it, the results of the modules with the
        other parts' names, and ``passed``, whether parity holds everywhere.

    Raises:
        InputError: The bundled model was not exported from the committed checkpoint.
        FileAccessError: `out` cannot be written.
    """
    make_folder(out)
    images, description = _load_images(data_dir)
    results = _describe_run(quick, description)
    for name, measure in _parts(images, out / "parity", quick, progress).items():
        progress(name.replace("_", " "))
        began = time.monotonic()
        results[name] = measure()
        results["seconds"][name] = round(time.monotonic() - began)
        _write(out, results)
    parity = results["bench"]["parity"]["passed"]
    results["passed"] = parity and parity_matrix.passed(results["parity_matrix"])
    _write(out, results)
    for name, picture in plots.suite(results).items():
        write_atomically(out / name, picture)
    write_atomically(out / REPORT_FILE, render(results).encode())
    return results


def publish(out: Path) -> None:
    """Copy the results in `out` into the checkout: RESULTS.md, its plots, blocks of other pages.

    What `benchmarks.score` has published stays.
    """
    folder = RESULTS_MD.with_name("results")
    make_folder(folder)
    for name in plots.SUITE:
        write_atomically(folder / name, (out / name).read_bytes())
    results = json.loads((out / RESULTS_FILE).read_text())
    earlier = _published()
    _publish(results | {key: earlier[key] for key in ("score", "bounds") if key in earlier})


def publish_score(score: dict[str, Any]) -> None:
    """Put what `benchmarks.score` measured into the checkout's results.

    Args:
        score: ``date``, ``environment`` and ``parts`` by name, in JSON's types.
    """
    results = _published() | {"score": score}
    picture = score_report.picture(score_parts(results))
    write_atomically(RESULTS_MD.with_name("results") / "score.png", picture)
    _publish(results)


def _published() -> dict[str, Any]:
    """Return the checkout's results; nothing before the first are published."""
    path = RESULTS_MD.with_name("results") / RESULTS_FILE
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _publish(results: dict[str, Any]) -> None:
    """Write results and all that is made of them, with since when each bound is met or missed."""
    date = datetime.now(UTC).date().isoformat()
    results["bounds"] = verdicts(all_bounds(results), results.get("bounds", {}), date)
    _write(RESULTS_MD.with_name("results"), results)
    write_atomically(RESULTS_MD, render(results, pictures="results/").encode())
    replace_block(DOCUMENT, "bounds", performance_block(results))
    replace_block(README, "peers", peers_block(results))


def _parts(
    images: NDArray[np.uint8], shards: Path, quick: bool, progress: Callable[[str], object]
) -> Parts:
    """Return what is measured, by its name in the results.

    Raises:
        InputError: The bundled model was not exported from the committed checkpoint.
    """
    adder = EdgeAdder()
    loaded = checkpoints.load(checkpoints.committed(adder.provenance["network"]))
    if loaded.sha256 != adder.provenance["weights_sha256"]:
        raise InputError("the bundled model is not the committed checkpoint's: export it again")
    network = loaded.build()
    some = images[:: max(1, len(images) // 20)] if quick else images
    return {
        "bench": lambda: bench(adder, config=QUICK if quick else FULL).to_dict(),
        "files": lambda: files.measure(adder, images, 500 if quick else 10_000, 3 if quick else 5),
        "startup": lambda: startup.measure(3 if quick else 20),
        "peers": lambda: peers.compare_peers(adder, network, 300 if quick else 10_000),
        "graph": lambda: graph.measure(adder, network, 300 if quick else 3_000),
        "scenarios": lambda: scenarios.run_scenarios(adder, 0.3 if quick else 5.0),
        "parity_matrix": lambda: parity_matrix.run_matrix(
            adder.model_bytes, network, some, shards, progress=progress
        ),
    }


def _describe_run(quick: bool, images: str) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "images": images,
        "versions": {name: _version(name) for name in VERSIONS},
        "seconds": {},
    }


def _write(out: Path, results: dict[str, Any]) -> None:
    write_atomically(out / RESULTS_FILE, (json.dumps(results, indent=2) + "\n").encode())


def _version(name: str) -> str | None:
    with contextlib.suppress(PackageNotFoundError):
        return version(name)
    return None


def _load_images(data_dir: Path | None) -> tuple[NDArray[np.uint8], str]:
    """Return images, uint8 (count, 1, 28, 28), and what they are."""
    folder = find_data_dir(data_dir) or cached_mnist()
    if folder is not None:
        return load_mnist(folder, train=False).images.numpy(), "test images"
    return bundled_vectors()[IMAGE.name], "synthetic digits"
