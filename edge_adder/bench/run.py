"""`edge-adder bench`: how fast a model is on this device, and whether its answers are correct.

What is measured:

- Latency: calls of the `EdgeAdder` that users have, one at a time, as `edge_adder.bench.timing`
  times them. All kinds of call get the same image, 28×28 with light ink; files are in memory.
- Floor: the same call of a graph that returns its inputs, and what reading the clock adds.
- Throughput: the median over several rounds of every batch size and number of threads.
- Cold start: fresh processes, timed from just before they are started; the median of several.
- Parity: the largest difference from PyTorch's answers that are stored beside the model.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_adder.bench.cold_start import cold_start
from edge_adder.bench.result import (
    REFERENCE_CALL,
    BenchResult,
    DefaultThroughput,
    Latency,
    ModelFacts,
    RunThroughput,
    Throughput,
)
from edge_adder.bench.timing import (
    IDENTITY_MODEL,
    CallLatency,
    Times,
    clock_overhead,
    time_interleaved,
)
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.environment import MAX_THREADS, allowed_cores, fingerprint
from edge_adder.model_file import read_bundled
from edge_adder.parity import bundled_vectors, check_parity, load_vectors
from edge_adder.prediction import make_prediction
from edge_adder.predictor import EdgeAdder
from edge_adder.preprocessing.decode import decode, encode_png
from edge_adder.preprocessing.prepare import prepare_image
from edge_adder.session import open_session


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """How much is measured.

    Attributes:
        calls: Counted calls of each kind.
        warmup: Calls of each kind before those.
        run_seconds: Duration of each measurement of a throughput.
        rounds: How often each throughput is measured.
        batches: Batch sizes of the throughput.
        many: Images that `EdgeAdder.predict_many` gets at once.
        starts: Fresh processes.
    """

    calls: int
    warmup: int
    run_seconds: float
    rounds: int
    batches: tuple[int, ...]
    many: int
    starts: int


FULL = BenchConfig(
    calls=20_000,
    warmup=500,
    run_seconds=0.1,
    rounds=5,
    batches=tuple(2**power for power in range(11)),
    many=10_000,
    starts=10,
)
QUICK = BenchConfig(
    calls=1_500,
    warmup=100,
    run_seconds=0.02,
    rounds=3,
    batches=(1, 16, 64, 256),
    many=2_000,
    starts=3,
)
"""Takes less than 10 seconds for the bundled model."""


def bench(
    adder: EdgeAdder,
    *,
    config: BenchConfig = FULL,
    progress: Callable[[str], object] = lambda _: None,
) -> BenchResult:
    """Measure a model on this device.

    Args:
        adder: The model, loaded as it will be used.
        config: `FULL`, `QUICK` or another.
        progress: Is called with the name of each part that begins.

    Raises:
        InputError: The stored parity vectors cannot be read or belong to other weights.
        EdgeAdderError: A fresh process failed.
    """
    vectors = load_vectors(adder)
    images = (vectors or bundled_vectors())[IMAGE.name]
    progress("latency")
    times = time_calls(adder, images, config)
    progress("throughput")
    rates = throughput(adder, images, config)
    progress("cold start")
    start = cold_start(adder, config.starts)
    progress("parity")
    return BenchResult(
        environment=fingerprint(),
        model=_describe(adder),
        requested_provider=adder.requested_provider,
        provider=adder.provider,
        threads=adder.threads,
        spinning=adder.spinning,
        latency=_summarize(times, config.warmup),
        throughput=rates,
        cold_start=start,
        parity=None if vectors is None else check_parity(adder, vectors),
    )


def _describe(adder: EdgeAdder) -> ModelFacts:
    return ModelFacts(
        name=adder.model,
        network=adder.provenance.get("network"),
        sha256=adder.model_sha256,
        size_bytes=len(adder.model_bytes),
        batch=adder.batch,
    )


def _summarize(times: dict[str, Times], warmup: int) -> Latency:
    reference = times[REFERENCE_CALL]
    calls = {name: CallLatency.from_times(each, reference) for name, each in times.items()}
    return Latency(warmup, clock_overhead(), calls)


def time_calls(
    adder: EdgeAdder, images: NDArray[np.uint8], config: BenchConfig
) -> dict[str, Times]:
    """Time a prediction, its stages and its floor.

    Args:
        adder: The model.
        images: uint8 (count, 1, 28, 28), at least one; the first is used.
        config: How many calls.

    Returns:
        Times by kind of call.
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
    identity = open_session(read_bundled(IDENTITY_MODEL), *session, spinning=adder.spinning).run
    answer = np.concatenate(raw(names, feeds), axis=1)[0]
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
    return time_interleaved(calls, config.calls, config.warmup)


def throughput(adder: EdgeAdder, images: NDArray[np.uint8], config: BenchConfig) -> Throughput:
    """Measure images per second over batch sizes and threads, and of `EdgeAdder.predict_many`.

    All take part in each round. The answers of `predict_many` are taken and dropped.

    Args:
        adder: The model; where its batch is fixed, that is the only batch size.
        images: uint8 (count, 1, 28, 28).
        config: How long.
    """
    runs = _open_runs(adder, images, config.batches if adder.batch is None else (adder.batch,))
    prepared = np.resize(images, (config.many, *images.shape[1:]))[:, 0]
    added = np.arange(len(prepared)) % 10
    rates: dict[tuple[int, int], list[float]] = {pair: [] for pair in runs}
    default: list[float] = []
    for _ in range(config.rounds):
        for (size, threads), run in runs.items():
            rates[size, threads].append(size / _mean_seconds(run, config.run_seconds))
        seconds = _mean_seconds(
            lambda: deque(adder.predict_many(prepared, added), maxlen=0), config.run_seconds
        )
        default.append(len(prepared) / seconds)
    pairs = [RunThroughput(*pair, float(np.median(values))) for pair, values in rates.items()]
    best = max(pairs, key=lambda pair: pair.images_per_second)
    ratios = np.array(default) / rates[best.batch, best.threads]
    return Throughput(
        pairs=pairs,
        best=best,
        default=DefaultThroughput(float(np.median(default)), float(np.median(ratios))),
    )


def _open_runs(
    adder: EdgeAdder, images: NDArray[np.uint8], sizes: Sequence[int]
) -> dict[tuple[int, int], Callable[[], object]]:
    """Return a run of each batch size on each number of threads, by both."""
    many = np.resize(images, (max(sizes), *images.shape[1:]))
    numbers = np.arange(len(many)) % 10
    runs: dict[tuple[int, int], Callable[[], object]] = {}
    for threads in sorted({*_doublings(min(allowed_cores(), MAX_THREADS)), adder.threads}):
        options: dict[str, Any] = {"provider": adder.provider, "spinning": adder.spinning}
        other = EdgeAdder(adder.model_bytes, threads=threads, **options)
        for size in sizes:
            runs[size, threads] = partial(other.run, many[:size], numbers[:size])
    return runs


def _mean_seconds(call: Callable[[], object], seconds: float) -> float:
    """Return the mean time of at least two calls, over `seconds`; one more call comes first."""
    call()
    began = time.perf_counter_ns()
    calls = 0
    while calls < 2 or time.perf_counter_ns() - began < seconds * 1e9:
        call()
        calls += 1
    return (time.perf_counter_ns() - began) / 1e9 / calls


def _doublings(most: int) -> list[int]:
    """Return 1, 2, 4, … and `most` itself."""
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]
