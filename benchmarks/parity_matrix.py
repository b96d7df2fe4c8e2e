"""Whether the file is PyTorch's network in every way to run it: python -m benchmarks.parity_matrix.

All test images with all ten numbers run through onnxruntime at every level of graph optimisation,
batch size, number of threads and provider, and are compared with PyTorch. A sample also runs
through ONNX's reference evaluator, an independent implementation.

Each configuration's result is stored in a file of its own, so that an interrupted run continues.
"""

from __future__ import annotations

import contextlib
import functools
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
from torch import nn

from edge_adder import Outputs, parity
from edge_adder.contract import IMAGE, NUMBER
from edge_adder.environment import fingerprint
from edge_adder.files import make_folder, write_atomically
from edge_adder.providers import EXECUTION_PROVIDERS
from edge_adder.session import open_session
from export import checkpoint as checkpoints
from export.data import load_mnist
from export.to_onnx import to_onnx
from export.verify import all_pairs, reference

LEVELS = ("disable_all", "enable_basic", "enable_extended", "enable_all")
"""Levels of onnxruntime's graph optimisation."""

BATCHES = (1, 64, 257)
THREADS = (1, 2)

REFERENCE = "onnx.reference"
"""Stands for ONNX's reference evaluator among the providers."""

SAMPLE = 200
"""Pairs for the reference evaluator, which is slow."""

MAX_MARGINS = 20
"""Changed answers whose margins are kept, the widest first."""


class RunConfig(NamedTuple):
    """A way to run the file.

    Attributes:
        provider: ``cpu`` or ``cuda`` of onnxruntime, or `REFERENCE`.
        level: One of `LEVELS`.
        batch: Pairs in each run.
        threads: Number of onnxruntime's threads for a run.
    """

    provider: str
    level: str
    batch: int
    threads: int

    def __str__(self) -> str:
        return f"{self.provider} {self.level} batch {self.batch} threads {self.threads}"


def run_configs() -> list[RunConfig]:
    """Return every configuration that this machine can run."""
    available = ort.get_available_providers()
    providers = [provider for provider, name in EXECUTION_PROVIDERS.items() if name in available]
    combinations = itertools.product(providers, LEVELS, BATCHES, THREADS)
    reference_evaluator = RunConfig(REFERENCE, "disable_all", SAMPLE, 1)
    return [*itertools.starmap(RunConfig, combinations), reference_evaluator]


def run_matrix(
    content: bytes,
    network: nn.Module,
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
        shards: Folder of the rows; those that it has of this file and these images are not run
            again.
        progress: Is called with a line for each configuration.

    Returns:
        A row for each configuration: its fields, ``pairs``, and for each output what `compare`
        returns.

    Raises:
        ProviderError: A provider cannot be loaded.
        FileAccessError: A row cannot be written.
    """
    make_folder(shards)
    pairs, numbers = all_pairs(images)
    origin = _origin(content, network, images)
    expected = functools.cache(
        functools.partial(reference, network, pairs, numbers)
    )  # if a row is missing
    rows = []
    configs = run_configs()
    for done, config in enumerate(configs, 1):
        chosen = sample(len(pairs)) if config.provider == REFERENCE else slice(None)
        key = {**config._asdict(), "pairs": len(numbers[chosen]), **origin}
        path = shards / f"{config}.json".replace(" ", "-")
        row = _stored(path, key)
        if row is None:
            found = _run(content, config, pairs[chosen], numbers[chosen])
            row = key | compare(found, Outputs(*(output[chosen] for output in expected())))
            write_atomically(path, json.dumps(row).encode())
        rows.append(row)
        progress(f"{done}/{len(configs)} {config}: {_describe(row)}")
    return rows


def passed(rows: list[dict[str, Any]]) -> bool:
    """Check whether every row is within the parity bound and has no changed answers."""
    return all(
        parity.OutputParity(row[name]["largest_difference"], row[name]["changed_answers"]).passed
        for row in rows
        for name in Outputs._fields
    )


def sample(pairs: int) -> NDArray[np.intp]:
    """Return the indices of the reference evaluator's pairs: random, so that all numbers occur."""
    order = np.random.default_rng(0).permutation(pairs)
    return np.sort(order[:SAMPLE])


def compare(found: Outputs, expected: Outputs) -> dict[str, dict[str, Any]]:
    """Compare a configuration's outputs with PyTorch's.

    Returns:
        For each output ``largest_difference`` and ``changed_answers`` as
        `edge_adder.parity.OutputParity`, and ``margins`` of the changed answers: the difference
        between PyTorch's two most probable answers in nats.
    """
    result = parity.compare(found, expected)
    rows = {}
    for name in Outputs._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        first_two = np.sort(theirs[ours.argmax(1) != theirs.argmax(1)], axis=1)[:, -2:]
        margins = np.sort(first_two[:, 1] - first_two[:, 0])[::-1]
        output: parity.OutputParity = getattr(result, name)
        rows[name] = {
            "largest_difference": output.largest_difference,
            "changed_answers": output.changed_answers,
            "margins": margins[:MAX_MARGINS].tolist(),
        }
    return rows


def _origin(content: bytes, network: nn.Module, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Return what a stored row must have in common with this run to be of use."""
    return {
        "model": hashlib.sha256(content).hexdigest(),
        "weights": checkpoints.weights_sha256(network.state_dict()),
        "images": hashlib.sha256(images.tobytes()).hexdigest(),
        "cpu": fingerprint()["cpu"],
        "versions": {name: version(name) for name in ("torch", "numpy", "onnx", "onnxruntime")},
    }


def _stored(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """Return an earlier row with this key; None where there is none or it is damaged."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        row: dict[str, Any] = json.loads(path.read_text())
        return row if row.items() >= key.items() else None
    return None


def _run(
    content: bytes, config: RunConfig, images: NDArray[np.uint8], numbers: NDArray[np.int64]
) -> Outputs:
    run: Callable[..., Any]
    if config.provider == REFERENCE:
        run = onnx.reference.ReferenceEvaluator(onnx.load_model_from_string(content)).run
    else:
        run = open_session(content, config.provider, config.threads, optimization=config.level).run
    names = list(Outputs._fields)
    parts = [
        run(names, {IMAGE.name: images[part], NUMBER.name: numbers[part]})
        for part in _slices(len(images), config.batch)
    ]
    return Outputs(*(np.concatenate(output) for output in zip(*parts, strict=True)))


def _describe(row: dict[str, Any]) -> str:
    outputs = [row[name] for name in Outputs._fields]
    largest = [output["largest_difference"] for output in outputs]
    changed = sum(output["changed_answers"] for output in outputs)
    shown = "not finite" if None in largest else f"{max(largest):.2e}"
    return f"largest difference {shown}, {changed} of {2 * row['pairs']:,} answers changed"


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def main(
    network: Annotated[str, typer.Option(help="The network.")] = "edge",
    out: Annotated[Path, typer.Option(help="Folder for the rows.")] = Path("runs/parity"),
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only so many images.")] = None,
) -> None:
    """Print a line for each configuration; exit with 6 where one fails."""
    loaded = checkpoints.load(checkpoints.committed(network))
    module = loaded.build()
    images = load_mnist(data_dir, train=False).images.numpy()[:limit]
    rows = run_matrix(to_onnx(module, loaded), module, images, out / network)
    if not passed(rows):
        raise typer.Exit(6)


if __name__ == "__main__":
    typer.run(main)
