"""Two results of `edge-adder bench` side by side, and conditions under which one regressed."""

from __future__ import annotations

import json
import math
import operator
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_adder.bench.report import CALLS
from edge_adder.bench.run import MIN_TAIL_SAMPLES, SCHEMA, VERSION, rank
from edge_adder.errors import FileAccessError, InputError

DEFAULT_CALL = "predict_array"
"""Whose percentile a figure without a call is."""

_PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
_OTHERS = {
    "throughput": ("throughput", "best", "images_per_second"),
    "cold_start": ("cold_start", "process"),
    "peak_memory": ("cold_start", "peak_memory_bytes"),
}
_FORM = re.compile(r"([a-z0-9_.]+)\s*([<>])\s*([0-9]+(?:\.[0-9]+)?)\s*x")
_SIGNS = {"<": operator.lt, ">": operator.gt}
_MORE_IS_BETTER = ("throughput",)
_NOTED = (
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
    ("latency", "warm_up"),
    ("latency", "calls", "predict_array", "count"),
    ("cold_start", "starts"),
)


@dataclass(frozen=True, slots=True)
class RegressionLimit:
    """A figure regressed where it is above or below a factor of the baseline's.

    Attributes:
        figure: Such as ``predict_array.p90`` or ``throughput``.
        path: Where it stands in a result.
        sign: ``>`` or ``<``.
        factor: Of the baseline's figure.
    """

    figure: str
    path: tuple[str, ...]
    sign: str
    factor: float


def parse(text: str) -> RegressionLimit:
    """Read a condition such as ``p90>1.10x``, ``session_run.p50>1.05x`` or ``throughput<0.9x``.

    Raises:
        InputError: It is of another form, there is no such figure, or it holds where the figure is
            better.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"--fail-if must be of the form FIGURE>Nx, such as p90>1.10x, got {text!r}"
        )
    figure, sign, factor = found[1], found[2], float(found[3])
    worse = "<" if figure in _MORE_IS_BETTER else ">"
    call, _, percentile = (
        figure.partition(".") if figure.split(".")[0] in CALLS else (DEFAULT_CALL, "", figure)
    )
    if figure not in _OTHERS and percentile not in _PERCENTILES:
        known = ", ".join((*_PERCENTILES, *_OTHERS))
        raise InputError(
            f"--fail-if knows {known}, and percentiles of {', '.join(CALLS)}; got {figure!r}"
        )
    if sign != worse:
        raise InputError(f"{figure} regresses with {worse}, got {text!r}")
    if figure in _OTHERS:
        return RegressionLimit(figure, _OTHERS[figure], sign, factor)
    path = ("latency", "calls", call, percentile)
    return RegressionLimit(f"{call}.{percentile}", path, sign, factor)


def load(path: Path) -> dict[str, Any]:
    """Read the result of an earlier `edge-adder bench --json`.

    Raises:
        InputError: It is none, or of another version.
        FileAccessError: The file cannot be read.
    """
    try:
        result = json.loads(path.read_bytes())
    except OSError as error:
        raise FileAccessError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise InputError(f"{path} is no result of `edge-adder bench --json`")
    if result.get("version") != VERSION:
        raise InputError(
            f"{path} is a result of version {result.get('version')!r}, expected {VERSION}: "
            "measure the baseline again"
        )
    return result


def check(before: dict[str, Any], conditions: list[RegressionLimit], calls: int) -> None:
    """Find out before measuring whether every condition can be decided.

    Args:
        before: The baseline.
        conditions: What will be checked.
        calls: That will be timed of each kind.

    Raises:
        InputError: A figure is invalid or missing in the baseline, or will be.
    """
    for condition in conditions:
        if _figure(before, condition) is None:
            raise InputError(f"{condition.figure} is invalid or missing in the baseline")
        last = condition.path[-1]
        if last.startswith("p9") or last == "p50":
            beyond = calls - 1 - rank(calls, float(last[1:]))
            if beyond < MIN_TAIL_SAMPLES:
                raise InputError(
                    f"{condition.figure} cannot be valid: of {calls:,} calls {beyond} lie beyond "
                    f"it, expected {MIN_TAIL_SAMPLES} or more"
                )


def compare(
    result: dict[str, Any], before: dict[str, Any], conditions: list[RegressionLimit]
) -> tuple[list[str], bool]:
    """Say how the conditions' figures changed; without conditions, how the usual ones did.

    Args:
        result: Of now.
        before: The baseline.
        conditions: What to check.

    Returns:
        Lines for a person, and whether a condition holds or cannot be decided.
    """
    lines = [
        f"the baseline has another {' '.join(path)}: {_value(before, path)}, here "
        f"{_value(result, path)}"
        for path in _NOTED
        if _value(before, path) != _value(result, path)
    ]
    regressed = False
    for condition in conditions:
        now, then = _figure(result, condition), _figure(before, condition)
        if now is None or then is None:
            regressed = True
            lines.append(f"{condition.figure}: invalid {'here' if now is None else 'before'}")
            continue
        holds = bool(_SIGNS[condition.sign](now / then, condition.factor))
        regressed = regressed or holds
        lines.append(
            f"{condition.figure}: {now:,.1f} against {then:,.1f}, {now / then:.2f}x: "
            f"{'REGRESSED' if holds else 'held'} ({condition.sign}{condition.factor:g}x)"
        )
    if not conditions:
        shown = [parse(f"{figure}>1x") for figure in ("p50", "p90", "p99")]
        shown += [RegressionLimit(figure, path, "", 1) for figure, path in _OTHERS.items()]
        for condition in shown:
            pair = _value(result, condition.path), _value(before, condition.path)
            if all(isinstance(value, (int, float)) and value for value in pair):
                now, then = pair
                lines.append(
                    f"{condition.figure}: {now:,.1f} against {then:,.1f}, {now / then:.2f}x"
                )
    return lines, regressed


def _figure(result: dict[str, Any], condition: RegressionLimit) -> float | None:
    """A condition's figure; None where it is missing, invalid or not above 0."""
    value = _value(result, condition.path)
    valid = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if valid and 0 < value < math.inf else None


def _value(result: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        result = result.get(key) if isinstance(result, dict) else None
    return result
