"""What is scored: folders, patterns, lists, tables and IDX files, in a fixed order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs the extra `score`")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `score`")

from edge_adder.errors import InputError  # noqa: E402
from edge_adder.score.answers import Options, cut  # noqa: E402
from edge_adder.score.inputs import Inputs, Row  # noqa: E402

from ..evaluation.idx import write_pair  # noqa: E402, TID252

COLUMNS = {"image": ["b.png", "a.png", "b.png"], "number": [3, 0, 9]}


def names(*inputs: Path | str, **options: object) -> list[str]:
    rows = Inputs(tuple(map(str, inputs)), number=5, **options).rows()
    return [row.name for row in rows]


def write_parquet(path: Path, columns: dict, **options: object) -> Path:
    parquet.write_table(pa.table(columns), path, **options)
    return path


def touch(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.png", "b/10.JPG", "a/x.webp", "z.png", ".hidden.png", "a/notes.txt")
    expected = ["z.png", "a/x.webp", "b/10.JPG", "b/2.png"]
    assert names(tmp_path) == [str(tmp_path / name) for name in expected]


def test_patterns_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "b/2.png", "a/1.png", "a/1.txt", "[x].png")
    monkeypatch.chdir(tmp_path)
    assert names("**/*.png") == ["[x].png", "a/1.png", "b/2.png"]
    assert names("b/2.png", "[x].png") == ["b/2.png", "[x].png"]  # a name, although it has magic
    assert names("s3://bucket/7.png") == ["s3://bucket/7.png"]


def test_a_list_has_a_name_on_each_line(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"one.png\r\n\ntwo \xff.png\nlast.png")
    found = names(lists=(tmp_path / "list",))
    assert found == ["one.png", "two \udcff.png", "last.png"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_has_images_and_numbers(tmp_path: Path, kind: str) -> None:
    table = tmp_path / f"table.{kind}"
    if kind == "csv":
        table.write_text("\ufeffnumber,image\n3,b.png\n0,a.png\n9,b.png\n")
    else:
        write_parquet(table, COLUMNS)
    wanted = [("b.png", 3), ("a.png", 0), ("b.png", 9)]
    assert [(row.source, row.number) for row in Inputs((str(table),)).rows()] == wanted
    assert names(table) == ["b.png", "a.png", "b.png"]
    assert [row.number for row in Inputs((str(table),), number=5).rows()] == [5] * 3
    with pytest.raises(InputError, match="has no column 'n': expected the columns image and n"):
        Inputs((str(table),), number_column="n").survey()


def test_pictures_may_lie_in_a_table(tmp_path: Path) -> None:
    data = {"image": [b"first", None, b"third"], "added": [1, 2, 3], "label": [7, 8, 9]}
    table = write_parquet(tmp_path / "t.parquet", data)
    rows = list(Inputs((str(table),), number_column="added").rows())
    assert [(row.source, row.number, row.label) for row in rows] == [
        (b"first", 1, 7),
        (b"", 2, 8),
        (b"third", 3, 9),
    ]
    assert rows[2].name == f"{table}[2]"
    assert Inputs((str(table),), number_column="added").survey().has_labels


def test_idx_files(tmp_path: Path) -> None:
    images = np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)
    write_pair(tmp_path, images, np.zeros(3, np.uint8), "t10k")
    file = tmp_path / "t10k-images-idx3-ubyte"
    rows = list(Inputs((str(file),), number=1).rows())
    assert [row.name for row in rows] == [f"{file}[{index}]" for index in range(3)]
    assert np.array_equal(np.stack([row.source for row in rows]), images)


def test_any_number_of_rows_may_be_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "p/1.png", "p/2.png", "p/3.png")
    (tmp_path / "list").write_text("x.png\ny.png\n")
    (tmp_path / "c.csv").write_text("image\na\nb\n")
    write_parquet(tmp_path / "t.parquet", {"image": list("defghijk")}, row_group_size=3)
    named = [str(tmp_path / name) for name in ("c.csv", "t.parquet", "p", "t.parquet")]
    inputs = Inputs(tuple(named), (tmp_path / "list",), 1)
    every = list(inputs.rows())
    assert len(every) == inputs.survey().rows == 2 + 8 + 3 + 8 + 2
    for start in range(len(every) + 2):
        assert list(inputs.rows(start)) == every[start:]


def test_the_fingerprint_is_of_the_rows(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    seen = set()
    for text in ("image,number\na,1\n", "image,number\na,2\n", "image,number\nb,1\n"):
        table.write_text(text)
        seen.add(Inputs((str(table),)).survey().fingerprint)
        assert Inputs((str(table),)).survey().fingerprint in seen
    table.write_text("number,other,image\n1,x,b\n")
    assert Inputs((str(table),)).survey().fingerprint in seen
    assert len(seen) == 3
    for value in (0, 1):
        write_pair(tmp_path, np.full((2, 28, 28), value, np.uint8), np.zeros(2, np.uint8), "x")
        seen.add(Inputs((str(tmp_path / "x-images-idx3-ubyte"),), number=1).survey().fingerprint)
    assert len(seen) == 5
    for picture in (b"one", b"other"):
        file = write_parquet(tmp_path / "p.parquet", {"image": [picture]})
        seen.add(Inputs((str(file),), number=1).survey().fingerprint)
    assert len(seen) == 7


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere", None, "nowhere: no such file or folder"),
        ("no.csv", None, "no.csv: no such file"),
        ("no.parquet", None, "no.parquet: no such file"),
        ("bad.parquet", b"PAR1", "bad.parquet is not a table: "),
        ("bad.csv", b"image,number\n\xff,1\n", "bad.csv is not a table: "),
        ("empty.csv", b"", "empty.csv has no column 'image'"),
        ("none.csv", b"image,number\n", "no pictures in .*none.csv"),
        ("x-images-idx3-ubyte", b"", "x-images-idx3-ubyte is empty, not an IDX file"),
        ("none-*.png", None, "no pictures in .*none-"),
    ],
)
def test_what_cannot_be_used_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    number = None if name.endswith((".csv", ".parquet")) else 1
    with pytest.raises(InputError, match=message):
        Inputs((str(tmp_path / name),), number=number).survey()


def test_a_number_is_needed(tmp_path: Path) -> None:
    touch(tmp_path, "1.png")
    with pytest.raises(InputError, match="has no column of numbers: name the number to add with"):
        Inputs((str(tmp_path),)).survey()


class TestCut:
    def cut(self, sizes: list[int], **options: int) -> list[list[int]]:
        rows = [Row("", b"x" * size, 1) for size in sizes]
        batches = list(cut(iter(rows), Options(**options)))
        assert [batch.place for batch in batches] == list(range(len(batches)))
        assert list(itertools.chain(*(batch.rows for batch in batches))) == rows
        return [[len(row.source) for row in batch.rows] for batch in batches]

    def test_no_batch_reaches_over_the_end_of_a_part(self) -> None:
        lengths = [len(batch) for batch in self.cut([1] * 23, part_rows=10, batch_rows=4)]
        assert lengths == [4, 4, 2, 4, 4, 2, 3]
        assert self.cut([]) == []
        assert self.cut([1] * 4, part_rows=1) == [[1]] * 4

    def test_large_pictures_come_in_small_batches(self) -> None:
        found = self.cut([6, 5, 5, 30, 1], batch_bytes=10)
        assert found == [[6], [5, 5], [30], [1]]


def test_rows_are_read_as_they_are_needed(scans: Callable[..., Path]) -> None:
    batches = cut(Inputs((str(scans(30)),), number=1).rows(), Options(batch_rows=3))
    assert [len(batch.rows) for batch in itertools.islice(batches, 2)] == [3, 3]
