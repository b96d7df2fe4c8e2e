"""The result of `edge-adder bench`; `BenchResult.to_dict` gives the JSON of docs/bench.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_adder.bench.timing import ROUND_WARMUP, CallLatency
from edge_adder.parity import OutputParity, ParityResult

SCHEMA = "edge_adder.bench"
VERSION = 1
"""Version of the JSON's form."""

REFERENCE_CALL = "session_run"
"""The kind of call that all latencies are compared with."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that was measured.

    Attributes:
        name: Its path; ``default`` for the bundled model, ``bytes`` for one given as bytes.
        network: Name of its network in its provenance; None where it has none.
        sha256: SHA-256 of the file, in hexadecimal.
        size_bytes: Size of the file.
        batch: Batch size that it is fixed at; every latency is then of a whole batch. None where it
            takes any.
    """

    name: str
    network: str | None
    sha256: str
    size_bytes: int
    batch: int | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of a prediction, of its stages and of its floor.

    Attributes:
        warmup: Calls of each kind before those that count.
        clock: What reading the clock adds to each time, in microseconds.
        calls: By kind of call, in the order in which they were measured.
    """

    warmup: int
    clock: float
    calls: dict[str, CallLatency]

    def to_dict(self) -> dict[str, Any]:
        """Return the latency in JSON's types."""
        return {
            "unit": "us",
            "warmup": self.warmup,
            "clock": self.clock,
            "round_warmup": ROUND_WARMUP,
            "calls": {name: call.to_dict() for name, call in self.calls.items()},
        }


@dataclass(frozen=True, slots=True)
class RunThroughput:
    """Throughput of `EdgeAdder.run` at one batch size and number of threads.

    Attributes:
        batch: Images in a run.
        threads: Number of onnxruntime's threads for a run.
        images_per_second: Median over the rounds.
    """

    batch: int
    threads: int
    images_per_second: float


@dataclass(frozen=True, slots=True)
class DefaultThroughput:
    """Throughput of `EdgeAdder.predict_many` without options, over an array of images.

    Attributes:
        images_per_second: Median over the rounds.
        ratio: Ratio to the best pair of batch and threads, median over the rounds.
    """

    images_per_second: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Images per second.

    Attributes:
        pairs: `EdgeAdder.run` at each pair of batch size and threads.
        best: The pair with the most images per second.
        default: `EdgeAdder.predict_many` without options.
    """

    pairs: list[RunThroughput]
    best: RunThroughput
    default: DefaultThroughput


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Stages of a fresh process that predicts once; medians over several, in milliseconds.

    Attributes:
        starts: Number of processes.
        interpreter: From just before the process is started to its first line.
        imports: Importing `edge_adder`.
        session: Loading the model.
        first_answer: The first prediction.
        process: From just before the process is started to after it ended.
        peak_memory_bytes: Largest resident size of all processes; None where the system does not
            report it.
    """

    starts: int
    interpreter: float
    imports: float
    session: float
    first_answer: float
    process: float
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What was measured of a model on a device.

    Attributes:
        environment: The machine, as `edge_adder.environment.fingerprint` returns it.
        model: The model.
        requested_provider: The execution provider that was requested, which may be ``auto``.
        provider: The one that ran the model.
        threads: Number of onnxruntime's threads for a run, in latency and cold start.
        spinning: Whether idle threads wait in a busy loop.
        latency: One call at a time.
        throughput: Images per second.
        cold_start: Fresh processes.
        parity: Comparison with PyTorch's answers; None where none are stored beside the model.
    """

    environment: dict[str, Any]
    model: ModelFacts
    requested_provider: str
    provider: str
    threads: int
    spinning: bool
    latency: Latency
    throughput: Throughput
    cold_start: ColdStart
    parity: ParityResult | None

    @property
    def passed(self) -> bool:
        """Whether parity did not fail."""
        return self.parity is None or self.parity.passed

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON's types, as docs/bench.md describes it."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "environment": self.environment,
            "model": asdict(self.model),
            "provider": {"requested": self.requested_provider, "active": self.provider},
            "threads": self.threads,
            "spinning": self.spinning,
            "latency": self.latency.to_dict(),
            "throughput": asdict(self.throughput),
            "cold_start": {"unit": "ms", **asdict(self.cold_start)},
            "parity": None if self.parity is None else self.parity.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> BenchResult:
        """Return the result that `to_dict` was called on, such as to report a stored one."""
        latency, rates, parity = (stored[key] for key in ("latency", "throughput", "parity"))
        calls = {name: CallLatency.from_dict(call) for name, call in latency["calls"].items()}
        stages = {key: value for key, value in stored["cold_start"].items() if key != "unit"}
        return cls(
            environment=stored["environment"],
            model=ModelFacts(**stored["model"]),
            requested_provider=stored["provider"]["requested"],
            provider=stored["provider"]["active"],
            threads=stored["threads"],
            spinning=stored["spinning"],
            latency=Latency(latency["warmup"], latency["clock"], calls),
            throughput=Throughput(
                pairs=[RunThroughput(**pair) for pair in rates["pairs"]],
                best=RunThroughput(**rates["best"]),
                default=DefaultThroughput(**rates["default"]),
            ),
            cold_start=ColdStart(**stages),
            parity=parity
            and ParityResult(
                pairs=parity["pairs"],
                digit=OutputParity(**parity["digit"]),
                sum=OutputParity(**parity["sum"]),
                max_changed=parity.get("max_changed"),
            ),
        )
