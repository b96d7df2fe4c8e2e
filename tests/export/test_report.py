"""What is shown of a training."""

from __future__ import annotations

import re

import pytest

from export.config import TrainConfig
from export.report import ProgressBar


@pytest.mark.parametrize("no_color", ["", "1"])
def test_the_bar_has_colours_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_color: str
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm-256color"), ("NO_COLOR", no_color)):
        monkeypatch.setenv(name, value)
    with ProgressBar() as bar:
        bar.start(TrainConfig.for_network("edge"), done_epochs=0, steps_per_epoch=10)
    shown = capsys.readouterr().err
    assert "epoch 1/" in shown
    assert bool(re.search(r"\x1b\[[0-9;]*m", shown)) == (not no_color)
