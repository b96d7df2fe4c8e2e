"""Strangers' pictures are counted by kind, and the wrong ones drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="the workshop needs the extra `dev`")

from benchmarks.robustness import photos

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_kinds_are_counted_and_the_wrong_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("seven.png", "three.png", "four.png"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    Image.new("L", (40, 40), 9).save(tmp_path / "blank.png")
    table = (
        "file,label,kind\nseven.png,7,ready\nthree.png,3,pen\nfour.png,8,pen\nblank.png,1,none\n"
    )
    (tmp_path / "labels.csv").write_text(table)
    photos.main(tmp_path, out=tmp_path / "wrong.png")
    told = capsys.readouterr().out
    assert "| ready | 1 | 1 | 100.00 % |" in told
    assert "| pen | 1 | 2 | 50.00 % |" in told
    assert "| none | 0 | 1 | 0.00 % |" in told
    assert "| all | 2 | 4 | 50.00 % |" in told
    assert "four.png: 8 as 4" in told
    assert "blank.png: 1 as no digit" in told
    with Image.open(tmp_path / "wrong.png") as sheet:
        assert sheet.width > 2 * photos.TILE
        assert len(np.unique(np.asarray(sheet))) > 10


def test_folders_need_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mine.png").write_bytes((EXAMPLES / "seven.png").read_bytes())
    photos.main(tmp_path, out=tmp_path / "wrong.png")
    assert "| all | 1 | 1 | 100.00 % |" in capsys.readouterr().out
    assert not (tmp_path / "wrong.png").exists()
