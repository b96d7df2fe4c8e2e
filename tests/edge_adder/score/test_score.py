"""`edge-adder score`: its table, its progress, and its errors."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder
from edge_adder.cli import score as command
from edge_adder.predictor import BUNDLED_MODEL

from .conftest import content, manifest

pa = pytest.importorskip("pyarrow", reason="needs the extra `score`")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `score`")

EXAMPLES = Path(__file__).parents[3] / "examples"

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Scans = Callable[..., Path]
Read = Callable[[Path], list[dict]]


def test_the_answers_are_those_of_predict(
    edge_adder: Run, adder: EdgeAdder, tmp_path: Path, read_table: Read
) -> None:
    done = edge_adder("score", EXAMPLES, "--number", 5, "--out", "out", "--details")
    assert done.returncode == 6
    assert done.stdout == ""
    assert done.stderr.endswith("written: out: 7 rows in 1 parts, 2 errors, 0 uncertain\n")
    rows = read_table(tmp_path / "out")
    files = sorted(path for path in EXAMPLES.iterdir() if path.suffix in {".png", ".jpg"})
    assert [row["image"] for row in rows] == [str(path) for path in files]
    for row, path in zip(rows, files, strict=True):
        if path.name in {"page.jpg", "phone.jpg"}:
            assert re.match(r"found \d+ possible digits", row["error"])
            assert {row[name] for name in ("digit", "sum", "uncertain", "preparation")} == {None}
            continue
        wanted = adder.predict(path, 5).to_dict()
        assert row["error"] is None
        for name in ("number", "digit", "sum", "uncertain"):
            assert row[name] == wanted[name]
        for name in ("digit_probability", "sum_probability"):
            assert row[name] == pytest.approx(wanted[name], abs=1e-6)
        preparation = wanted["preparation"]
        preparation["box"] = preparation["box"] and list(preparation["box"])
        assert row["preparation"] == preparation


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_every_format_has_the_same_columns(
    edge_adder: Run, tmp_path: Path, form: str, read_table: Read
) -> None:
    table = tmp_path / "table.csv"
    seven, five = EXAMPLES / "seven.png", EXAMPLES / "five.jpg"
    table.write_text(
        f"image,added,label\n{seven},1,7\nnowhere.png,2,\n{five},3,5\n{five},12,five\n"
    )
    options = ("--format", form, "--number-column", "added", "--part-rows", 3)
    done = edge_adder("score", table, "--out", "out", *options)
    assert done.returncode == 6, done.stderr
    parts = [tmp_path / "out" / f"part-0000{index}.{form}" for index in range(2)]
    if form == "parquet":
        rows = read_table(tmp_path / "out")
    elif form == "jsonl":
        rows = [json.loads(line) for path in parts for line in path.read_text().splitlines()]
    else:
        text = [csv.DictReader(io.StringIO(path.read_text())) for path in parts]
        rows = [{key: value or None for key, value in row.items()} for part in text for row in part]
    fields = ["image", "number", "digit", "sum", "digit_probability", "sum_probability"]
    assert all([*row] == [*fields, "uncertain", "error", "label"] for row in rows)
    errors = [None, "no such file", None, "number must be an integer from 0 to 9, got 12"]
    assert [row["error"] for row in rows] == errors
    for name, wanted in {
        "number": [1, 2, 3, None],
        "digit": [7, None, 5, None],
        "sum": [8, None, 8, None],
        "label": [7, None, 5, None],
    }.items():
        found = [row[name] and int(row[name]) for row in rows]
        assert found == wanted, name


def test_pictures_in_a_table_and_at_an_address(
    edge_adder: Run, tmp_path: Path, read_table: Read
) -> None:
    data = (EXAMPLES / "five.jpg").read_bytes()
    parquet.write_table(
        pa.table({"image": [data, b"", data], "number": [1, 2, 3]}), tmp_path / "t.parquet"
    )
    assert edge_adder("score", "t.parquet", "--out", "out").returncode == 6
    rows = read_table(tmp_path / "out")
    assert [row["image"] for row in rows] == [f"t.parquet[{index}]" for index in range(3)]
    assert [row["sum"] for row in rows] == [6, None, 8]
    assert rows[1]["error"] == "the file is empty"
    (tmp_path / "list").write_text(
        f"file://{EXAMPLES}/five.jpg\nfile://{EXAMPLES}/nowhere.jpg\nno-such-system://x/7.png\n"
    )
    edge_adder("score", "--from-file", "list", "--number", "2", "--out", "there")
    rows = read_table(tmp_path / "there")
    assert [row["sum"] for row in rows] == [7, None, None]
    assert "No such file" in rows[1]["error"]
    assert rows[2]["error"].startswith("cannot be read: ")


def test_a_list_comes_through_standard_input(edge_adder_process: Run, tmp_path: Path) -> None:
    lines = f"{EXAMPLES}/five.jpg\n{EXAMPLES}/seven.png\n"
    options = ("--from-file", "-", "--number", 2, "--out", "out", "--format", "csv")
    done = edge_adder_process("score", *options, input=lines)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out" / "part-00000.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in table[1:]] == ["5", "7"]
    again = edge_adder_process("score", *options, "--resume", input=lines)
    assert again.returncode == 0, again.stderr
    other = edge_adder_process("score", *options, "--resume", input=lines[::-1])
    assert (other.returncode, "input.fingerprint" in other.stderr) == (2, True)


def test_where_no_picture_can_be_read_the_code_is_2(edge_adder: Run, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("one.png\ntwo.png\n")
    done = edge_adder("score", "--from-file", "list", "--number", "2", "--out", "out")
    assert done.returncode == 2
    assert "2 errors" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--out out", "expected an input: edge-adder score FOLDER --number N --out DIR"),
        ("scans --out out", "scans has no column of numbers: name the number to add"),
        ("scans --number 10 --out out", "--number must be 0 to 9, got 10"),
        ("t.csv --number 1 --number-column n --out out", "expected --number or --number-column"),
        ("nowhere --number 1 --out out", "nowhere: no such file or folder"),
        ("scans --number 1 --out out --format xml", "--format must be one of parquet, csv, jsonl"),
        ("scans --number 1 --out out --part-rows 0", "--part-rows must be at least 1, got 0"),
        ("scans --number 1 --out out --progress x", "--progress must be one of auto, bar, json"),
        ("scans --number 1 --out out --max-megapixels 0", "--max-megapixels must be above 0"),
        ("scans --number 1 --out scans", "scans is not empty: name another folder"),
        ("scans --number 1 --out out --ink x", "--ink must be one of auto, light, dark, got 'x'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    edge_adder: Run, tmp_path: Path, scans: Scans, arguments: str, message: str
) -> None:
    scans(3)
    done = edge_adder("score", *arguments.split())
    assert done.returncode == 2
    assert done.stderr.startswith(f"edge-adder: error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_pyarrow_one_line_says_what_to_install(
    edge_adder: Run, monkeypatch: pytest.MonkeyPatch, scans: Scans
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = edge_adder("score", scans(3), "--number", 1, "--out", "out")
    assert done.returncode == 2
    wanted = "edge-adder score needs pyarrow: run `pip install 'edge-adder[score]'`"
    assert done.stderr.startswith(f"edge-adder: error: {wanted}")
    assert done.stderr.count("\n") == 1


class TestProgress:
    def test_lines_of_json(
        self, edge_adder: Run, scans: Scans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "SECONDS_BETWEEN_LINES", 0.0)
        done = edge_adder("score", scans(200), "--number", 1, "--out", "out", "--processes", 1)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stderr.splitlines()[:-1]]
        assert [line["rows"] for line in lines] == sorted(line["rows"] for line in lines)
        assert {line["total"] for line in lines} == {200}
        assert lines[-1] == lines[-1] | {"rows": 200, "errors": 0, "seconds_left": 0}
        assert lines[-1]["rows_per_second"] > 0

    def test_none_and_a_bar(self, edge_adder: Run, scans: Scans) -> None:
        folder = scans(3)
        done = edge_adder("score", folder, "--number", 1, "--out", "a", "--progress", "none")
        assert done.stderr == "edge-adder: written: a: 3 rows in 1 parts, 0 errors, 0 uncertain\n"
        done = edge_adder("score", folder, "--number", 1, "--out", "b", "--progress", "bar")
        assert done.stderr.startswith("pictures")

    def test_a_terminal_gets_a_bar_with_rate_errors_and_time(self, scans: Scans) -> None:
        pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
        folder = scans(200)
        (folder / "broken.png").write_bytes(b"broken")
        ours, theirs = pty.openpty()
        options = ("--number", "1", "--out", str(folder.parent / "out"))
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_adder", "score", str(folder), *options], stderr=theirs
        )
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 2**16):
                shown += piece
        except OSError:  # how Linux says that the terminal is closed
            pass
        os.close(ours)
        assert process.wait() == 6
        assert b"/s, 1 errors" in shown
        assert b"\r" in shown


class TestResume:
    OPTIONS = ("--number", 1, "--out", "out", "--part-rows", 20, "--processes", 1)

    def test_what_is_there_is_not_done_again(
        self, edge_adder: Run, scans: Scans, tmp_path: Path
    ) -> None:
        folder, out = scans(70), tmp_path / "out"
        assert edge_adder("score", folder, *self.OPTIONS).returncode == 0
        wanted = content(out)
        assert sorted(wanted) == ["_manifest.json", *(f"part-0000{i}.parquet" for i in range(4))]
        (out / "part-00002.parquet").unlink()
        times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        done = edge_adder("score", folder, *self.OPTIONS, "--resume")
        assert done.returncode == 0, done.stderr
        assert content(out) == wanted
        for name in ("part-00000.parquet", "part-00001.parquet"):
            assert (out / name).stat().st_mtime_ns == times[name]
        (out / "part-00000.parquet").write_bytes(b"damaged")
        assert edge_adder("score", folder, *self.OPTIONS, "--resume").returncode == 0
        assert content(out) == wanted

    def test_it_has_to_be_asked_for(self, edge_adder: Run, scans: Scans) -> None:
        folder = scans(3)
        assert edge_adder("score", folder, *self.OPTIONS).returncode == 0
        done = edge_adder("score", folder, *self.OPTIONS)
        assert done.returncode == 2
        assert "out has the answers of an earlier run: add --resume" in done.stderr

    def test_the_size_of_the_parts_is_that_of_the_run(self, edge_adder: Run, scans: Scans) -> None:
        folder = scans(30)
        assert edge_adder("score", folder, *self.OPTIONS).returncode == 0
        done = edge_adder("score", folder, "--number", 1, "--out", "out", "--resume")
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize(
        ("change", "difference"),
        [
            (("--number", 2), "the run.input.number: expected 2, got 1"),
            (("--ink", "light"), "the run.options.ink: expected 'light', got 'auto'"),
            (("--details",), "the run.options.details: expected True, got False"),
            (("--format", "csv"), "the run.options.format: expected 'csv', got 'parquet'"),
            (("--part-rows", 10), "the run.options.part_rows: expected 10, got 20"),
            (("--model", "other.onnx"), "the run.model.sha256: expected "),
            (("more",), "the run.input.rows: expected 8, got 4"),
        ],
    )
    def test_another_run_is_refused_with_what_differs(
        self,
        edge_adder: Run,
        scans: Scans,
        tmp_path: Path,
        change: tuple,
        difference: str,
    ) -> None:
        (tmp_path / "other.onnx").write_bytes(_changed(BUNDLED_MODEL.read_bytes()))
        folder = scans(4)
        scans(4, "more")
        assert edge_adder("score", folder, *self.OPTIONS).returncode == 0
        before = content(tmp_path / "out")
        done = edge_adder("score", folder, *self.OPTIONS, "--resume", *change)
        assert done.returncode == 2
        assert done.stderr.startswith("edge-adder: error: out has another run: ")
        assert difference in done.stderr
        assert done.stderr.count("\n") == 1
        assert content(tmp_path / "out") == before

    def test_a_manifest_of_another_program_is_refused(
        self, edge_adder: Run, scans: Scans, tmp_path: Path
    ) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "_manifest.json").write_text("[]")
        done = edge_adder("score", scans(3), *self.OPTIONS, "--resume")
        assert done.returncode == 2
        assert "_manifest.json is not a manifest of edge-adder score" in done.stderr

    def test_the_manifest_says_what_is_done(
        self, edge_adder: Run, scans: Scans, tmp_path: Path, adder: EdgeAdder
    ) -> None:
        edge_adder("score", scans(30), *self.OPTIONS)
        found = manifest(tmp_path / "out")
        assert found["model"] == {"sha256": adder.model_sha256}
        assert found["input"]["rows"] == 30
        assert [part["rows"] for part in found["parts"]] == [20, 10]


def _changed(model: bytes) -> bytes:
    """The same model with another name of its producer's version, and so another SHA-256."""
    field = model.index(b"\x1a")  # producer_version of ModelProto
    length = model[field + 1]
    changed = bytearray(model)
    changed[field + 2 + length - 1] ^= 1
    return bytes(changed)


def test_rows_keep_their_order_on_several_processes(
    edge_adder: Run, scans: Scans, tmp_path: Path, read_table: Read, adder: EdgeAdder
) -> None:
    folder = scans(500)
    options = ("--number", 1, "--out", "out", "--processes", 3, "--part-rows", 150)
    assert edge_adder("score", folder, *options).returncode == 0
    rows = read_table(tmp_path / "out")
    files = sorted(folder.rglob("*.png"))
    assert [row["image"] for row in rows] == [str(path) for path in files]
    wanted = [answer.sum for answer in adder.predict_many(files, 1)]
    assert [row["sum"] for row in rows] == wanted
    assert np.unique(wanted).size > 5
