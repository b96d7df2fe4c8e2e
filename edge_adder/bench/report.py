"""The result of `edge-adder bench` as text, for a person."""

from __future__ import annotations

from typing import Any

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
"""What stands for each kind of call."""

_FIGURES = ("p50", "p90", "p99", "p99.9", "max")


def report(result: dict[str, Any]) -> str:
    """The result as a table.

    Args:
        result: What `edge_adder.bench.run.bench` returns.
    """
    return "\n".join(
        [
            *_head(result),
            "",
            *_latency(result["latency"]),
            "",
            *_throughput(result["throughput"]),
            "",
            *_cold_start(result["cold_start"]),
            "",
            *parity_lines(result["parity"]),
        ]
    )


def _head(result: dict[str, Any]) -> list[str]:
    machine, model = result["environment"], result["model"]
    quota = "" if machine["cpu_quota"] is None else f", quota {machine['cpu_quota']:g}"
    governor = "" if machine["governor"] is None else f", governor {machine['governor']}"
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items())
    cores = f"{machine['allowed_cores']} of {machine['cores']} cores"
    network = "" if model["network"] is None else f" ({model['network']})"
    return [
        f"{model['name']}{network}: {model['size_bytes']:,} bytes, SHA-256 {model['sha256'][:16]}",
        f"provider {result['provider']['active']} (asked for {result['provider']['requested']}), "
        f"{_threads(result['threads'])}{' spinning' if result.get('spinning') else ''}",
        f"{machine['cpu']}, {cores}{quota}{governor}",
        f"{machine['system']}, {machine['python']}, {packages}",
    ]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _latency(latency: dict[str, Any]) -> list[str]:
    calls = latency["calls"]
    count = calls["session_run"]["count"]
    lines = [
        f"latency in µs, {count:,} calls of each in turn after {latency['warm_up']:,} to warm up; "
        f"the clock adds {latency['clock']:.2f}",
        f"{'':22}" + "".join(f"{name:>10}" for name in _FIGURES) + f"{'first':>10}{'x raw':>8}",
    ]
    for name, title in CALLS.items():
        figures = calls[name]
        cells = "".join(_cell(figures[figure]) for figure in _FIGURES)
        lines.append(f"{title:22}{cells}{_cell(figures['first'])}{figures['ratio']:>8.2f}")
    return lines


def _cell(value: float | None) -> str:
    return f"{'invalid':>10}" if value is None else f"{value:10,.1f}"


def _throughput(throughput: dict[str, Any]) -> list[str]:
    rates = {
        (pair["batch"], pair["threads"]): pair["images_per_second"] for pair in throughput["pairs"]
    }
    threads = sorted({count for _, count in rates})
    lines = [
        "images in a second, EdgeAdder.run",
        f"{'batch':>22}" + "".join(f"{_threads(n):>12}" for n in threads),
    ]
    for size in sorted({size for size, _ in rates}):
        cells = "".join(f"{rates[size, count]:12,.0f}" for count in threads)
        lines.append(f"{size:>22}{cells}")
    best, default = throughput["best"], throughput["default"]
    lines.append(
        f"best: {best['images_per_second']:,.0f} at batch {best['batch']} on "
        f"{_threads(best['threads'])}; predict_many as it is: "
        f"{default['images_per_second']:,.0f}, {default['ratio']:.2f} of it"
    )
    return lines


def _cold_start(start: dict[str, Any]) -> list[str]:
    parts = ("interpreter", "imports", "session", "first_answer")
    peak = start["peak_memory_bytes"]
    memory = "" if peak is None else f", peak memory {peak / 1e6:.0f} MB"
    stages = ", ".join(f"{name.replace('_', ' ')} {start[name]:.0f}" for name in parts)
    return [
        f"cold start in ms, median of {start['starts']} processes: {stages}; "
        f"whole process {start['process']:.0f}{memory}"
    ]


def parity_lines(parity: dict[str, Any] | None) -> list[str]:
    """The two lines of a report on what `edge_adder.bench.run.parity` found; one where it is None."""
    if parity is None:
        return ["parity: no stored answers of PyTorch beside this model"]
    outputs = "; ".join(
        f"{name} {_difference(parity[name]['largest_difference'])}, "
        f"{parity[name]['changed_answers']} answers changed"
        for name in ("digit", "sum")
    )
    verdict = "passed" if parity["passed"] else "FAILED"
    return [
        f"parity with PyTorch, {parity['pairs']} pairs, bound {parity['bound']:g}: {verdict}",
        outputs,
    ]


def _difference(largest: float | None) -> str:
    return "is not finite" if largest is None else f"differs by at most {largest:.1e}"
