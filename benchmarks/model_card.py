"""The table of figures in the bundled model's card."""

from __future__ import annotations

from typing import Any, TypeAlias

from benchmarks.markdown import mean_and_deviation, table
from benchmarks.robustness.writers import ALL
from edge_adder.evaluation.report import percent

Row: TypeAlias = tuple[str, str, str]
"""What, its figure, and the command that measures it."""


def figures_table(record: dict[str, Any]) -> str:
    """Return the block of the model card.

    Args:
        record: The content of ``docs/release.json``.
    """
    figures = record["figures"]
    rows = [
        *_accuracy_rows(figures, record["seeds"]),
        *_writer_rows(figures["writers"]),
        *_robustness_rows(figures),
        *_size_rows(figures),
    ]
    return table(
        ("what", "figure", "command"),
        [(what, figure, f"`{command}`") for what, figure, command in rows],
    )


_SETS = {
    "surely_wrong": "surely wrong in the worse set of writers",
    "non_digits": "non-digits left unanswered",
}


def _accuracy_rows(figures: dict[str, Any], seeds: list[dict[str, Any]]) -> list[Row]:
    test, validation = figures["test"], figures["validation"]
    error, coverage = figures["calibration_error"], figures["coverage"]
    rows: list[Row] = [
        (
            f"test accuracy, {test['pairs']:,} pairs of image and number",
            f"digit {percent(test['digit'])}, sum {percent(test['sum'])}",
            "edge-adder evaluate",
        ),
        (
            f"validation accuracy, {validation['pairs']:,} pairs",
            f"digit {percent(validation['digit'])}",
            "python -m benchmarks.release",
        ),
        (
            "expected calibration error, test",
            f"digit {percent(error['digit'])}, sum {percent(error['sum'])}",
            "edge-adder evaluate",
        ),
        (
            f"answered with `--min-probability {coverage['min_probability']:g}`, test",
            f"{percent(coverage['answered'])}, of these correct "
            f"{percent(coverage['correct']) or 'none'}",
            "edge-adder evaluate",
        ),
    ]
    if len(seeds) > 1:
        deviations = (
            f"{_SETS.get(name, name)} {mean_and_deviation([row[name] for row in seeds])}"
            for name in seeds[0]
            if name != "seed"
        )
        what = f"mean ± standard deviation of {len(seeds)} seeds, of the digit"
        rows.insert(2, (what, ", ".join(deviations), "python -m benchmarks.release"))
    return rows


def _writer_rows(figures: list[dict[str, Any]]) -> list[Row]:
    command = "python -m benchmarks.robustness.writers"
    rows = []
    for whole in (row for row in figures if row["writer"] == ALL):
        each = [row for row in figures if row["origin"] == whole["origin"] and row is not whole]
        worst = min(each, key=lambda row: float(row["correct"]))
        rows.append(
            (
                f"{whole['origin']}: {whole['count']:,} digits of {len(each)} writers that nothing "
                "was trained on",
                f"correct {percent(whole['correct'])} (worst writer {percent(worst['correct'])}), "
                f"surely wrong {percent(whole['surely_wrong'])}, uncertain "
                f"{percent(whole['uncertain'])}, refused {percent(whole['refused'])}, calibration "
                f"error {percent(whole['calibration_error'])}",
                command,
            )
        )
    return rows


def _robustness_rows(figures: dict[str, Any]) -> list[Row]:
    kinds, scenes = figures["not_answered"], figures["scenes"]
    non_digits = figures["non_digits_of_each_kind"] * len(kinds)
    digits = figures["digits_in_each_scene"]
    worst = [name for name in sorted(scenes, key=scenes.__getitem__) if scenes[name] < 1][:3]
    named = ", ".join(f"{name} {percent(scenes[name])}" for name in worst)
    return [
        (
            f"refused or uncertain, of {non_digits:,} non-digits",
            f"{percent(sum(kinds.values()) / len(kinds))}: "
            + ", ".join(f"{kind} {percent(share)}" for kind, share in kinds.items()),
            "python -m benchmarks.robustness.uncertain",
        ),
        (
            f"read, of {digits} synthetic digits in each of {len(scenes)} scenes",
            percent(sum(scenes.values()) / len(scenes)) + (f"; worst: {named}" if named else ""),
            "python -m benchmarks.robustness.conditions",
        ),
    ]


def _size_rows(figures: dict[str, Any]) -> list[Row]:
    return [
        (
            "parameters in training, with BatchNorm, and multiply-adds",
            f"{figures['parameters']:,} and {figures['multiply_adds']:,}",
            "edge-adder networks",
        ),
        (
            "parameters in the file",
            f"{figures['folded_parameters']:,}",
            "python -m benchmarks.release",
        ),
        ("file", f"{figures['size_bytes']:,} bytes", "edge-adder info"),
        (
            "largest difference from PyTorch, nats",
            f"{figures['largest_difference']:.1e}; {figures['changed_answers'] or 'no'} answers "
            f"changed in {figures['compared_pairs']:,} pairs",
            "edge-adder export",
        ),
    ]
