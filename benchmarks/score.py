"""Many pictures at once: python -m benchmarks.score, then what to measure.

``columns``: `EdgeAdder.predict_columns` over an array, beside raw runs of onnxruntime with each
pair of batch and threads. ``files`` and ``photographs``: rows a second of `edge-adder score`'s
engine, beside Pillow's decoding alone in as many processes. ``memory``: its peak with ten times the
rows. ``parts``: what writing the parts costs. ``ray``: the same rows on Ray's engine.

All that is compared takes turns in each round, and a ratio is the median of the rounds' ratios, so
that a busy machine slows both sides of it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.environment import allowed_cores
from edge_adder.errors import EdgeAdderError
from edge_adder.parity import bundled_vectors
from edge_adder.preprocessing.decode import encode_png
from edge_adder.preprocessing.pixels import WORKING_SIDE
from edge_adder.score import local, ray_engine, run
from edge_adder.score.answers import BATCH_ROWS, Options, cut
from edge_adder.score.inputs import Inputs, Row

BATCHES = (64, 128, 256, 512, 1024)
"""Batches of the raw runs; the best one lies between them (docs/performance.md)."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Measure what `edge-adder score` does, and what it is made of."""


@app.command()
def columns(
    images: Annotated[int, typer.Option(min=1024, help="Number of images.")] = 16_384,
    rounds: Annotated[int, typer.Option(min=1, help="How often each gets all images.")] = 9,
) -> None:
    """Compare `predict_columns` and `predict_many` over arrays with raw runs."""
    vectors = bundled_vectors()
    image = np.resize(vectors[IMAGE.name], (images, *vectors[IMAGE.name].shape[1:]))
    number = np.arange(images, dtype=np.int64) % 10
    adder = EdgeAdder()
    calls: dict[str, Callable[[], object]] = {}
    for threads in sorted({1, allowed_cores()}):
        session = EdgeAdder(threads=threads).session
        for batch in BATCHES:
            name = f"raw, batch {batch}, {threads} thread(s)"
            calls[name] = partial(_run_raw, session, image, number, batch)
    ours = {
        "predict_columns": lambda: adder.predict_columns(image, number),
        "predict_many": lambda: deque(adder.predict_many(image, number), maxlen=0),
    }
    seconds, cpu_seconds = _take_turns(calls | ours, rounds)
    rates = {name: images / statistics.median(times) for name, times in seconds.items()}
    best = max(calls, key=rates.__getitem__)
    print(f"{images:,} images, median of {rounds} rounds")
    for name, rate in rates.items():
        ratio = _ratio(seconds[best], seconds[name])
        cpu = _ratio(cpu_seconds[best], cpu_seconds[name])
        print(f"{name:28}{rate:10,.0f} a second, {ratio:.2f} of the best raw run; by CPU {cpu:.2f}")


@app.command()
def files(
    count: Annotated[int, typer.Option(min=64, help="Number of PNG files of 28×28.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each gets all files.")] = 3,
) -> None:
    """Score PNG files of 28×28 on one and two processes, beside Pillow alone."""
    with tempfile.TemporaryDirectory() as folder:
        _compare_with_pillow(_write_digits(Path(folder), count), rounds)


@app.command()
def photographs(
    count: Annotated[int, typer.Option(min=2, help="Number of photographs.")] = 2_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each gets all of them.")] = 1,
) -> None:
    """Score photographs of 12 megapixels on one and two processes, beside Pillow alone."""
    with tempfile.TemporaryDirectory() as folder:
        _compare_with_pillow(_write_photographs(Path(folder), count), rounds)


@app.command()
def memory(
    counts: Annotated[list[int] | None, typer.Argument(help="Numbers of rows.")] = None,
) -> None:
    """Print the peak memory of `edge-adder score` and of its two processes, by number of rows."""
    for count in counts or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            paths = _write_digits(Path(folder) / "scans", count)
            first, others = _peak_bytes(Path(folder), 2)
            each = " and ".join(f"{peak / 1e6:,.0f}" for peak in sorted(others))
            print(f"{len(paths):,} rows: {first / 1e6:,.0f} MB, and its processes {each} MB")


@app.command()
def parts(
    count: Annotated[int, typer.Option(min=64, help="Number of PNG files of 28×28.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each gets all files.")] = 5,
) -> None:
    """Compare a run that writes its parts with one that drops the answers."""
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_digits(Path(folder) / "scans", count)
        calls: dict[str, Callable[[], object]] = {
            "answers dropped": partial(_answer, paths, allowed_cores()),
            "parts written": partial(_score, Path(folder), allowed_cores()),
        }
        _print_rates(calls, len(paths), rounds, "answers dropped")


@app.command()
def ray(
    count: Annotated[int, typer.Option(min=64, help="Number of PNG files of 28×28.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each gets all files.")] = 3,
) -> None:
    """Compare a local Ray cluster with processes, both from their start on."""
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_digits(Path(folder), count)
        names = Path(folder) / "list"
        names.write_text("".join(f"{path}\n" for path in paths))
        options = Options()
        batches = run.Batches(Inputs((), (names,), number=7), 0, options)
        cores = allowed_cores()
        calls: dict[str, Callable[[], object]] = {
            "processes": lambda: deque(local.run(EdgeAdder(), batches, options, cores), maxlen=0),
            "Ray": lambda: deque(
                ray_engine.run(EdgeAdder(), batches, options, processes=cores), maxlen=0
            ),
        }
        _print_rates(calls, count, rounds, "processes")


def _write_digits(folder: Path, count: int) -> list[str]:
    """Write PNG files of 28×28, in folders of a thousand, and return their paths."""
    images = bundled_vectors()[IMAGE.name][:, 0]
    encoded = [encode_png(image) for image in images]
    paths = [folder / f"{index // 1000:04}" / f"{index:07}.png" for index in range(count)]
    for index, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded[index % len(encoded)])
    return list(map(str, paths))


def _write_photographs(folder: Path, count: int) -> list[str]:
    """Write JPEG files of 4000×3000: a digit in dark ink on shaded paper, with a sensor's noise.

    Twenty are drawn, and each is linked to as often as it takes: decoding one takes as long.
    """
    random = np.random.default_rng(0)
    images = bundled_vectors()[IMAGE.name][:, 0]
    shade = np.linspace(235, 170, 4000)[None, :] + np.linspace(0, 15, 3000)[:, None]
    drawn = []
    for index in range(min(20, count)):
        digit = Image.fromarray(images[index]).resize((1400, 1400), Image.Resampling.BICUBIC)
        pixels = shade + random.normal(0, 3, shade.shape)
        pixels[800:2200, 1300:2700] *= 1 - np.asarray(digit) / 255 * 0.8
        photograph = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB")
        drawn.append(folder / f"drawn-{index}.jpg")
        photograph.save(drawn[-1], quality=90)
    paths = [folder / f"{index:05}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        os.link(drawn[index % len(drawn)], path)
    return list(map(str, paths))


def _compare_with_pillow(paths: list[str], rounds: int) -> None:
    calls: dict[str, Callable[[], object]] = {}
    for processes in (1, 2):
        calls[f"Pillow, {processes}"] = partial(_decode_all, decode_part, paths, processes)
        if paths[0].endswith(".jpg"):
            calls[f"reduced, {processes}"] = partial(_decode_all, decode_reduced, paths, processes)
        calls[f"score, {processes}"] = partial(_answer, paths, processes)
    spent = _print_rates(calls, len(paths), rounds, "Pillow, 1")
    for ours in ("score, 1", "score, 2"):
        for name in calls:
            if name[-1] == ours[-1] and name != ours:
                rate, cpu = (_ratio(each[name], each[ours]) for each in spent)
                print(f"{ours} process(es): {rate:.2f} of {name}; by CPU {cpu:.2f}")
    speedup = _ratio(spent.seconds["score, 1"], spent.seconds["score, 2"])
    print(f"two processes: {speedup:.2f} times one")


def _print_rates(
    calls: dict[str, Callable[[], object]], count: int, rounds: int, reference: str
) -> Spent:
    spent = _take_turns(calls, rounds, warmup=0)
    print(f"{count:,} files, median of {rounds} round(s); ratios to {reference}")
    for name, times in spent.seconds.items():
        rate = count / statistics.median(times)
        ratio, cpu = (_ratio(each[reference], each[name]) for each in spent)
        print(f"{name:16}{rate:10,.1f} a second, {ratio:.2f}; by CPU {cpu:.2f}")
    return spent


def _answer(paths: list[str], processes: int) -> None:
    """Answer files with the engine of `edge-adder score`, from the start of its processes on."""
    options = Options()
    rows = (Row(path, path, 7) for path in paths)
    tables = local.run(EdgeAdder(), cut(rows, options), options, processes)
    answers = sum(table.num_rows for table in tables if table is not None)
    if answers != len(paths):
        raise EdgeAdderError(f"{answers} answers for {len(paths)} files")


def _score(folder: Path, processes: int) -> None:
    """Score the folder's scans into a new table."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        engine = partial(local.run, processes=processes)
        inputs = Inputs((str(folder / "scans"),), number=7)
        run.score(EdgeAdder(), inputs, Path(out) / "out", Options(), engine=engine)


def _decode_all(decode: Callable[[list[str]], None], paths: list[str], processes: int) -> None:
    """Decode files with Pillow alone, from the start of the processes on."""
    context = multiprocessing.get_context("spawn")
    batches = [paths[start : start + BATCH_ROWS] for start in range(0, len(paths), BATCH_ROWS)]
    with context.Pool(processes) as pool:
        for _ in pool.imap_unordered(decode, batches):
            pass


def decode_part(paths: list[str]) -> None:
    """Decode files as a whole."""
    for path in paths:
        with Image.open(path) as image:
            image.load()


def decode_reduced(paths: list[str]) -> None:
    """Decode JPEGs at a fraction of their size, as the library does."""
    for path in paths:
        with Image.open(path) as image:
            image.draft(None, (2 * WORKING_SIDE, 2 * WORKING_SIDE))
            image.load()


def _peak_bytes(folder: Path, processes: int) -> tuple[int, list[int]]:
    """Return the peak memory of a run over the folder's scans, and of each of its processes.

    They are read from Linux's /proc while the run lasts.
    """
    options = ("--number", "7", "--out", str(folder / "out"), "--processes", str(processes))
    command = [sys.executable, "-m", "edge_adder", "score", str(folder / "scans"), *options]
    peaks: dict[int, int] = {}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603  our own
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None:
            with contextlib.suppress(OSError):  # one has ended meanwhile
                for number in (process.pid, *map(int, children.read_text().split())):
                    folder = Path(f"/proc/{number}")
                    found = re.search(r"VmHWM:\s*(\d+) kB", (folder / "status").read_text())
                    is_helper = "resource_tracker" in (folder / "cmdline").read_text()
                    if found and not is_helper:
                        peaks[number] = int(found[1]) * 1024
            time.sleep(0.05)
    return peaks.pop(process.pid), list(peaks.values())


def _run_raw(
    session: Any, images: NDArray[np.uint8], numbers: NDArray[np.int64], batch: int
) -> None:
    """Run all images with onnxruntime alone, and drop the answers."""
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        session.run([DIGIT.name, SUM.name], {IMAGE.name: images[part], NUMBER.name: numbers[part]})


class Spent(NamedTuple):
    """What each call took in each round.

    Attributes:
        seconds: Seconds of the clock.
        cpu_seconds: Seconds of all cores, those of ended processes included: other work on a busy
            machine adds little to them.
    """

    seconds: dict[str, list[float]]
    cpu_seconds: dict[str, list[float]]


def _take_turns(calls: dict[str, Callable[[], object]], rounds: int, warmup: int = 1) -> Spent:
    """Call everything once in each round, after rounds to warm up."""
    spent = Spent({name: [] for name in calls}, {name: [] for name in calls})
    for index in range(warmup + rounds):
        for name, call in calls.items():
            began, cpu_began = time.perf_counter(), _cpu_seconds()
            call()
            if index >= warmup:
                spent.seconds[name].append(time.perf_counter() - began)
                spent.cpu_seconds[name].append(_cpu_seconds() - cpu_began)
    return spent


def _cpu_seconds() -> float:
    """Return what this process and those it has waited for took of all cores so far."""
    import resource  # noqa: PLC0415  not on Windows

    uses = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _ratio(reference: list[float], times: list[float]) -> float:
    """Return the median over all rounds of the rate, as a share of the reference's."""
    return statistics.median(a / b for a, b in zip(reference, times, strict=True))


if __name__ == "__main__":
    app()
