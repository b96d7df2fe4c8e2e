"""The bounds that the project sets itself, as ratios of figures from one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bound:
    """A ratio and where it must stay.

    Attributes:
        what: The two figures.
        ratio: As measured; None where one of them is absent.
        sign: ``≤`` or ``≥``.
        limit: Of the ratio.
    """

    what: str
    ratio: float | None
    sign: str
    limit: float

    @property
    def verdict(self) -> str:
        """``held``, ``missed``, or ``not measured`` where one of the two is absent."""
        if self.ratio is None:
            return "not measured"
        held = self.ratio <= self.limit if self.sign == "≤" else self.ratio >= self.limit
        return "held" if held else "missed"


def bounds(results: dict[str, Any]) -> list[Bound]:
    """All bounds.

    Args:
        results: Of a suite, as `benchmarks.suite.run_suite` returns them.
    """
    calls = results["bench"]["latency"]["calls"]
    many = results["bench"]["throughput"]["default"]["ratio"]
    peers = results["peers"]["batches"]["1"]

    def against_us(start: str, end: str = "") -> float | None:
        found = [
            row["ratio"]
            for name, row in peers.items()
            if name.startswith(start) and name.endswith(end)
        ]
        return found[0] if found else None

    run, array = (calls[name]["ratio"] for name in ("edge_adder_run", "predict_array"))
    return [
        Bound("`EdgeAdder.run` / raw `session.run`", run, "≤", 1.10),
        Bound("`predict` on a 28×28 array / raw `session.run`", array, "≤", 1.5),
        Bound("`predict_many` over ready arrays / best pair of batch and threads", many, "≥", 0.95),
        Bound(
            "`predict_many` over PNG files / Pillow on as many threads",
            results["files"]["ratio"],
            "≥",
            0.8,
        ),
        Bound(
            "`edge-adder predict` / bare script with its imports",
            results["startup"]["ratio"],
            "≤",
            1.15,
        ),
        Bound("PyTorch eager / `EdgeAdder.run`", against_us("PyTorch", "eager"), "≥", 8.0),
        Bound("OpenVINO / `EdgeAdder.run`", against_us("OpenVINO"), "≥", 1.2),
    ]
