"""Is the file PyTorch's network, however it is run? python -m benchmarks.parity_matrix.

All test images with all ten numbers, through onnxruntime at every level of graph optimisation,
batch size, number of threads and provider, against PyTorch; and a sample through ONNX's own
reference evaluator, an implementation of its own, as a third opinion.

Each combination is a shard: what is done stays in a file, and a run that was stopped goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import onnx
import onnx.reference
import onnxruntime as ort
import typer
from numpy.typing import NDArray

from edge_adder import Outputs
from edge_adder.contract import IMAGE, NUMBER
from edge_adder.environment import fingerprint
from edge_adder.files import make_folder, write_atomically
from edge_adder.predictor import open_session
from edge_adder.providers import EXECUTION_PROVIDERS
from export import checkpoint as checkpoints
from export.data import load_mnist
from export.networks.parts import Network
from export.to_onnx import to_onnx
from export.verify import BOUND, COMPARED_ABOVE, all_pairs, reference

LEVELS = ("disable_all", "enable_basic", "enable_extended", "enable_all")
"""Of onnxruntime's graph optimisation."""

REFERENCE = "onnx.reference"
"""ONNX's own evaluator, among the providers."""

BATCHES = (1, 64, 257)
THREADS = (1, 2)
SAMPLE = 200
"""Pairs for the reference evaluator, which is written in numpy."""

MARGINS = 20
"""Changed answers whose margins are kept, the widest first."""


class Way(NamedTuple):
    """A way to run the file.

    Attributes:
        provider: ``cpu`` or ``cuda`` of onnxruntime, or `REFERENCE`.
        level: Of onnxruntime's graph optimisation.
        batch: Pairs in each run.
        threads: Threads that work on one run.
    """

    provider: str
    level: str
    batch: int
    threads: int

    def __str__(self) -> str:
        return f"{self.provider} {self.level} batch {self.batch} threads {self.threads}"


def ways() -> list[Way]:
    """Every way that this machine has."""
    here = ort.get_available_providers()
    providers = [provider for provider, name in EXECUTION_PROVIDERS.items() if name in here]
    combinations = itertools.product(providers, LEVELS, BATCHES, THREADS)
    return [*(Way(*way) for way in combinations), Way(REFERENCE, "disable_all", SAMPLE, 1)]


def run_matrix(
    content: bytes,
    network: Network,
    images: NDArray[np.uint8],
    shards: Path,
    *,
    progress: Callable[[str], object] = print,
) -> list[dict[str, Any]]:
    """Compare every way to run a file with PyTorch.

    Args:
        content: The ONNX file.
        network: The PyTorch network that it was exported from.
        images: uint8 (count, 1, 28, 28).
        shards: A folder; what it holds for this file and these images is not run again.
        progress: Is called with a line for each way.

    Returns:
        A row for each: the way, ``pairs`` that were compared, and for each output
        ``largest_difference`` and ``p99.9_difference`` in nats, None where an answer is not finite,
        ``changed_answers`` and their ``margins``, the difference between PyTorch's two most
        probable answers.
    """
    make_folder(shards)
    pairs, numbers = all_pairs(images)
    origin = {
        "model": hashlib.sha256(content).hexdigest(),
        "weights": checkpoints.weights_sha256(network.state_dict()),
        "images": hashlib.sha256(images.tobytes()).hexdigest(),
        "cpu": fingerprint()["cpu"],
        "versions": {name: version(name) for name in ("torch", "numpy", "onnx", "onnxruntime")},
    }
    expected: Outputs | None = None
    rows = []
    todo = ways()
    for done, way in enumerate(todo, 1):
        chosen = _sample(len(pairs)) if way.provider == REFERENCE else slice(None)
        key = {**way._asdict(), "pairs": len(numbers[chosen]), **origin}
        path = shards / f"{way}.json".replace(" ", "-")
        row = _stored(path, key)
        if row is None:
            if expected is None:
                expected = reference(network, pairs, numbers)
            found = _run(content, way, pairs[chosen], numbers[chosen])
            row = key | _differences(found, Outputs(*(array[chosen] for array in expected)))
            write_atomically(path, json.dumps(row).encode())
        rows.append(row)
        largest = [row[name]["largest_difference"] for name in Outputs._fields]
        changed = sum(row[name]["changed_answers"] for name in Outputs._fields)
        shown = "not finite" if None in largest else f"{max(largest):.2e}"
        progress(
            f"{done}/{len(todo)} {way}: largest difference {shown}, {changed} of "
            f"{2 * row['pairs']:,} answers changed"
        )
    return rows


def passed(rows: list[dict[str, Any]]) -> bool:
    """Whether no combination differs by more than the gate's bound or changes an answer."""
    return all(
        row[name]["largest_difference"] is not None
        and row[name]["largest_difference"] <= BOUND
        and not row[name]["changed_answers"]
        for row in rows
        for name in Outputs._fields
    )


def _stored(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """An earlier row of the same origin; None where there is none, or a damaged one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        row: dict[str, Any] = json.loads(path.read_text())
        return row if row.items() >= key.items() else None
    return None


def _sample(pairs: int) -> NDArray[np.intp]:
    """Which pairs the reference evaluator gets: at random, so that every number is among them."""
    order = np.random.default_rng(0).permutation(pairs)
    return np.sort(order[:SAMPLE])


def _run(
    content: bytes, way: Way, images: NDArray[np.uint8], numbers: NDArray[np.int64]
) -> Outputs:
    run: Callable[..., Any]
    if way.provider == REFERENCE:
        run = onnx.reference.ReferenceEvaluator(onnx.load_model_from_string(content)).run
    else:
        run = open_session(content, way.provider, way.threads, optimization=way.level).run
    names = list(Outputs._fields)
    parts = [
        run(names, {IMAGE.name: images[part], NUMBER.name: numbers[part]})
        for part in _slices(len(images), way.batch)
    ]
    return Outputs(*(np.concatenate(output) for output in zip(*parts, strict=True)))


def _differences(found: Outputs, wanted: Outputs) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in Outputs._fields:
        ours, theirs = getattr(found, name), getattr(wanted, name)
        compared = (ours > COMPARED_ABOVE) | (theirs > COMPARED_ABOVE)
        difference = np.abs(ours - theirs)[compared]
        finite = bool(np.isfinite(ours).all())
        changed = np.flatnonzero(ours.argmax(1) != theirs.argmax(1))
        first_two = np.sort(theirs[changed], axis=1)[:, -2:]
        margins = np.sort(first_two[:, 1] - first_two[:, 0])[::-1]
        result[name] = {
            "largest_difference": float(difference.max()) if finite else None,
            "p99.9_difference": float(np.quantile(difference, 0.999)) if finite else None,
            "changed_answers": len(changed),
            "margins": margins[:MARGINS].tolist(),
        }
    return result


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def main(
    network: Annotated[str, typer.Option(help="The network.")] = "edge",
    out: Annotated[Path, typer.Option(help="Folder for what is done.")] = Path("runs/parity"),
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images.")] = None,
) -> None:
    """Print a line for each combination, and exit with 6 where one fails."""
    loaded = checkpoints.load(checkpoints.committed(network))
    module = loaded.build()
    images = load_mnist(data_dir, train=False).images.numpy()[:limit]
    rows = run_matrix(to_onnx(module, loaded), module, images, out / network)
    if not passed(rows):
        raise typer.Exit(6)


if __name__ == "__main__":
    typer.run(main)
