"""The figures of an evaluation as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that whoever needs `percent` loads nothing else
    from edge_adder.evaluation.metrics import Coverage, Evaluation


def percent(fraction: float | None, decimals: int = 2) -> str:
    """Return a fraction as ``99.57 %``, the one way in which the project writes percentages.

    Args:
        fraction: 0 to 1, or None for an empty text.
        decimals: Digits after the decimal point.
    """
    return "" if fraction is None else f"{100 * fraction:.{decimals}f} %"


def report(evaluation: Evaluation) -> str:
    """Return the figures as text of several lines."""
    network = "" if evaluation.network is None else f" ({evaluation.network})"
    lines = [
        f"{evaluation.model}{network} on {evaluation.data}: "
        f"{_pictures(evaluation.images)} x 10 numbers",
        "",
        f"digit {percent(evaluation.digit):>9}   "
        f"calibration error {percent(evaluation.digit_calibration_error)}",
        f"sum   {percent(evaluation.sum):>9}   "
        f"calibration error {percent(evaluation.sum_calibration_error)}",
        f"the sum is the digit + number in {percent(evaluation.agreement)} of the answers",
        "",
        *_coverage_lines(evaluation.coverage),
        "",
        *_rate_lines(evaluation),
        *_group_lines(evaluation),
        "",
        _pictures(
            len(evaluation.wrong),
            "was answered wrongly for at least one number",
            "were answered wrongly for at least one number",
        ),
    ]
    if evaluation.unreadable:
        count = len(evaluation.unreadable)
        one, many = "it counts as wrong", "they count as wrong"
        lines.append(_pictures(count, f"could not be read; {one}", f"could not be read; {many}"))
    if evaluation.unlabelled:
        one, many = "has no label and was skipped", "have no label and were skipped"
        lines.append(_pictures(evaluation.unlabelled, one, many))
    return "\n".join(lines)


def _pictures(count: int, one: str = "", many: str = "") -> str:
    """Return a number of pictures, and what is said of one picture or of several."""
    return (f"1 picture {one}" if count == 1 else f"{count:,} pictures {many}").rstrip()


def _coverage_lines(coverage: list[Coverage]) -> Iterator[str]:
    """Yield three lines with a column for each minimum probability."""
    rows = {
        "--min-probability": [f"{each.min_probability:g}" for each in coverage],
        "answered": [percent(each.answered) for each in coverage],
        "of these correct": [percent(each.correct) or "-" for each in coverage],
    }
    for name, values in rows.items():
        yield f"{name:18}" + "".join(f"{value:>9}" for value in values)


def _rate_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield a table with a row for each value of digit, number and sum."""
    yield "         with this digit      with this number        with this sum"
    yield "        digit       sum       digit       sum       digit       sum     pairs"
    for by_sum in evaluation.by_sum:
        line = f"{by_sum.value:4}"
        for rates in (evaluation.by_digit, evaluation.by_number, evaluation.by_sum):
            rate = rates[by_sum.value] if by_sum.value < len(rates) else None
            digit, total = (percent(rate.digit), percent(rate.sum)) if rate else ("", "")
            line += f"  {digit:>10}{total:>10}"
        yield f"{line}{by_sum.pairs:10,}"


def _group_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield a table for each column of the labelled pictures: a row for each of its values."""
    for column, rates in evaluation.by_group.items():
        width = max(len(column), *(len(rate.value) for rate in rates))
        yield f"\n{column:{width}}     digit       sum  pictures"
        for rate in rates:
            digit, total = percent(rate.digit), percent(rate.sum)
            yield f"{rate.value:{width}}{digit:>10}{total:>10}{rate.images:10,}"
