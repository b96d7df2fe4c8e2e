"""Handwriting as images to train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from edge_adder import prepare_image
from edge_adder.errors import InputError
from export import train as training
from export.config import TrainConfig
from export.handwriting import load
from export.handwriting.sets import HANDWRITING_VARIABLE, NUMBERS, digest
from export.handwriting.trajectories import Trajectory, parse_unipen
from export.synthetic.negatives import NON_DIGIT

WRITERS = ("0001_AA", "0002_BB")


def seven(slant: int) -> Image.Image:
    picture = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(picture).line([(12, 12), (45, 12), (30 - slant, 50)], fill=0, width=5)
    return picture


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two writers with three scans each, of which one of the first's is blank."""
    root = tmp_path / "sets"
    for index, writer in enumerate(WRITERS):
        for number in range(3):
            path = root / "numbers" / writer / "7" / f"number-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            blank = index == number == 0
            (Image.new("L", (60, 60), 255) if blank else seven(8 * number + index)).save(path)
    numbers = root / "numbers"
    listed = {
        writer: digest(
            {
                p.relative_to(numbers).as_posix(): p.read_bytes()
                for p in (numbers / writer).rglob("*.png")
            }
        )
        for writer in WRITERS
    }
    monkeypatch.setenv(HANDWRITING_VARIABLE, str(root))
    monkeypatch.setattr(load, "NUMBERS", replace(NUMBERS, sha256=listed))
    return root


@pytest.fixture
def trajectories(monkeypatch: pytest.MonkeyPatch) -> list[Trajectory]:
    """A 7 and a 1 of writer 6, and a 1 of writer 12."""
    text = "".join(
        f".SEGMENT DIGIT 0\n.COMMENT {digit} {writer} 1\n.PEN_DOWN\n{points}\n.PEN_UP\n"
        for digit, writer, points in (
            (7, 6, "0 100\n60 100\n20 0"),
            (1, 6, "30 100\n30 0"),
            (1, 12, "30 100\n40 0"),
        )
    )
    found = parse_unipen(text)
    monkeypatch.setattr(load, "load_trajectories", lambda _: found)
    return found


def test_scans_are_prepared_as_on_the_device_and_refused_ones_left_out(
    scans: Path, tmp_path: Path
) -> None:
    found = load.load_scans(WRITERS, cache=tmp_path / "cache")
    paths = sorted(scans.rglob("*.png"))[1:]
    assert found.images.dtype == torch.uint8
    assert found.labels.tolist() == [7] * 5
    expected = np.stack([prepare_image(path) for path in paths])
    assert np.array_equal(found.images[:, 0], expected)
    assert len(load.load_scans(WRITERS[1:], cache=tmp_path / "cache")) == 3


def test_what_was_prepared_is_kept_but_the_data_must_be_there(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load.load_scans(WRITERS, cache=tmp_path / "cache")
    monkeypatch.setattr(load, "prepare_image", None)
    after = load.load_scans(WRITERS, cache=tmp_path / "cache")
    assert (before.sha256, len(before)) == (after.sha256, len(after))
    (scans / "numbers" / WRITERS[0] / "7" / "number-1.png").unlink()
    with pytest.raises(InputError, match="is not what was published"):
        load.load_scans(WRITERS, cache=tmp_path / "cache")


@pytest.mark.usefixtures("scans")
def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    before = load.load_scans(WRITERS, cache=tmp_path / "cache")
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"damaged")
    assert load.load_scans(WRITERS, cache=tmp_path / "cache").sha256 == before.sha256


@pytest.mark.usefixtures("trajectories")
def test_every_copy_of_a_trajectory_is_drawn_in_another_way(tmp_path: Path) -> None:
    found = load.load_drawings([6], 3, cache=tmp_path)
    assert found.labels.tolist() == [7, 1] * 3
    assert len({image.numpy().tobytes() for image in found.images}) == 6
    assert load.load_drawings([6], 3, cache=tmp_path / "other").sha256 == found.sha256


@pytest.mark.usefixtures("scans", "trajectories")
def test_unknown_writers_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no writer 0009_ZZ in Numbers: expected 0001_AA, 0002_BB"):
        load.load_scans(["0009_ZZ"], cache=tmp_path)
    with pytest.raises(
        InputError, match=r"no writer 31 in pendigits-orig\.tra\.Z: expected 1 to 30"
    ):
        load.load_drawings([6, 31], 1, cache=tmp_path)


@pytest.mark.usefixtures("scans", "trajectories")
def test_a_recipe_trains_on_the_writers_that_it_names(tmp_path: Path, tiny_mnist: Path) -> None:
    config = TrainConfig(
        epochs=1,
        augment=False,
        scan_writers=WRITERS,
        scan_copies=2,
        pen_writers=(6,),
        pen_copies=3,
        negatives=4,
        data_dir=tiny_mnist,
        out=tmp_path / "run",
    )
    mnist = training.load_mnist(tiny_mnist, train=True)
    run = training._start(config, mnist, torch.device("cpu"), training.Observer())
    labels = run.train_set.labels[550:].tolist()
    assert labels == [NON_DIGIT] * 4 + [7] * 10 + [7, 1] * 3
    training.train(config, test=False)
    resumed = replace(config, scan_writers=list(WRITERS), pen_writers=[6])  # as JSON has them
    assert training.train(resumed, resume=True, test=False).checkpoint.is_file()
