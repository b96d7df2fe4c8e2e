"""Measure `edge-adder score`'s engine and `predict_columns`; the parts of `benchmarks.score`."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.score.turns import Turns, take_turns
from edge_adder import EdgeAdder
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.environment import allowed_cores
from edge_adder.errors import EdgeAdderError, InputError
from edge_adder.parity import bundled_vectors
from edge_adder.preprocessing.decode import encode_png
from edge_adder.preprocessing.pixels import WORKING_SIDE
from edge_adder.score import local, ray_engine, run
from edge_adder.score.answers import BATCH_ROWS, Options, cut
from edge_adder.score.inputs import Inputs, Row

BATCHES = (64, 128, 256, 512, 1024)
"""Batches of the raw runs; the best one lies between them (docs/performance.md)."""


def columns(images: int = 16_384, rounds: int = 9) -> Turns:
    """Time `predict_columns` and `predict_many` over an array beside raw runs of onnxruntime.

    Args:
        images: Number of images.
        rounds: How often each gets all of them.

    Returns:
        Calls ``raw, batch B, N thread(s)``, ``predict_columns`` and ``predict_many``.
    """
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
    calls["predict_columns"] = lambda: adder.predict_columns(image, number)
    calls["predict_many"] = lambda: deque(adder.predict_many(image, number), maxlen=0)
    return take_turns(calls, images, rounds, warmup=1)


def files(count: int = 100_000, rounds: int = 3) -> Turns:
    """Time the engine on PNG files of 28×28, on one and two processes, beside Pillow alone.

    Args:
        count: Number of files.
        rounds: How often each gets all of them.

    Returns:
        Calls ``Pillow, N`` and ``score, N`` for N processes.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _beside_pillow(_write_digits(Path(folder), count), rounds, reduced=False)


def photographs(count: int = 2_000, rounds: int = 1) -> Turns:
    """Time the engine on photographs of 12 megapixels as `files` does.

    Returns:
        Also calls ``reduced, N``: Pillow's decoding at a fraction of the size, as the library has
        it decode JPEGs.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _beside_pillow(_write_photographs(Path(folder), count), rounds, reduced=True)


def memory(counts: Sequence[int] = (10_000, 100_000)) -> dict[str, list[int]]:
    """Return the peak memory of `edge-adder score` and of its two processes, by number of rows.

    Returns:
        Bytes: those of the first process, then those of the others in ascending order.
    """
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            _write_digits(Path(folder) / "scans", count)
            first, others = _peak_bytes(Path(folder), 2)
            found[str(count)] = [first, *sorted(others)]
    return found


def parts(count: int = 20_000, rounds: int = 5) -> Turns:
    """Time a run that writes its parts beside one that drops the answers.

    Returns:
        Calls ``answers dropped`` and ``parts written``.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_digits(Path(folder) / "scans", count)
        calls: dict[str, Callable[[], object]] = {
            "answers dropped": partial(_answer, paths, allowed_cores()),
            "parts written": partial(_score, Path(folder), allowed_cores()),
        }
        return take_turns(calls, count, rounds)


def ray(count: int = 20_000, rounds: int = 3) -> Turns:
    """Time a local Ray cluster beside processes, both from their start on.

    Returns:
        Calls ``processes`` and ``Ray``.

    Raises:
        InputError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise InputError("ray is not installed: pip install -e '.[ray]'")
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
        return take_turns(calls, count, rounds)


def _beside_pillow(paths: list[str], rounds: int, *, reduced: bool) -> Turns:
    calls: dict[str, Callable[[], object]] = {}
    for processes in (1, 2):
        calls[f"Pillow, {processes}"] = partial(_decode_all, decode_part, paths, processes)
        if reduced:
            calls[f"reduced, {processes}"] = partial(_decode_all, decode_reduced, paths, processes)
        calls[f"score, {processes}"] = partial(_answer, paths, processes)
    return take_turns(calls, len(paths), rounds)


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
