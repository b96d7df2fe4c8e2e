"""Non-digits are drawn, read and counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="needs the development tools")

from benchmarks.robustness import uncertain
from benchmarks.robustness.negatives import LETTERS, draw_negative_pictures
from benchmarks.robustness.reading import TILE
from edge_adder import EdgeAdder

ROOT = Path(__file__).parents[3]


def test_the_pictures_are_repeatable_and_of_every_kind() -> None:
    first, again, other = (
        {
            kind: [picture.tobytes() for picture in pictures]
            for kind, pictures in draw_negative_pictures(3, seed=seed).items()
        }
        for seed in (1, 1, 2)
    )
    assert first == again
    assert [len(pictures) for pictures in first.values()] == [3] * 8
    assert all(first[kind] != other[kind] for kind in first)


def test_no_letter_looks_like_a_digit() -> None:
    assert not set(LETTERS) & set("OoDIlijJLSsZzBbGgqyYUu")


def test_non_digits_are_not_answered_as_often_as_the_model_card_says(adder: EdgeAdder) -> None:
    count = 15
    stated = json.loads((ROOT / "docs" / "release.json").read_text())["figures"]["not_answered"]
    found = {each.kind: each for each in uncertain.measure(adder, count)}
    assert found.keys() == stated.keys()
    for kind, each in found.items():
        assert each.not_answered == pytest.approx(stated[kind], abs=0.3)
    assert sum(each.not_answered for each in found.values()) / len(found) >= 0.9
    assert sum(stated.values()) / len(stated) >= 0.9
    refused = {kind: each.counts[uncertain.REFUSED] / count for kind, each in found.items()}
    assert refused["blank paper"] > 0.9
    assert refused["several digits"] > 0.9
    assert refused["letters"] == 0


def test_the_table_and_the_contact_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "7").mkdir()
    shutil.copy(ROOT / "examples" / "seven.png", tmp_path / "7")
    uncertain.main([tmp_path], count=2, limit=0.0, out=tmp_path / "answered.png")
    printed = capsys.readouterr().out
    assert "| blank paper | 2 | 100.00 % | 0.00 % | 0.00 % | 100.00 % |" in printed
    assert "| all of these | 16 | " in printed
    assert f"| digits in {tmp_path.name} | 1 | 0.00 % | 0.00 % | 100.00 % | 0.00 % |" in printed
    with Image.open(tmp_path / "answered.png") as picture:
        assert picture.width > 2 * TILE
