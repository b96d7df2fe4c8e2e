"""Pictures without a digit are drawn, asked and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="the workshop needs the extra `dev`")

from benchmarks.robustness import uncertain
from benchmarks.robustness.negatives import LETTERS, draw_negative_pictures
from edge_adder import EdgeAdder

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_pictures_are_repeatable_and_of_every_kind() -> None:
    first, again, other = (draw_negative_pictures(3, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 8
    for kind, pictures in first.items():
        assert len(pictures) == 3
        for one, same in zip(pictures, again[kind], strict=True):
            assert one.tobytes() == same.tobytes()
        assert any(
            one.tobytes() != another.tobytes()
            for one, another in zip(pictures, other[kind], strict=True)
        )


def test_no_letter_is_a_digits_twin() -> None:
    assert not set(LETTERS) & set("OoDIlijJLSsZzBbGgqyYUu")


def test_the_model_card_says_how_much_is_not_answered(adder: EdgeAdder) -> None:
    stated = json.loads((EXAMPLES.parent / "docs" / "renewed.json").read_text())["figures"]
    found = uncertain.measure(adder, 25)
    for each in found:
        assert each.not_answered == pytest.approx(stated["not_answered"][each.kind], abs=0.3)
    assert sum(each.not_answered for each in found) / len(found) >= 0.9
    assert sum(stated["not_answered"].values()) / len(found) >= 0.9
    refused = {each.kind: each.counts[uncertain.REFUSED] / 25 for each in found}
    assert refused["blank paper"] > 0.9
    assert refused["several digits"] > 0.9
    assert refused["letters"] == 0


def test_the_table_and_the_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mine.png").write_bytes((EXAMPLES / "seven.png").read_bytes())
    uncertain.main([tmp_path], count=2, limit=0.0, out=tmp_path / "answered.png")
    told = capsys.readouterr().out
    assert "| blank paper | 2 | 100.00 % | 0.00 % | 0.00 % | 100.00 % |" in told
    assert "| all of these | 16 | " in told
    name = f"digits in {tmp_path.name}"
    assert f"| {name} | 1 | 0.00 % | 0.00 % | 100.00 % | 0.00 % |" in told
    with Image.open(tmp_path / "answered.png") as sheet:
        assert sheet.width > 2 * 112
