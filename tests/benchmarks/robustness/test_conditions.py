"""Drawn digits are found and read on paper of all sorts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="the workshop needs the extra `dev`")

from benchmarks.robustness import conditions
from edge_adder import EdgeAdder


@pytest.mark.parametrize("name", conditions.CONDITIONS)
def test_digits_are_found_and_read(adder: EdgeAdder, name: str) -> None:
    outcome = conditions.measure(adder, name, 10)
    least = 8 if name == "pencil in shade" else 9
    assert outcome.found >= least
    assert outcome.read >= least


def test_a_digit_that_is_taken_for_something_else_is_not_found(
    adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(digit: int, generator: conditions.Generator) -> conditions.Scene:
        scene = conditions.CONDITIONS["plain paper"](digit, generator)
        return conditions.Scene(scene.picture, scene.cover[::-1, ::-1])

    monkeypatch.setitem(conditions.CONDITIONS, "elsewhere", elsewhere)
    outcome = conditions.measure(adder, "elsewhere", 4)
    assert (outcome.found, outcome.read) == (0, 4)


def test_a_seed_draws_the_same(adder: EdgeAdder) -> None:
    first, again, other = (
        conditions.measure(adder, "sheet on wood", 1, seed=seed).example.tobytes()
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_table_and_the_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conditions.main(count=1, out=tmp_path / "conditions.png")
    told = capsys.readouterr().out
    assert "| plain paper | 100.00 % | 100.00 % |" in told
    assert all(f"| {name} |" in told for name in conditions.CONDITIONS)
    with Image.open(tmp_path / "conditions.png") as sheet:
        assert sheet.width > 4 * 224
