"""The figures of `benchmarks.score` as text, as a part of the report, and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.bounds import Bound
from benchmarks.markdown import plural, table
from benchmarks.score.turns import Turns
from export.plot_style import LIGHT_GREY, RED, plot, png, use_plain_numbers

TITLES = {
    "columns": "Arrays of 28×28",
    "files": "PNG files of 28×28",
    "photographs": "Photographs of 12 megapixels",
    "parts": "PNG files of 28×28, with and without parts",
    "ray": "PNG files of 28×28, on Ray",
}
"""The parts that are `Turns`."""

MEMORY = "memory"


def bounds(found: Mapping[str, Any]) -> list[Bound]:
    """Return the bounds on what was measured.

    Args:
        found: Parts by name, as `benchmarks.score.measure` returns them.
    """
    listed: list[Bound] = []
    if "columns" in found:
        turns = found["columns"]
        best = best_raw(turns)
        for name, limit in (("predict_columns", 0.85), ("predict_many", 0.5)):
            what = f"`{name}` over an array / the best raw run"
            listed.append(Bound(what, turns.ratio(name, best).rate, "≥", limit))
    for part, kind, limit in (("files", "28×28 files", 0.6), ("photographs", "photographs", 0.8)):
        if part not in found:
            continue
        for count in (1, 2):
            ratio = found[part].ratio(f"score, {count}", f"Pillow, {count}").rate
            processes = "one process" if count == 1 else "two processes"
            what = f"`score` of {kind} / Pillow's decoding, {processes}"
            listed.append(Bound(what, ratio, "≥", limit))
        ratio = found[part].ratio("score, 2", "score, 1").rate
        listed.append(Bound(f"`score` of {kind} on two processes / on one", ratio, "≥", 1.8))
    if MEMORY in found:
        few, many = found[MEMORY].values()
        listed.append(Bound("peak memory, ten times the rows", max(many) / max(few), "≤", 1.1))
    return listed


def best_raw(turns: Turns) -> str:
    """Return the name of the fastest raw run."""
    return max((name for name in turns.seconds if name.startswith("raw")), key=turns.rate)


def text(name: str, part: Any) -> str:
    """Return a part as lines for a terminal."""
    lines = list(_memory(part) if name == MEMORY else _rates(part))
    for bound in bounds({name: part}):
        limit = f"{bound.sign} {bound.limit:g}"
        lines.append(f"{bound.what}: {bound.ratio:.2f}, {limit}, {bound.verdict}")
    return "\n".join(lines)


def _rates(turns: Turns) -> Iterator[str]:
    yield f"{turns.rows:,} rows, median of {plural(turns.rounds, 'round')}"
    reference = _reference(turns)
    for call in turns.seconds:
        rate, cpu = turns.ratio(call, reference)
        a_second = f"{turns.rate(call):10,.1f} a second"
        yield f"{call:28}{a_second}, {rate:.2f} of {reference}; by CPU {cpu:.2f}"


def _reference(turns: Turns) -> str:
    first = next(iter(turns.seconds))
    return best_raw(turns) if first.startswith("raw") else first


def _memory(found: Mapping[str, list[int]]) -> Iterator[str]:
    for count, (first, *others) in found.items():
        each = " and ".join(f"{peak / 1e6:,.0f}" for peak in others)
        yield f"{int(count):,} rows: {first / 1e6:,.0f} MB, and its processes {each} MB"


def paragraphs(found: Mapping[str, Any], machine: Mapping[str, Any], date: str) -> list[str]:
    """Return the section of the report.

    Args:
        found: Parts by name.
        machine: What `edge_adder.environment.fingerprint` returned.
        date: When they were measured.
    """
    rows = []
    for name, title in TITLES.items():
        turns = found.get(name)
        if turns is None:
            continue
        reference = _reference(turns)
        best = best_raw(turns) if name == "columns" else ""
        for call in turns.seconds:
            if call.startswith("raw") and call != best:
                continue
            rate, cpu = turns.ratio(call, reference)
            rows.append((title, call, f"{turns.rate(call):,.0f}", f"{rate:.2f}", f"{cpu:.2f}"))
    absent = [f"Not measured: {name}." for name in (*TITLES, MEMORY) if name not in found]
    return [
        f"Measured by `python -m benchmarks.score all --publish` on {date}: {machine['cpu']}, "
        f"{plural(machine['allowed_cores'], 'core')}. The number behind a name is that of "
        "processes, each timed from its start on; Pillow decodes in as many and does nothing else. "
        "Ratios are medians over rounds in which all take turns; those by CPU compare what was "
        "taken of all cores.",
        table(("pictures", "call", "a second", "of the first", "by CPU"), rows),
        *(f"Peak memory. {line}." for line in [*_memory(found.get(MEMORY, {}))]),
        *absent,
    ]


def picture(found: Mapping[str, Any]) -> bytes:
    """Draw the rates of the files and photographs, as shares of Pillow's on as many processes."""
    shown = [name for name in ("files", "photographs") if name in found]
    with plot(8, 2.8, len(shown)) as (figure, columns):
        for axes, name in zip(columns, shown, strict=True):
            turns = found[name]
            calls = list(turns.seconds)[::-1]
            rates = [turns.rate(call) for call in calls]
            colours = [RED if call.startswith("score") else LIGHT_GREY for call in calls]
            axes.barh(calls, rates, color=colours)
            for row, rate in enumerate(rates):
                axes.text(rate, row, f" {rate:,.0f}", va="center", fontsize=9)
            axes.set(xlabel="a second", title=TITLES[name])
            axes.grid(visible=False, axis="y")
            axes.margins(x=0.2)
            axes.locator_params(axis="x", nbins=4)
            use_plain_numbers(axes.xaxis)
        return png(figure)
