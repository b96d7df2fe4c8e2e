"""The bounds that the project sets itself, as ratios of figures from one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.markdown import table


@dataclass(frozen=True, slots=True)
class Bound:
    """A ratio and its limit.

    Attributes:
        what: The two figures.
        ratio: The measured ratio; None where one of the figures is absent.
        sign: ``≤`` or ``≥``.
        limit: The largest ratio for ``≤``, the smallest for ``≥``.
    """

    what: str
    ratio: float | None
    sign: str
    limit: float

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, or ``not measured`` where one of the figures is absent."""
        if self.ratio is None:
            return "not measured"
        met = self.ratio <= self.limit if self.sign == "≤" else self.ratio >= self.limit
        return "met" if met else "missed"


def bounds(results: dict[str, Any]) -> list[Bound]:
    """Return all bounds on what the suite measures.

    Args:
        results: What `benchmarks.suite.run_suite` returned.
    """
    calls = results["bench"]["latency"]["calls"]
    many = results["bench"]["throughput"]["default"]["ratio"]
    files, startup = results["files"]["ratio"], results["startup"]["ratio"]
    p50 = {name: row["p50"] for name, row in calls.items()}
    array = (p50["predict_array"] - p50["session_run"]) / p50["identity"]
    png = p50["predict_png"] / (p50["decode"] + p50["session_run"])
    eager, openvino = _peer_ratio(results, "PyTorch", "eager"), _peer_ratio(results, "OpenVINO")
    return [
        Bound("`EdgeAdder.run` / raw `session.run`", calls["edge_adder_run"]["ratio"], "≤", 0.95),
        Bound("(`predict` on a 28×28 array - raw `session.run`) / identity graph", array, "≤", 1),
        Bound("`predict` on a PNG's bytes / (its decoding + raw `session.run`)", png, "≤", 1.3),
        Bound("`predict_many` over arrays / best batch and threads", many, "≥", 0.5),
        Bound("`predict_many` over PNG files / Pillow on as many threads", files, "≥", 0.8),
        Bound("`edge-adder predict` / bare script with its imports", startup, "≤", 1.15),
        Bound("PyTorch eager / `EdgeAdder.run`", eager, "≥", 8.0),
        Bound("OpenVINO / `EdgeAdder.run`", openvino, "≥", 1.2),
    ]


def verdicts(
    found: Sequence[Bound], earlier: Mapping[str, Mapping[str, Any]], date: str
) -> dict[str, dict[str, Any]]:
    """Return by bound its limit, its verdict, and since when that is so.

    Args:
        found: The bounds.
        earlier: What this function returned before.
        date: When they were measured.
    """
    listed = {}
    for bound in found:
        now = {"limit": bound.limit, "verdict": bound.verdict}
        before = earlier.get(bound.what, {})
        is_same = {**before, **now} == before
        listed[bound.what] = now | {"since": before["since"] if is_same else date}
    return listed


def bounds_table(found: Sequence[Bound], since: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of bounds with their verdicts.

    Args:
        found: The bounds.
        since: What `verdicts` returned.
    """
    rows = [
        (
            bound.what,
            "" if bound.ratio is None else f"{bound.ratio:.2f}",
            f"{bound.sign} {bound.limit:g}",
            bound.verdict,
            since.get(bound.what, {}).get("since", ""),
        )
        for bound in found
    ]
    return table(("ratio", "measured", "bound", "verdict", "since"), rows)


def _peer_ratio(results: dict[str, Any], start: str, end: str = "") -> float | None:
    """Return how many times edge-adder's time a peer takes at batch 1; None where it is absent."""
    for name, row in results["peers"]["batches"]["1"].items():
        if name.startswith(start) and name.endswith(end):
            return float(row["ratio"])
    return None
