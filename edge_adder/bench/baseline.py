"""Comparing a result of `edge-adder bench` with an earlier one, and when it has regressed.

Results are compared as the JSON that docs/bench.md describes.
"""

from __future__ import annotations

import json
import math
import operator
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_adder.bench.report import CALLS
from edge_adder.bench.result import SCHEMA, VERSION
from edge_adder.bench.timing import MIN_TAIL_SAMPLES, PERCENTILES, calls_beyond
from edge_adder.errors import InputError, one_line
from edge_adder.files import read_file

DEFAULT_CALL = "predict_array"
"""The kind of call whose latency is meant where none is named."""

LATENCIES = (*PERCENTILES, "max")
"""Figures of each kind of call that a limit may name."""

OTHER_FIGURES = {
    "throughput": ("throughput", "best", "images_per_second"),
    "cold_start": ("cold_start", "process"),
    "peak_memory": ("cold_start", "peak_memory_bytes"),
}
"""All other figures that a limit may name, with their path in a result."""

MAX_BASELINE_BYTES = 1_000_000
"""Largest file that is read as a result, in bytes; a result has about 5 kB."""

_FORM = re.compile(r"([a-z0-9_.]+)\s*([<>])\s*([0-9]+(?:\.[0-9]+)?)\s*x")
_SIGNS = {"<": operator.lt, ">": operator.gt}
_MORE_IS_BETTER = ("throughput",)
_CIRCUMSTANCES = (
    ("model", "sha256"),
    ("provider", "active"),
    ("threads",),
    ("spinning",),
    ("environment", "cpu"),
    ("environment", "allowed_cores"),
    ("environment", "python"),
    ("environment", "packages"),
    ("environment", "cpu_quota"),
    ("environment", "governor"),
    ("latency", "warmup"),
    ("latency", "calls", DEFAULT_CALL, "count"),
    ("cold_start", "starts"),
)
"""What should be the same in both results."""


@dataclass(frozen=True, slots=True)
class RegressionLimit:
    """How much worse than the baseline's a figure may be.

    Attributes:
        figure: Name of the figure, such as ``predict_array.p90`` or ``throughput``.
        path: Where the figure stands in a result.
        sign: ``>`` where a larger figure is worse, ``<`` where a smaller one is.
        factor: Limit, as a multiple of the baseline's figure.
    """

    figure: str
    path: tuple[str, ...]
    sign: str
    factor: float


def parse(text: str) -> RegressionLimit:
    """Read a limit such as ``p90>1.10x``, ``session_run.p50>1.05x`` or ``throughput<0.9x``.

    Raises:
        InputError: It has another form, its figure is unknown, or it would call an improvement a
            regression.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"--fail-if must be of the form FIGURE>Nx, such as p90>1.10x, got {text!r}"
        )
    figure, sign, factor = found[1], found[2], float(found[3])
    name, path = _locate(figure)
    worse = "<" if figure in _MORE_IS_BETTER else ">"
    if sign != worse:
        change = "grows" if worse == ">" else "shrinks"
        raise InputError(f"{figure} gets worse when it {change}: write {figure}{worse}{found[3]}x")
    return RegressionLimit(name, path, sign, factor)


def _locate(figure: str) -> tuple[str, tuple[str, ...]]:
    """Return a figure's full name and its path in a result."""
    if figure in OTHER_FIGURES:
        return figure, OTHER_FIGURES[figure]
    first, _, rest = figure.partition(".")  # a percentile may have a point of its own
    call, latency = (first, rest) if first in CALLS else (DEFAULT_CALL, figure)
    if latency not in LATENCIES:
        known = ", ".join((*LATENCIES, *OTHER_FIGURES))
        raise InputError(
            f"--fail-if has no figure {figure!r}: expected {known}, or CALL.p50 with CALL one of "
            f"{', '.join(CALLS)}"
        )
    return f"{call}.{latency}", ("latency", "calls", call, latency)


def load(path: Path) -> dict[str, Any]:
    """Read the result of an earlier `edge-adder bench --json`.

    Raises:
        InputError: There is no such file, or it holds something else, or a result of another
            version.
        FileAccessError: The file exists and cannot be read.
    """
    data = read_file(path, limit=MAX_BASELINE_BYTES)
    if len(data) > MAX_BASELINE_BYTES:
        raise InputError(f"{path} is too large for a result of `edge-adder bench --json`")
    try:
        result = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {one_line(error)}") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise InputError(f"{path} is not a result of `edge-adder bench --json`")
    if result.get("version") != VERSION:
        raise InputError(
            f"{path} is a result of version {result.get('version')!r}, expected {VERSION}: "
            "measure the baseline again"
        )
    return result


def check(before: dict[str, Any], limits: list[RegressionLimit], calls: int) -> None:
    """Check before measuring whether every limit can be decided.

    Args:
        before: The baseline.
        limits: What will be checked.
        calls: How many calls of each kind will be counted.

    Raises:
        InputError: A figure is invalid or missing in the baseline, or will be in the result.
    """
    for limit in limits:
        if _figure(before, limit.path) is None:
            raise InputError(f"{limit.figure} is invalid or missing in the baseline")
        percentile = PERCENTILES.get(limit.path[-1])
        if percentile is None:
            continue
        beyond = calls_beyond(calls, percentile)
        if beyond < MIN_TAIL_SAMPLES:
            raise InputError(
                f"{limit.figure} cannot be valid: of {calls:,} calls {beyond} lie beyond it, "
                f"expected {MIN_TAIL_SAMPLES} or more"
            )


def compare(
    result: dict[str, Any], before: dict[str, Any], limits: list[RegressionLimit]
) -> tuple[list[str], bool]:
    """Compare a result with a baseline.

    Args:
        result: The new result.
        before: The baseline.
        limits: What to check; where there are none, the usual figures are shown.

    Returns:
        Lines for people, and whether a figure regressed or could not be decided.
    """
    lines = [
        f"differs: {'.'.join(path)} is {_value(before, path)} in the baseline, "
        f"{_value(result, path)} here"
        for path in _CIRCUMSTANCES
        if _value(before, path) != _value(result, path)
    ]
    if not limits:
        return lines + _usual_figures(result, before), False
    regressed = False
    for limit in limits:
        now, then = _figure(result, limit.path), _figure(before, limit.path)
        if now is None or then is None:
            regressed = True
            where = "here" if now is None else "in the baseline"
            lines.append(f"{limit.figure}: invalid {where}")
            continue
        beyond = bool(_SIGNS[limit.sign](now / then, limit.factor))
        regressed = regressed or beyond
        verdict = "REGRESSED" if beyond else "within the limit"
        fails = f"fails {'above' if limit.sign == '>' else 'below'} {limit.factor:g}x"
        lines.append(f"{_side_by_side(limit.figure, now, then)}, {verdict} ({fails})")
    return lines, regressed


def _usual_figures(result: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Return a line for each of the usual figures that both results have."""
    lines = []
    for figure in ("p50", "p90", "p99", *OTHER_FIGURES):
        name, path = _locate(figure)
        now, then = _figure(result, path), _figure(before, path)
        if now is not None and then is not None:
            lines.append(_side_by_side(name, now, then))
    return lines


def _side_by_side(name: str, now: float, then: float) -> str:
    return f"{name}: {now:,.1f} against {then:,.1f}, {now / then:.2f}x"


def _figure(result: dict[str, Any], path: tuple[str, ...]) -> float | None:
    """Return a figure; None where it is missing, invalid or not above 0."""
    value = _value(result, path)
    valid = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if valid and 0 < value < math.inf else None


def _value(result: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        result = result.get(key) if isinstance(result, dict) else None
    return result
