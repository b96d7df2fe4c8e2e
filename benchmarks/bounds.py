"""The bounds that the project sets itself, as ratios of figures from one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
    """Return all bounds.

    Args:
        results: What `benchmarks.suite.run_suite` returned.
    """
    calls = results["bench"]["latency"]["calls"]
    many = results["bench"]["throughput"]["default"]["ratio"]
    files, startup = results["files"]["ratio"], results["startup"]["ratio"]
    run, array = (calls[name]["ratio"] for name in ("edge_adder_run", "predict_array"))
    eager, openvino = _peer_ratio(results, "PyTorch", "eager"), _peer_ratio(results, "OpenVINO")
    return [
        Bound("`EdgeAdder.run` / raw `session.run`", run, "≤", 1.10),
        Bound("`predict` on a 28×28 array / raw `session.run`", array, "≤", 1.5),
        Bound("`predict_many` over arrays / best batch and threads", many, "≥", 0.95),
        Bound("`predict_many` over PNG files / Pillow on as many threads", files, "≥", 0.8),
        Bound("`edge-adder predict` / bare script with its imports", startup, "≤", 1.15),
        Bound("PyTorch eager / `EdgeAdder.run`", eager, "≥", 8.0),
        Bound("OpenVINO / `EdgeAdder.run`", openvino, "≥", 1.2),
    ]


def _peer_ratio(results: dict[str, Any], start: str, end: str = "") -> float | None:
    """Return how many times edge-adder's time a peer takes at batch 1; None where it is absent."""
    for name, row in results["peers"]["batches"]["1"].items():
        if name.startswith(start) and name.endswith(end):
            return float(row["ratio"])
    return None
