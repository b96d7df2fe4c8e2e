"""The result of `edge-adder bench` as text."""

from __future__ import annotations

from edge_adder.bench.result import REFERENCE_CALL, BenchResult, ColdStart, Latency, Throughput
from edge_adder.bench.timing import MIN_TAIL_SAMPLES, PERCENTILES

CALLS = {
    "identity": "identity graph",
    "session_run": "raw session.run",
    "edge_adder_run": "EdgeAdder.run",
    "decode": "decode a PNG",
    "prepare": "prepare the image",
    "result": "make the result",
    "predict_array": "predict, 28x28 array",
    "predict_png": "predict, PNG bytes",
}
"""Title of each kind of call."""

_RATIO = "x session.run"
"""Title of the column of ratios."""


def report(result: BenchResult) -> str:
    """Return the result as a table for people."""
    parts = (
        _head(result),
        _latency(result.latency),
        _throughput(result.throughput),
        _cold_start(result.cold_start),
        ["parity: no stored answers of PyTorch beside this model"]
        if result.parity is None
        else result.parity.describe(),
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def _head(result: BenchResult) -> list[str]:
    machine, model = result.environment, result.model
    quota = "" if machine["cpu_quota"] is None else f", quota {machine['cpu_quota']:g}"
    governor = "" if machine["governor"] is None else f", governor {machine['governor']}"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    cores = f"{machine['allowed_cores']} of {machine['cores']} cores"
    network = "" if model.network is None else f" ({model.network})"
    return [
        f"{model.name}{network}: {model.size_bytes:,} bytes, SHA-256 {model.sha256[:16]}",
        f"provider {result.provider} (requested {result.requested_provider}), "
        f"{_threads(result.threads)}{' spinning' if result.spinning else ''}",
        f"{machine['cpu']}, {cores}{quota}{governor}",
        f"{machine['system']}, {machine['python']}, {packages}",
    ]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _latency(latency: Latency) -> list[str]:
    count = latency.calls[REFERENCE_CALL].count
    names = (*PERCENTILES, "max", "first")
    lines = [
        f"latency in µs, {count:,} calls of each kind, interleaved, after {latency.warmup:,} to "
        f"warm up; reading the clock adds {latency.clock:.2f}",
        f"{'':22}" + "".join(f"{name:>10}" for name in names) + f"{_RATIO:>{len(_RATIO) + 1}}",
    ]
    for name, title in CALLS.items():
        call = latency.calls[name]
        cells = "".join(
            _cell(value) for value in (*call.percentiles.values(), call.max, call.first)
        )
        lines.append(f"{title:22}{cells}{call.ratio:>{len(_RATIO) + 1}.2f}")
    if any(None in call.percentiles.values() for call in latency.calls.values()):
        lines.append(f"-: fewer than {MIN_TAIL_SAMPLES} calls lie beyond this percentile")
    return lines


def _cell(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:10,.1f}"


def _throughput(throughput: Throughput) -> list[str]:
    rates = {(pair.batch, pair.threads): pair.images_per_second for pair in throughput.pairs}
    threads = sorted({count for _, count in rates})
    lines = [
        "images per second, EdgeAdder.run",
        f"{'batch':>22}" + "".join(f"{_threads(n):>12}" for n in threads),
    ]
    for size in sorted({size for size, _ in rates}):
        cells = "".join(f"{rates[size, count]:12,.0f}" for count in threads)
        lines.append(f"{size:>22}{cells}")
    best, default = throughput.best, throughput.default
    lines.append(
        f"best: {best.images_per_second:,.0f} at batch {best.batch} on {_threads(best.threads)}; "
        f"predict_many without options: {default.images_per_second:,.0f} "
        f"({default.ratio:.2f} of the best)"
    )
    return lines


def _cold_start(start: ColdStart) -> list[str]:
    peak = start.peak_memory_bytes
    memory = "" if peak is None else f", peak memory {peak / 1e6:.0f} MB"
    return [
        f"cold start in ms, median of {start.starts} processes: "
        f"interpreter {start.interpreter:.0f}, imports {start.imports:.0f}, "
        f"session {start.session:.0f}, first answer {start.first_answer:.0f}; "
        f"whole process {start.process:.0f}{memory}"
    ]
