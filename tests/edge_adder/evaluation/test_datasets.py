"""Labelled images: IDX files in their places, tables, and pictures named by label."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NoReturn

import numpy as np
import pytest
from PIL import Image

from edge_adder import files
from edge_adder.errors import FileAccessError, InputError
from edge_adder.evaluation.datasets import DATA_VARIABLE, SUFFIXES, cache_dir, load
from edge_adder.preprocessing.decode import FORMATS

from .idx import write_labels, write_pair

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def write_images(folder: Path, name: str = "t10k", *, count: int = 5, side: int = 28) -> np.ndarray:
    """Write a pair of IDX files whose labels are 0, 1, 2, …; return the images."""
    images = np.random.default_rng(count).integers(0, 256, (count, side, side), np.uint8)
    write_pair(folder, images, np.arange(count) % 10, name)
    return images


def write_pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28)).save(folder / name)


def labels_by_name(folder: Path) -> dict[str, int]:
    found = load(folder)
    return dict(zip(found.names, found.labels.tolist(), strict=True))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def pack(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


class TestIdx:
    @pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
    @pytest.mark.parametrize("side", [20, 28])  # another size is prepared later
    def test_it_is_found_in_each_place(self, tmp_path: Path, place: str, side: int) -> None:
        images = write_images(tmp_path / place, side=side)
        found = load(tmp_path)
        assert (found.labels.tolist(), found.labels.dtype) == ([0, 1, 2, 3, 4], np.int64)
        assert np.array_equal(np.stack(found.images), images)
        assert found.names[3] == f"{IMAGES}[3]"
        assert found.source == tmp_path / place / IMAGES

    def test_test_images_come_before_training_images(self, tmp_path: Path) -> None:
        write_images(tmp_path, "train", count=9)
        assert len(load(tmp_path)) == 9  # the only pair
        write_images(tmp_path, "emnist-test", count=3)
        assert len(load(tmp_path)) == 3

    def test_gzipped_and_in_the_other_spelling_of_the_names(self, tmp_path: Path) -> None:
        images = write_images(tmp_path)
        for path in [*tmp_path.iterdir()]:
            pack(path)
        assert np.array_equal(np.stack(load(tmp_path).images), images)
        write_images(tmp_path)  # beside the packed ones
        assert np.array_equal(np.stack(load(tmp_path).images), images)
        for path in [*tmp_path.iterdir()]:
            path.rename(path.with_name(path.name.replace("s-idx", "s.idx")))
        assert np.array_equal(np.stack(load(tmp_path).images), images)

    @pytest.mark.parametrize("name", [IMAGES, f"{IMAGES}.gz", LABELS])
    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"\n<!DOCTYPE html>\n<title>Not found</title>", "an HTML page .its download failed"),
            (b"<html><body>403", "an HTML page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS .run `git lfs"),
            (b"PK\x03\x04\x14\x00", "a ZIP archive"),
            (b"404: Not Found", "text"),
            (gzip.compress(b"<html>", mtime=0), "an HTML page"),
            (b"", "empty"),
        ],
    )
    def test_what_else_is_under_its_name_is_said(
        self, tmp_path: Path, name: str, content: bytes, what: str
    ) -> None:
        write_images(tmp_path)
        (tmp_path / name.removesuffix(".gz")).unlink()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is {what}.*, not an IDX file of unsigned"):
            load(tmp_path)

    def test_a_file_that_was_unpacked_under_its_old_name(self, tmp_path: Path) -> None:
        images = write_images(tmp_path)
        for path in [*tmp_path.iterdir()]:
            path.rename(path.with_name(f"{path.name}.gz"))
        assert np.array_equal(np.stack(load(tmp_path).images), images)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda folder: write_images(folder, "test"), "several files of images .*t10k.*test-"),
            (lambda folder: (folder / LABELS).unlink(), f"expected {LABELS} beside it"),
            (lambda folder: cut(folder / IMAGES, 0), "is empty, not an IDX file"),
            (lambda folder: cut(folder / IMAGES, 15), "is not an IDX file"),
            (lambda folder: cut(folder / IMAGES, 100), "is damaged: 84 bytes of data, expected 5 "),
            (lambda folder: cut(pack(folder / IMAGES), 99), "is not a complete gzip file"),
            (lambda folder: write_labels(folder, np.zeros(4)), f"has 5 images, {LABELS} 4 labels"),
            (lambda folder: write_labels(folder, np.full(5, 26)), "has label 26, expected 0 to 9"),
            (lambda folder: write_images(folder, count=0), "has no images"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, tmp_path: Path, damage: Callable[[Path], object], message: str
    ) -> None:
        write_images(tmp_path)
        damage(tmp_path)
        with pytest.raises(InputError, match=message):
            load(tmp_path)


class TestPictures:
    def test_folders_named_by_digit(self, tmp_path: Path) -> None:
        names = ("0/a.png", "9/deep.JPG", "sub/3/x.bmp", "7/5.png")
        write_pictures(tmp_path, *names)
        assert labels_by_name(tmp_path) == dict(zip(names, (0, 9, 3, 7), strict=True))
        assert load(tmp_path / "7").labels.tolist() == [5]  # the folder itself is not a label
        assert load(tmp_path).source == tmp_path

    def test_names_that_start_with_the_label(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "7.png", "3_left.png", "4-2.png", "5 (2).gif", "6.a.webp")
        write_pictures(tmp_path, "12.png", "4a.png", "IMG_2.png")
        (tmp_path / "9.txt").write_text("not a picture")
        found = load(tmp_path)
        assert sorted(found.labels.tolist()) == [3, 4, 5, 6, 7]
        assert found.unlabelled == 3

    def test_links_are_followed_once_and_hidden_files_are_not_seen(self, tmp_path: Path) -> None:
        place = tmp_path / "data"
        write_pictures(tmp_path, "real/a.png")
        write_pictures(place, "3/x.png", "3/._x.png", "__MACOSX/3/y.png")
        (place / "7").symlink_to(tmp_path / "real")
        (place / "8").symlink_to(place)
        (place / "3" / "gone.png").symlink_to(tmp_path / "nowhere.png")
        assert labels_by_name(place) == {"3/gone.png": 3, "3/x.png": 3, "7/a.png": 7}
        assert load(place).unlabelled == 0

    def test_a_table_has_files_beside_it_or_in_images(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "images/1.png", "2.png", "images/3.png")
        rows = "1,photo,images/1.png\n2,,2.png\n6,scan,3.png\n4,,nowhere.png\n"
        (tmp_path / "labels.csv").write_text(f"\ufefflabel,kind,file\n{rows}")
        names = ("images/1.png", "2.png", "3.png", "nowhere.png")
        assert labels_by_name(tmp_path) == dict(zip(names, (1, 2, 6, 4), strict=True))
        assert [path.exists() for path in load(tmp_path).images] == [True, True, True, False]
        assert load(tmp_path).groups == {"kind": ["photo", "", "scan", ""]}

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"name,label\nx.png,3\n", "no column 'file': expected the columns file and label"),
            (b"file,label\n\xff.png,3\n", "labels.csv is not a table: "),
            (b"file,label\nx.png,seven\n", "has label 'seven', expected files and labels 0"),
            (b"file,label\nx.png\n", "has label None, expected"),
            (b"label,file\n7\n", "has label '7', expected files and labels"),
            (b"file,label\n", "has no rows"),
            (b"", "has no rows"),
        ],
    )
    def test_a_bad_table_is_refused(self, tmp_path: Path, data: bytes, message: str) -> None:
        (tmp_path / "labels.csv").write_bytes(data)
        with pytest.raises(InputError, match=message):
            load(tmp_path)

    def test_every_format_that_can_be_read_has_its_suffixes(self) -> None:
        Image.init()
        kinds = Image.registered_extensions()
        assert {kinds[suffix] for suffix in SUFFIXES} == set(FORMATS)


class TestWhere:
    def test_by_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_images(tmp_path / "a")
        write_images(tmp_path / "b", count=2)
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "a"))
        assert len(load()) == 5
        assert len(load(tmp_path / "b")) == 2

    def test_the_cache_only_if_it_holds_mnist(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(DATA_VARIABLE, raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(InputError, match="no images: name a folder with --data-dir or EDGE"):
            load()
        assert cache_dir() == tmp_path / "edge-adder"
        for name in ("train", "t10k"):
            write_images(cache_dir() / "MNIST" / "raw", name)
        assert len(load()) == 5
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache_dir() == Path.home() / ".cache" / "edge-adder"

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no labelled images in .*expected MNIST's IDX files"):
            load(tmp_path)
        with pytest.raises(InputError, match=r"no folder .*nowhere: expected MNIST's"):
            load(tmp_path / "nowhere")

    def test_a_file_or_a_folder_that_cannot_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> NoReturn:
            raise PermissionError(13, "Permission denied")

        write_images(tmp_path)
        for module, name, message in (
            (files, "open", f"{IMAGES}: cannot be read: Permission denied"),
            (os, "scandir", "cannot read .*: Permission denied"),
        ):
            monkeypatch.setattr(module, name, refuse, raising=False)
            with pytest.raises(FileAccessError, match=message):
                load(tmp_path)


class TestTables:
    """Tables with the columns image and label, such as `edge-adder score` reads and writes."""

    ROWS: ClassVar = {"image": ["a.png", "b.png"], "label": [3, 7], "writer": ["x", "y"]}

    def check(self, path: Path) -> None:
        found = load(path)
        assert found.labels.tolist() == [3, 7]
        assert found.images == (Path("a.png"), Path("b.png"))
        assert (found.names, found.groups) == (("a.png", "b.png"), {"writer": ["x", "y"]})

    def test_csv_and_json_lines_need_no_pyarrow(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        (tmp_path / "t.csv").write_text("writer,image,label\nx,a.png,3\ny,b.png,7\n")
        self.check(tmp_path / "t.csv")
        lines = ({key: self.ROWS[key][index] for key in self.ROWS} for index in range(2))
        (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        self.check(tmp_path / "t.jsonl")

    def test_parquet_by_its_name_and_in_a_folder(self, tmp_path: Path) -> None:
        pa = pytest.importorskip("pyarrow", reason="needs the extra `score`")
        parquet = pytest.importorskip("pyarrow.parquet")
        for name in ("t.parquet", "labels.parquet"):
            parquet.write_table(pa.table(self.ROWS), tmp_path / name)
        self.check(tmp_path / "t.parquet")
        self.check(tmp_path)

    def test_parquet_without_pyarrow_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        (tmp_path / "t.parquet").write_bytes(b"PAR1")
        with pytest.raises(InputError, match=r"needs pyarrow: run `pip install 'edge-adder\[sc"):
            load(tmp_path / "t.parquet")

    def test_pictures_may_lie_in_parquet(self, tmp_path: Path) -> None:
        pa = pytest.importorskip("pyarrow", reason="needs the extra `score`")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pa.table({"image": [b"one", b"two"], "label": [1, 2]})
        parquet.write_table(table, tmp_path / "t.parquet")
        found = load(tmp_path / "t.parquet")
        assert found.images == (b"one", b"two")
        assert found.names == ("t.parquet[0]", "t.parquet[1]")

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("t.csv", "image\na.png\n", "t.csv has no column 'label'"),
            ("t.jsonl", "[1]\n", "t.jsonl is not a table: expected an object on each line"),
            ("t.jsonl", "{\n", "t.jsonl is not a table: "),
            ("t.jsonl", '{"image": "a.png", "label": 12}\n', "t.jsonl has label 12, expected"),
            ("t.jsonl", "", "t.jsonl has no rows"),
        ],
    )
    def test_a_bad_table_is_refused(
        self, tmp_path: Path, name: str, text: str, message: str
    ) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            load(tmp_path / name)

    @pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
    def test_a_table_of_score_that_has_labels_is_evaluated(
        self, edge_adder: Callable, tmp_path: Path, form: str
    ) -> None:
        pytest.importorskip("pyarrow", reason="needs the extra `score`")
        examples = Path(__file__).parents[3] / "examples"
        rows = f"{examples}/seven.png,1,7\n{examples}/five.jpg,2,5\n{examples}/four.png,3,9\n"
        (tmp_path / "t.csv").write_text(f"image,number,label\n{rows}")
        options = ("--out", "out", "--format", form, "--part-rows", 2)
        assert edge_adder("score", "t.csv", *options).returncode == 0
        for data in ("out", "t.csv"):
            done = edge_adder("evaluate", "--data-dir", data, "--json")
            found = json.loads(done.stdout)
            assert (found["images"], found["digit"]) == (3, pytest.approx(2 / 3))
