"""Labelled images: IDX files in their places, tables, and pictures named by label."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder.errors import FileAccessError, InputError
from edge_adder.evaluation import datasets
from edge_adder.evaluation.datasets import DATA_VARIABLE, cache_dir, load


def idx(kind: int, array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", kind, *array.shape) + array.tobytes()


def write_pair(folder: Path, name: str = "t10k", *, count: int = 5, side: int = 28) -> np.ndarray:
    """A pair of IDX files whose labels are 0, 1, 2, …; returns the images."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(count).integers(0, 256, (count, side, side), np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(0x0803, images))
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(0x0801, labels))
    return images


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (28, 28)).save(path)


class TestIdx:
    @pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
    def test_it_is_found_in_each_place(self, tmp_path: Path, place: str) -> None:
        images = write_pair(tmp_path / place)
        found = load(tmp_path)
        assert len(found) == 5
        assert found.labels.tolist() == [0, 1, 2, 3, 4]
        assert found.labels.dtype == np.int64
        assert np.array_equal(np.stack(found.images), images)
        assert all(image.shape == (28, 28) for image in found.images)
        assert found.names[3] == "t10k-images-idx3-ubyte[3]"
        assert found.source == tmp_path / place / "t10k-images-idx3-ubyte"

    def test_test_images_come_before_training_images(self, tmp_path: Path) -> None:
        write_pair(tmp_path, "train", count=9)
        write_pair(tmp_path, "emnist-test", count=3)
        assert len(load(tmp_path)) == 3

    def test_one_pair_of_any_name_is_enough(self, tmp_path: Path) -> None:
        write_pair(tmp_path, "mine")
        assert len(load(tmp_path)) == 5

    def test_several_pairs_are_ambiguous(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            write_pair(tmp_path, name)
        with pytest.raises(InputError, match=r"several files of images .*a-images.*b-images"):
            load(tmp_path)

    def test_gzipped(self, tmp_path: Path) -> None:
        images = write_pair(tmp_path)
        for path in list(tmp_path.iterdir()):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        assert np.array_equal(np.stack(load(tmp_path).images), images)

    def test_plain_and_gzipped_side_by_side_are_one_pair(self, tmp_path: Path) -> None:
        write_pair(tmp_path)
        for path in list(tmp_path.iterdir()):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        assert len(load(tmp_path)) == 5

    def test_the_other_spelling_of_the_names(self, tmp_path: Path) -> None:
        write_pair(tmp_path)
        for path in list(tmp_path.iterdir()):
            path.rename(path.with_name(path.name.replace("s-idx", "s.idx")))
        assert len(load(tmp_path)) == 5

    def test_images_of_another_size_are_prepared_later(self, tmp_path: Path) -> None:
        write_pair(tmp_path, side=20)
        assert all(image.shape != (28, 28) for image in load(tmp_path).images)

    def test_missing_labels_are_named(self, tmp_path: Path) -> None:
        write_pair(tmp_path)
        (tmp_path / "t10k-labels-idx1-ubyte").unlink()
        with pytest.raises(InputError, match="expected t10k-labels-idx1-ubyte beside it"):
            load(tmp_path)

    @pytest.mark.parametrize("keep", [0, 3, 15, 100])
    def test_a_cut_file_is_damaged(self, tmp_path: Path, keep: int) -> None:
        write_pair(tmp_path)
        path = tmp_path / "t10k-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(InputError, match=r"is no IDX file|is damaged: "):
            load(tmp_path)

    def test_a_cut_gzip_file_is_damaged(self, tmp_path: Path) -> None:
        write_pair(tmp_path)
        path = tmp_path / "t10k-images-idx3-ubyte"
        packed = gzip.compress(path.read_bytes())
        path.with_name(path.name + ".gz").write_bytes(packed[: len(packed) // 2])
        path.unlink()
        with pytest.raises(InputError, match="is no whole gzip file"):
            load(tmp_path)

    def test_another_count_of_labels(self, tmp_path: Path) -> None:
        write_pair(tmp_path)
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(0x0801, np.zeros(4, np.uint8)))
        with pytest.raises(InputError, match="has 5 images, t10k-labels-idx1-ubyte 4 labels"):
            load(tmp_path)

    def test_a_label_that_is_no_digit(self, tmp_path: Path) -> None:
        write_pair(tmp_path)
        labels = np.array([0, 1, 2, 3, 26], np.uint8)
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(0x0801, labels))
        with pytest.raises(InputError, match="has label 26, expected 0 to 9"):
            load(tmp_path)

    def test_no_images(self, tmp_path: Path) -> None:
        write_pair(tmp_path, count=0)
        with pytest.raises(InputError, match="has no images"):
            load(tmp_path)


class TestPictures:
    def test_folders_named_by_digit(self, tmp_path: Path) -> None:
        for name in ("0/a.png", "9/deep.JPG", "sub/3/x.bmp", "7/5.png"):
            write_picture(tmp_path / name)
        found = load(tmp_path)
        assert dict(zip(found.names, found.labels.tolist(), strict=True)) == {
            "0/a.png": 0,
            "9/deep.JPG": 9,
            "sub/3/x.bmp": 3,
            "7/5.png": 7,
        }
        assert found.unlabelled == 0
        assert found.source == tmp_path

    def test_names_that_start_with_the_label(self, tmp_path: Path) -> None:
        for name in ("7.png", "3_left.png", "4-2.png", "5 (2).gif", "6.a.webp"):
            write_picture(tmp_path / name)
        for name in ("12.png", "4a.png", "IMG_2.png"):
            write_picture(tmp_path / name)
        (tmp_path / "9.txt").write_text("not a picture")
        found = load(tmp_path)
        assert sorted(found.labels.tolist()) == [3, 4, 5, 6, 7]
        assert found.unlabelled == 3

    def test_links_are_followed_once_and_hidden_files_are_not_seen(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "real" / "a.png")
        place = tmp_path / "data"
        write_picture(place / "3" / "x.png")
        write_picture(place / "3" / "._x.png")
        write_picture(place / "__MACOSX" / "3" / "y.png")
        (place / "7").symlink_to(tmp_path / "real")
        (place / "8").symlink_to(place)
        (place / "3" / "gone.png").symlink_to(tmp_path / "nowhere.png")
        found = load(place)
        assert sorted(zip(found.names, found.labels.tolist(), strict=True)) == [
            ("3/gone.png", 3),
            ("3/x.png", 3),
            ("7/a.png", 7),
        ]
        assert found.unlabelled == 0

    def test_the_folder_itself_is_not_a_label(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "8" / "2.png")
        assert load(tmp_path / "8").labels.tolist() == [2]

    @pytest.mark.parametrize("inside", ["", "images"])
    def test_a_table(self, tmp_path: Path, inside: str) -> None:
        write_picture(tmp_path / inside / "x.png")
        (tmp_path / "labels.csv").write_text("\ufefflabel,kind,file\n6,photo,x.png\n")
        found = load(tmp_path)
        assert (found.labels.tolist(), list(found.names)) == ([6], ["x.png"])
        assert found.images[0] == tmp_path / inside / "x.png"

    def test_a_table_whose_files_name_their_folder(self, tmp_path: Path) -> None:
        for name in ("images/1.png", "2.png", "images/3.png"):
            write_picture(tmp_path / name)
        rows = "images/1.png,1\n2.png,2\n3.png,3\nnowhere.png,4\n"
        (tmp_path / "labels.csv").write_text(f"file,label\n{rows}")
        found = load(tmp_path)
        assert [path.exists() for path in found.images] == [True, True, True, False]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("name,label\nx.png,3\n", "no table with columns file and label"),
            ("file,label\nx.png,seven\n", "has label 'seven', expected files and labels 0"),
            ("file,label\nx.png\n", "has label None, expected"),
            ("label,file\n7\n", "has label '7', expected files and labels"),
            ("file,label\n", "has no rows"),
            ("", "has no rows"),
        ],
    )
    def test_a_table_that_is_none(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(InputError, match=message):
            load(tmp_path)

    def test_a_table_in_another_encoding(self, tmp_path: Path) -> None:
        (tmp_path / "labels.csv").write_bytes(b"file,label\n\xff.png,3\n")
        with pytest.raises(InputError, match="no table with columns file and label"):
            load(tmp_path)


class TestWhere:
    def test_by_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_pair(tmp_path / "a")
        write_pair(tmp_path / "b", count=2)
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "a"))
        assert len(load()) == 5
        assert len(load(tmp_path / "b")) == 2

    def test_the_cache_only_where_it_holds_mnist(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(DATA_VARIABLE, raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(InputError, match="no images: name a folder with --data-dir or EDGE"):
            load()
        for name in ("train", "t10k"):
            write_pair(tmp_path / "edge-adder" / "MNIST" / "raw", name)
        assert len(load()) == 5

    def test_downloads_go_to_the_users_cache(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
        assert cache_dir() == Path("/somewhere/edge-adder")
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache_dir() == Path.home() / ".cache" / "edge-adder"

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no labelled images in .*expected MNIST's IDX files"):
            load(tmp_path)
        with pytest.raises(InputError, match=r"no folder .*nowhere: expected MNIST's"):
            load(tmp_path / "nowhere")

    def test_a_file_that_cannot_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_pair(tmp_path)

        def refuse(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(
            FileAccessError, match=r"cannot read .*t10k-images.*: Permission denied"
        ):
            load(tmp_path)


def test_every_format_that_is_opened_has_its_suffixes() -> None:
    Image.init()
    from edge_adder.preprocessing.decode import FORMATS

    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert known >= datasets.SUFFIXES
    assert {Image.registered_extensions()[suffix] for suffix in datasets.SUFFIXES} == set(FORMATS)
