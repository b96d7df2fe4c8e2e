"""`train --from`: a checkpoint learns the handwriting of its user."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the development tools need the extra `export`")

from PIL import Image

from edge_adder.errors import InputError
from export import checkpoint as checkpoints
from export import own_digits
from export.synthetic.digits import draw_digits

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Sixty drawn digits, dark on white and upside down, in folders by digit."""
    images, labels = draw_digits(60, seed=5)
    for index, (image, label) in enumerate(zip(images[:, 0], labels, strict=True)):
        place = tmp_path / "mine" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - np.kron(image[::-1, ::-1], np.ones((3, 3), np.uint8))).save(
            place / f"{index}.png"
        )
    return tmp_path / "mine"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tiny_mnist: Path) -> None:
    monkeypatch.setattr(own_digits, "MNIST_IMAGES", 500)
    monkeypatch.setattr(own_digits, "SETTINGS", own_digits.SETTINGS | {"negatives": 20})
    monkeypatch.setenv("EDGE_ADDER_DATA", str(tiny_mnist))


@pytest.mark.usefixtures("small", "small_gate")
def test_it_learns_the_pictures_and_keeps_mnist(
    edge_adder: Run,
    pictures: Path,
    tmp_path: Path,
    tiny_mnist: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGE_ADDER_DATA", str(tiny_mnist))
    done = edge_adder("train", "--from", "edge", "--data-dir", pictures, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "your digits" in done.stdout
    out = tmp_path / "runs" / "edge-own"
    record = json.loads((out / "checkpoint.json").read_text())
    metrics = record["metrics"]
    assert metrics["own_validation"]["digit"] > metrics["own_validation_before"]["digit"] + 0.1
    assert metrics["validation"]["digit"] > 0.9
    committed = checkpoints.load(checkpoints.committed("edge"))
    assert record["config"]["continued_from"]["weights_sha256"] == committed.sha256
    sizes = record["config"]["own_pictures"]
    assert (sizes["train"], sizes["validation"]) == (50, 10)
    assert (out / "curves.png").is_file()
    made = ("--checkpoint", out / "checkpoint.safetensors", "--out", "mine.onnx")
    assert edge_adder("export", *made, "--data-dir", tiny_mnist).returncode == 0


def test_whole_writers_are_held_out_where_they_are_known(pictures: Path) -> None:
    paths = sorted(pictures.rglob("*.png"))
    with (pictures / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "writer"])
        for index, path in enumerate(paths):
            table.writerow([path.relative_to(pictures), path.parent.name, f"w{index % 10}"])
    own = own_digits.load(pictures)
    assert (len(own.train_set), len(own.validation)) == (48, 12)
    kept = {image.tobytes() for image in own.train_set.images.numpy()}
    assert not kept & {image.tobytes() for image in own.validation.images.numpy()}


def test_pictures_that_cannot_be_read_are_named(pictures: Path) -> None:
    (pictures / "3" / "broken.png").write_bytes(b"no picture")
    own = own_digits.load(pictures)
    assert [line.partition(":")[0] for line in own.left_out] == ["3/broken.png"]
    assert len(own.train_set) + len(own.validation) == 60


def test_too_few_pictures(pictures: Path) -> None:
    for path in sorted(pictures.rglob("*.png"))[10:]:
        path.unlink()
    with pytest.raises(InputError, match="has 10 pictures that can be read, expected 20 or more"):
        own_digits.load(pictures)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--from", "edge"], 2, "--from needs your labelled pictures: name their --data-dir"),
        (["--from", "edge", "--resume"], 2, "expected --from or --resume, got both"),
        (["--from", "edge", "--recipe", "ours"], 2, "expected --from or --recipe, got both"),
        (["--from", "none.pt", "--data-dir", "."], 3, "no checkpoint none.pt"),
        (["--from", "wide", "--data-dir", "."], 3, "no checkpoint of wide is here"),
        (["--from", "edge", "--data-dir", "."], 2, "no labelled images in "),
    ],
)
def test_what_cannot_be_continued(
    edge_adder: Run, words: list[str], code: int, message: str
) -> None:
    done = edge_adder("train", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert message in done.stderr
