"""Real-world pictures are counted by kind, and those read wrongly are drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="needs the development tools")

from benchmarks.robustness import photos, preparation
from benchmarks.robustness.reading import TILE

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_kinds_are_counted_and_the_wrong_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("seven.png", "three.png", "four.png"):
        shutil.copy(EXAMPLES / name, tmp_path)
    Image.new("L", (40, 40), 9).save(tmp_path / "blank.png")
    rows = ("seven.png,7,ready", "three.png,3,pen", "four.png,8,pen", "blank.png,1,none")
    (tmp_path / "labels.csv").write_text("\n".join(("file,label,kind", *rows)))
    photos.main(tmp_path, out=tmp_path / "wrong.png")
    printed = capsys.readouterr().out
    for line in (
        "| ready | 1 | 1 | 100.00 % |",
        "| pen | 1 | 2 | 50.00 % |",
        "| none | 0 | 1 | 0.00 % |",
        "| all | 2 | 4 | 50.00 % |",
        "four.png: 8 as 4",
        "blank.png: 1 refused",
    ):
        assert line in printed
    with Image.open(tmp_path / "wrong.png") as picture:
        assert picture.width > 2 * TILE
        assert len(np.unique(np.asarray(picture))) > 10


def test_folders_need_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "7").mkdir()
    shutil.copy(EXAMPLES / "seven.png", tmp_path / "7")
    photos.main(tmp_path, out=tmp_path / "wrong.png")
    assert "| all | 1 | 1 | 100.00 % |" in capsys.readouterr().out
    assert not (tmp_path / "wrong.png").exists()


def test_the_search_is_timed_by_kind_in_larger_pictures(tmp_path: Path) -> None:
    for name in ("seven.png", "three.png", "five.jpg"):
        shutil.copy(EXAMPLES / name, tmp_path)
    rows = ("seven.png,7,ready", "three.png,3,pen", "five.jpg,5,photo")
    (tmp_path / "labels.csv").write_text("\n".join(("file,label,kind", *rows)))
    found = preparation.measure_search(tmp_path)
    assert [*found] == ["pen", "photo"]  # the seven has 28 pixels
    assert min(found.values()) > 0
