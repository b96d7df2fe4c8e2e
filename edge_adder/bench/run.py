"""`edge-adder bench`: how long the model that ships takes on this device, and whether it is right.

Every choice that decides a figure:

- One image at a time is timed on the `EdgeAdder` itself, call by call, with `time.perf_counter_ns`.
  All kinds of call run in turn in blocks of `BLOCK`, so that a slow moment of the machine meets
  them all and their ratios hold. Nothing is removed; the garbage collector runs as it always does.
- A ratio of two kinds of call is the median, over all turns, of the ratio of their medians in one
  turn: a clock speed that changes from second to second changes both.
- Warm-up calls come first, are not counted, and their number is in the result. So are the first
  `ROUND_WARMUP` calls of each turn, which find the caches full of another kind of call; the very first of
  each turn is told as ``first``: what a device pays that predicts only now and then.
- All calls have the same image, 28×28 with light ink, and files are in memory.
- A percentile needs `MIN_TAIL_SAMPLES` calls beyond it; where there are fewer it is invalid, not a number.
- The floor is the same call on a graph that returns its inputs: what Python and onnxruntime cost
  before a network computes anything. ``clock`` is what timing itself adds to each figure.
- Throughput is the median of several runs of each batch size and number of threads, in turn.
- A cold start is a fresh process, timed from before it exists; the median of several.

The result is JSON as docs/bench.md describes it.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.environment import MAX_THREADS, allowed_cores, fingerprint
from edge_adder.errors import EdgeAdderError, InputError
from edge_adder.predictor import (
    BUNDLED_MODEL,
    EdgeAdder,
    Outputs,
    make_prediction,
    open_session,
)
from edge_adder.preprocessing.decode import decode, encode_png
from edge_adder.preprocessing.prepare import prepare_image

SCHEMA = "edge_adder.bench"
VERSION = 1
"""Of the result's form."""

PERCENTILES = (50.0, 90.0, 99.0, 99.9)

MIN_TAIL_SAMPLES = 10
"""Calls that must lie beyond a percentile: with fewer it says more of chance than of the device."""

BLOCK = 100
"""Calls of one kind before the next has its turn."""

ROUND_WARMUP = 5
"""Calls at the beginning of each turn that are not counted."""

BATCHES = tuple(2**power for power in range(11))
"""Batch sizes of the throughput, 1 to 1024."""

IDENTITY_MODEL = BUNDLED_MODEL.with_name("identity.onnx")
"""A graph that returns its two inputs, with the names, dtypes and shapes of the contract."""

PARITY_BOUND = 1e-4
"""Largest difference of a log-probability from PyTorch's that passes, as in the export's gate."""

COMPARED_ABOVE = -20.0
"""Log-probabilities below this (2e-9) are not compared: no answer depends on them."""


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """How much is measured.

    Attributes:
        calls: Of each kind that are counted.
        warm_up: Of each kind before those.
        run_seconds: Of each measured run of a throughput.
        runs: Of each pair of batch size and threads.
        batches: Batch sizes of the throughput.
        many: Images that `EdgeAdder.predict_many` has at once.
        starts: Fresh processes.
    """

    calls: int
    warm_up: int
    run_seconds: float
    runs: int
    batches: tuple[int, ...]
    many: int
    starts: int


FULL = BenchConfig(20_000, 500, 0.1, 5, BATCHES, 10_000, 10)
QUICK = BenchConfig(1_500, 100, 0.02, 3, (1, 16, 64, 256), 2_000, 3)
"""Under 10 seconds for the bundled model."""


def bench(
    adder: EdgeAdder,
    *,
    effort: BenchConfig = FULL,
    progress: Callable[[str], object] = lambda _: None,
    on_times: Callable[[dict[str, Times]], object] = lambda _: None,
) -> dict[str, Any]:
    """Measure a model on this device.

    Args:
        adder: The model, loaded as it will be used.
        effort: `FULL` or `QUICK`.
        progress: Is called with the name of each part that begins.
        on_times: Is called with every measured latency, by kind of call.

    Returns:
        The result, in JSON's types, as docs/bench.md describes it.

    Raises:
        InputError: The stored parity vectors are of other weights.
    """
    vectors = load_vectors(adder)
    images = (vectors or bundled_vectors())[IMAGE.name]
    progress("latency")
    times = latency(adder, images, effort)
    on_times(times)
    progress("throughput")
    rates = throughput(adder, images, effort)
    progress("cold start")
    starts = cold_start(adder, effort.starts)
    progress("parity")
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "environment": fingerprint(),
        "model": {
            "name": adder.model,
            "network": adder.provenance.get("network"),
            "sha256": adder.model_sha256,
            "size_bytes": len(adder.model_bytes),
            "batch": adder.batch,
        },
        "provider": {"requested": adder.requested_provider, "active": adder.provider},
        "threads": adder.threads,
        "spinning": adder.spinning,
        "latency": {
            "unit": "us",
            "warm_up": effort.warm_up,
            "clock": _clock_us(),
            "round_warmup": ROUND_WARMUP,
            "calls": {
                name: percentiles(values) | {"ratio": ratio(values, times["session_run"])}
                for name, values in times.items()
            },
        },
        "throughput": rates,
        "cold_start": starts,
        "parity": None if vectors is None else parity(adder, vectors),
    }


class Times(NamedTuple):
    """How long calls of one kind took, in nanoseconds, in their order.

    Attributes:
        counted: int64 (calls,).
        first: int64 (turns,); the first call of each turn, which is not counted.
    """

    counted: NDArray[np.int64]
    first: NDArray[np.int64]


def latency(adder: EdgeAdder, images: NDArray[np.uint8], effort: BenchConfig) -> dict[str, Times]:
    """Time a prediction, its stages and its floor.

    Args:
        adder: The model.
        images: uint8 (count, 1, 28, 28), at least one.
        effort: How many calls.

    Returns:
        By kind of call.
    """
    size = adder.batch or 1
    image = np.ascontiguousarray(images[0, 0])
    batch = np.repeat(image[None, None], size, axis=0)
    numbers = np.full(size, 7, np.int64)
    png = encode_png(image)
    opened = decode(png)
    opened.load()
    names = [DIGIT.name, SUM.name]
    feeds = {IMAGE.name: batch, NUMBER.name: numbers}
    raw = adder.session.run
    session = adder.provider, adder.threads
    identity = open_session(IDENTITY_MODEL.read_bytes(), *session, spinning=adder.spinning).run
    answer = Outputs(*raw(names, feeds))
    calls: dict[str, Callable[[], object]] = {
        "identity": lambda: identity(names, feeds),
        "session_run": lambda: raw(names, feeds),
        "edge_adder_run": lambda: adder.run(batch, numbers),
        "decode": lambda: decode(png).load(),
        "prepare": lambda: prepare_image(opened),
        "result": lambda: make_prediction(7, answer, adder.provider, adder.requested_provider),
        "predict_array": lambda: adder.predict(image, 7),
        "predict_png": lambda: adder.predict(png, 7),
    }
    return time_interleaved(calls, effort.calls, effort.warm_up)


def time_interleaved(
    calls: Mapping[str, Callable[[], object]], count: int, warm_up: int
) -> dict[str, Times]:
    """Time each kind of call `count` times, in turn in blocks of `BLOCK`.

    The first `ROUND_WARMUP` calls of each turn come on top.

    Args:
        calls: What to call, by name.
        count: Calls of each kind that are timed.
        warm_up: Calls of each kind before those.

    Returns:
        By kind of call.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    turns = range(0, count, BLOCK)
    times = {
        name: Times(np.empty(count, np.int64), np.empty(len(turns), np.int64)) for name in calls
    }
    clock = time.perf_counter_ns
    for turn, start in enumerate(turns):
        for name, call in calls.items():
            taken = times[name].counted
            began = clock()
            call()
            times[name].first[turn] = clock() - began
            for _ in range(ROUND_WARMUP - 1):
                call()
            for index in range(start, min(start + BLOCK, count)):
                began = clock()
                call()
                taken[index] = clock() - began
    return times


def percentiles(times: Times) -> dict[str, Any]:
    """Percentiles of measured times.

    Args:
        times: Of one kind of call.

    Returns:
        ``count``; ``p50``, ``p90``, ``p99``, ``p99.9`` and ``max`` in microseconds. A percentile is
        None where fewer than `MIN_TAIL_SAMPLES` calls lie beyond it. It is the value that this share of the
        calls does not exceed, one that was measured, not an average of two. ``first``: the median
        of the first calls of the turns.
    """
    ordered = np.sort(times.counted)
    count = len(ordered)
    result: dict[str, Any] = {"count": count}
    for percentile in PERCENTILES:
        index = rank(count, percentile)
        enough = count - 1 - index >= MIN_TAIL_SAMPLES
        result[f"p{percentile:g}"] = float(ordered[index]) / 1000 if enough else None
    result["max"] = float(ordered[-1]) / 1000
    result["first"] = float(np.median(times.first)) / 1000
    return result


def rank(count: int, percentile: float) -> int:
    """Where a percentile stands among `count` sorted calls, from 0."""
    return -(-count * round(percentile * 10) // 1000) - 1  # integers: 99.9 % is no float


def ratio(times: Times, reference: Times) -> float:
    """How many times as long one kind of call takes as another that was timed in turn with it.

    Args:
        times: Of one kind of call.
        reference: Of the other.

    Returns:
        The median, over the blocks, of the ratio of the two medians in a block.
    """
    ratios = [
        np.median(times.counted[start : start + BLOCK])
        / np.median(reference.counted[start : start + BLOCK])
        for start in range(0, len(times.counted), BLOCK)
    ]
    return float(np.median(ratios))


def throughput(adder: EdgeAdder, images: NDArray[np.uint8], effort: BenchConfig) -> dict[str, Any]:
    """Images in a second, over batch sizes and threads, and of `EdgeAdder.predict_many`.

    Args:
        adder: The model; a fixed batch is the only one.
        images: uint8 (count, 1, 28, 28).
        effort: How long.

    Returns:
        ``pairs``: batch, threads and images_per_second of each; ``best``: one of them; ``default``:
        images_per_second of `EdgeAdder.predict_many`, as it is without options, over an array of
        ready images, each answer taken and dropped, and its ratio to the best pair, the median over
        the runs.
    """
    sizes = effort.batches if adder.batch is None else (adder.batch,)
    threads = sorted({1, *_doublings(min(allowed_cores(), MAX_THREADS)), adder.threads})
    many = np.resize(images, (max(sizes), *images.shape[1:]))
    numbers = np.arange(len(many)) % 10
    jobs: dict[tuple[int, int], tuple[Callable[[], object], int]] = {}
    for count in threads:
        options: dict[str, Any] = {"provider": adder.provider, "spinning": adder.spinning}
        other = EdgeAdder(adder.model_bytes, threads=count, **options)
        for size in sizes:
            jobs[size, count] = partial(other.run, many[:size], numbers[:size]), size
    ready = np.resize(images, (effort.many, *images.shape[1:]))[:, 0]
    added = np.arange(len(ready)) % 10
    jobs[0, 0] = (lambda: deque(adder.predict_many(ready, added), maxlen=0)), len(ready)
    rates: dict[tuple[int, int], list[float]] = {key: [] for key in jobs}
    for _ in range(effort.runs):
        for key, (job, size) in jobs.items():
            rates[key].append(size / _seconds_each(job, effort.run_seconds))
    medians = {key: float(np.median(values)) for key, values in rates.items()}
    del medians[0, 0]
    pairs = [
        {"batch": batch, "threads": count, "images_per_second": rate}
        for (batch, count), rate in medians.items()
    ]
    fastest = max(medians, key=lambda key: medians[key])
    default, most = np.array(rates[0, 0]), np.array(rates[fastest])
    return {
        "pairs": pairs,
        "best": next(pair for pair in pairs if (pair["batch"], pair["threads"]) == fastest),
        "default": {
            "images_per_second": float(np.median(default)),
            "ratio": float(np.median(default / most)),
        },
    }


def _seconds_each(job: Callable[[], object], seconds: float) -> float:
    """Mean time of a call, over at least two calls and `seconds`; one call more warms up."""
    job()
    began = time.perf_counter_ns()
    calls = 0
    while calls < 2 or time.perf_counter_ns() - began < seconds * 1e9:
        job()
        calls += 1
    return (time.perf_counter_ns() - began) / 1e9 / calls


_COLD = """
import json, sys, time
entered = time.monotonic_ns()
from edge_adder.predictor import EdgeAdder
from edge_adder.environment import peak_memory_bytes
imported = time.monotonic_ns()
import numpy
began, model, provider, threads, spinning = sys.argv[1:]
adder = EdgeAdder(model, provider=provider, threads=int(threads), spinning=spinning == "True")
loaded = time.monotonic_ns()
adder.predict(numpy.eye(28, dtype=numpy.uint8) * 255, 7, ink="light")
answered = time.monotonic_ns()
times = [int(began), entered, imported, loaded, answered]
print(json.dumps([times, peak_memory_bytes()]))
"""


def cold_start(adder: EdgeAdder, starts: int) -> dict[str, Any]:
    """Time fresh processes from before they exist to after they ended.

    Args:
        adder: Its model, provider, threads and spinning are used.
        starts: How many are counted; one more comes first.

    Returns:
        Medians in milliseconds: ``interpreter`` until its first line, ``imports``, ``session``,
        ``first_answer``, ``process`` from start to end; ``peak_memory_bytes``, the largest.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        model.write_bytes(adder.model_bytes)
        rows, peaks = _start(adder, str(model), starts)
    names = ("interpreter", "imports", "session", "first_answer", "process")
    medians = np.median(np.array(rows), axis=0) / 1e6
    return {
        "unit": "ms",
        "starts": starts,
        **dict(zip(names, medians.tolist(), strict=True)),
        "peak_memory_bytes": max(peaks) if None not in peaks else None,
    }


def _start(adder: EdgeAdder, model: str, starts: int) -> tuple[list[list[int]], list[Any]]:
    """The stages of each process in nanoseconds, the whole last; and their peaks of memory."""
    settings = adder.provider, str(adder.threads), str(adder.spinning)
    command = [sys.executable, "-P", "-c", _COLD]  # -P: imports from nowhere but the environment
    rows, peaks = [], []
    for attempt in range(starts + 1):
        began = time.monotonic_ns()
        done = subprocess.run(  # noqa: S603
            [*command, str(began), model, *settings],
            check=False,
            capture_output=True,
            text=True,
        )
        ended = time.monotonic_ns()
        if done.returncode:
            reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise EdgeAdderError(f"a fresh process cannot predict: {reason}")
        times, peak = json.loads(done.stdout)
        if attempt:
            rows.append([*np.diff(times), ended - began])
            peaks.append(peak)
    return rows, peaks


def parity(adder: EdgeAdder, vectors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Compare the answers on this device with PyTorch's.

    Args:
        adder: The model.
        vectors: As `load_vectors` gives them.

    Returns:
        ``pairs``, ``bound``, ``passed``, and for each output ``largest_difference`` in nats, None
        where an answer is not finite, and ``changed_answers``.
    """
    pairs = len(vectors[NUMBER.name])
    size = adder.batch or pairs
    whole = -(-pairs // size) * size
    images = np.resize(vectors[IMAGE.name], (whole, *vectors[IMAGE.name].shape[1:]))
    numbers = np.resize(vectors[NUMBER.name], whole)
    parts = [
        adder.run(images[start : start + size], numbers[start : start + size])
        for start in range(0, whole, size)
    ]
    outputs = {}
    for name in (DIGIT.name, SUM.name):
        wanted = vectors[name]
        found = np.concatenate([getattr(part, name) for part in parts])[:pairs]
        compared = (wanted > COMPARED_ABOVE) | (found > COMPARED_ABOVE)
        finite = bool(np.isfinite(found).all())
        largest = float(np.abs(wanted - found)[compared].max()) if finite else None
        outputs[name] = {
            "largest_difference": largest,
            "changed_answers": int((wanted.argmax(1) != found.argmax(1)).sum()),
        }
    passed = all(
        output["largest_difference"] is not None
        and output["largest_difference"] <= PARITY_BOUND
        and output["changed_answers"] == 0
        for output in outputs.values()
    )
    return {"pairs": pairs, "bound": PARITY_BOUND, "passed": passed, **outputs}


def load_vectors(adder: EdgeAdder) -> dict[str, NDArray[Any]] | None:
    """PyTorch's stored answers, from ``NAME.parity.npz`` beside ``NAME.onnx``.

    Returns:
        Arrays ``image``, ``number``, ``digit`` and ``sum`` as in the contract; None where no file
        lies there.

    Raises:
        InputError: It cannot be read, or is of other weights than the model.
    """
    if adder.model == "default":
        return bundled_vectors()
    path = Path(f"{adder.model.removesuffix('.onnx')}.parity.npz")
    if adder.model == "bytes" or not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            vectors = dict(stored)
            made_by = str(vectors.pop("weights_sha256"))
        count = len(vectors[NUMBER.name])
        for spec in (IMAGE, NUMBER, DIGIT, SUM):
            found = vectors[spec.name]
            if (found.dtype, found.shape) != (spec.dtype, (count, *spec.shape[1:])) or not count:
                raise ValueError(f"{spec.name} is {found.dtype} {found.shape}")  # noqa: TRY301
    except Exception as error:  # numpy and zipfile raise nearly anything on broken files
        raise InputError(f"{path} holds no parity vectors: {error}") from error
    if made_by != adder.provenance.get("weights_sha256"):
        raise InputError(f"{path} is of other weights than {adder.model}: export both again")
    return vectors


def bundled_vectors() -> dict[str, NDArray[Any]]:
    """The stored answers of the bundled model; its images serve for any."""
    with np.load(BUNDLED_MODEL.with_suffix(".parity.npz"), allow_pickle=False) as stored:
        return {name: stored[name] for name in (IMAGE.name, NUMBER.name, DIGIT.name, SUM.name)}


def _doublings(most: int) -> list[int]:
    """1, 2, 4, … and `most` itself."""
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]


def _clock_us() -> float:
    """What two readings of the clock add to a measured time, in microseconds: the median."""
    clock = time.perf_counter_ns
    times = [-clock() + clock() for _ in range(1000)]
    return float(np.median(times)) / 1000
