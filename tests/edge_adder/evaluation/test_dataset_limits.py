"""What a folder of labelled images may cost: each excess ends soon, in one line."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_adder import InputError
from edge_adder.evaluation import datasets
from edge_adder.evaluation.datasets import MAX_DEPTH, MAX_IDX_BYTES, MAX_TABLE_BYTES, load

SEVEN = Path(__file__).parents[3] / "examples" / "seven.png"
IMAGES, LABELS = datasets.MNIST_FILES[2:]


def sparse(path: Path, size: int) -> None:
    """Make a file of zeros that takes no space."""
    with path.open("wb") as file:
        file.truncate(size)


def a_bomb(folder: Path) -> None:
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress(bytes(2000)))
    (folder / LABELS).touch()


def a_sparse_file(folder: Path) -> None:
    sparse(folder / IMAGES, 2000)
    (folder / LABELS).touch()


def a_long_table(folder: Path) -> None:
    sparse(folder / "labels.csv", 2000)


def many_files(folder: Path) -> None:
    for index in range(21):
        (folder / f"{index}.txt").touch()


def deep_folders(folder: Path) -> None:
    (folder / "/".join(["a"] * (MAX_DEPTH + 1))).mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_bomb, r"idx3-ubyte\.gz has more than 1,000 bytes of data, the maximum"),
        (a_sparse_file, r"idx3-ubyte has more than 1,000 bytes of data, the maximum"),
        (a_long_table, r"labels\.csv has more than 1,000 bytes, the maximum"),
        (many_files, "has more than 20 files, the maximum"),
        (deep_folders, f"nested more than {MAX_DEPTH} deep, the maximum"),
    ],
)
def test_an_excess_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    message: str,
) -> None:
    monkeypatch.setattr(datasets, "MAX_IDX_BYTES", 1000)
    monkeypatch.setattr(datasets, "MAX_TABLE_BYTES", 1000)
    monkeypatch.setattr(datasets, "MAX_FILES", 20)
    make(tmp_path)
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_the_limits_leave_room_for_what_people_have() -> None:
    emnist = 697_932 * 28 * 28
    assert emnist < MAX_IDX_BYTES
    assert 1_000_000 * len("images/000000.png,7\n") < MAX_TABLE_BYTES


@pytest.mark.parametrize("name", ["../7.png", "{}/7.png", "link.png", "images/../../7.png"])
def test_a_table_opens_nothing_outside_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "7.png").write_bytes(SEVEN.read_bytes())
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    (folder / "link.png").symlink_to(tmp_path / "7.png")
    (folder / "labels.csv").write_text(f"file,label\n{name.format(tmp_path)},7\n")
    with pytest.raises(InputError, match="expected files in its folder"):
        load(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_table_that_names_a_pipe_is_refused(tmp_path: Path) -> None:
    """Each of its rows would wait for a process that writes to it."""
    os.mkfifo(tmp_path / "7.png")
    (tmp_path / "labels.csv").write_text("file,label\n7.png,7\n")
    with pytest.raises(InputError, match=r"labels\.csv names '7\.png', a named pipe"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "7.png")
    (tmp_path / "3.png").write_bytes(SEVEN.read_bytes())
    found = load(tmp_path)
    assert (found.labels.tolist(), found.unlabelled) == ([3], 1)
