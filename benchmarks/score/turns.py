"""Calls that take turns, so that a busy machine slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Ratio(NamedTuple):
    """The rates of two calls.

    Attributes:
        rate: Median over the rounds of the first one's rate, as a share of the other's.
        cpu: The same of what they took of all cores, which other work on the machine changes less.
    """

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Turns:
    """What calls that do the same number of rows took in each round.

    Attributes:
        rows: Number of rows that each call answers.
        seconds: Seconds of the clock, by call and round.
        cpu_seconds: Seconds of all cores, those of ended processes included.
    """

    rows: int
    seconds: Mapping[str, list[float]]
    cpu_seconds: Mapping[str, list[float]]

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return len(next(iter(self.seconds.values())))

    def rate(self, name: str) -> float:
        """Return the median of a call's rows a second."""
        return self.rows / statistics.median(self.seconds[name])

    def ratio(self, name: str, reference: str) -> Ratio:
        """Return the rate of a call as a share of another's."""
        return Ratio(
            *(
                statistics.median(a / b for a, b in zip(each[reference], each[name], strict=True))
                for each in (self.seconds, self.cpu_seconds)
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


def take_turns(
    calls: Mapping[str, Callable[[], object]], rows: int, rounds: int, warmup: int = 0
) -> Turns:
    """Call everything once in each round.

    Args:
        calls: By name.
        rows: Number of rows that each call answers.
        rounds: Rounds that count.
        warmup: Rounds before them.
    """
    turns = Turns(rows, {name: [] for name in calls}, {name: [] for name in calls})
    for index in range(warmup + rounds):
        for name, call in calls.items():
            began, cpu_began = time.perf_counter(), _cpu_seconds()
            call()
            if index >= warmup:
                turns.seconds[name].append(time.perf_counter() - began)
                turns.cpu_seconds[name].append(_cpu_seconds() - cpu_began)
    return turns


def _cpu_seconds() -> float:
    """Return what this process and those it has waited for took of all cores so far."""
    import resource  # noqa: PLC0415  not on Windows

    uses = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)
