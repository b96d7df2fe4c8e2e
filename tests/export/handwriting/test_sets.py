"""The sets of handwriting: found, checked, downloaded, listed."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from edge_adder.errors import FileAccessError, InputError
from export import commands
from export.handwriting import sets
from export.handwriting.download import download, missing_parts
from export.handwriting.sets import (
    HANDWRITING_VARIABLE,
    NUMBERS,
    PENDIGITS,
    TRAINING_WRITERS,
    VALIDATION_WRITERS,
    digest,
    find_folder,
    read_checked,
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where a server on this machine hands out what is in `tmp_path`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def published(tmp_path: Path, address: str) -> tuple[sets.HandwritingSet, Path]:
    """A small set in the form of Numbers, and the folder of its archive."""
    source = tmp_path / "repository-1" / "resources" / "numbers"
    for writer in ("0001_AA", "0002_BB", "0003_CC"):
        for digit in (0, 7):
            folder = source / writer / str(digit)
            folder.mkdir(parents=True)
            pixels = np.full((20, 20), 30 * digit, np.uint8)
            Image.fromarray(pixels).save(folder / "number-1.png")
    archive = tmp_path / "repository-1.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(source.rglob("*.png")):
            file.write(path, path.relative_to(tmp_path))
    listed = {
        writer: digest(
            {
                p.relative_to(source).as_posix(): p.read_bytes()
                for p in (source / writer).rglob("*.png")
            }
        )
        for writer in ("0001_AA", "0002_BB")
    }
    small = replace(
        NUMBERS,
        url=f"{address}/{archive.name}",
        members="repository-1/resources/numbers",
        sha256=listed,
    )
    return small, tmp_path / "sets"


def test_a_folder_by_argument_by_variable_and_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(HANDWRITING_VARIABLE, raising=False)
    assert find_folder() == tmp_path / "edge-adder" / "handwriting"
    monkeypatch.setenv(HANDWRITING_VARIABLE, "named")
    assert find_folder() == Path("named")
    assert find_folder(tmp_path) == tmp_path


def test_validation_writers_are_never_trained_on() -> None:
    assert not set(TRAINING_WRITERS) & set(VALIDATION_WRITERS)
    assert {*TRAINING_WRITERS, *VALIDATION_WRITERS} == set(NUMBERS.sha256)
    assert len(TRAINING_WRITERS) == 12


def test_a_download_brings_the_named_writers_and_no_others(
    published: tuple[sets.HandwritingSet, Path],
) -> None:
    small, folder = published
    assert missing_parts(small, folder) == ["0001_AA", "0002_BB"]
    download(small, folder)
    assert missing_parts(small, folder) == []
    assert sorted(p.name for p in (folder / "numbers").iterdir()) == ["0001_AA", "0002_BB"]
    assert [p.name for p in folder.iterdir()] == ["numbers"]  # nothing is left of the archive
    assert sorted(read_checked(small, "0001_AA", folder)) == [
        "0001_AA/0/number-1.png",
        "0001_AA/7/number-1.png",
    ]


def test_what_is_there_stays_and_what_is_missing_comes(
    published: tuple[sets.HandwritingSet, Path],
) -> None:
    small, folder = published
    download(small, folder)
    kept = folder / "numbers" / "0001_AA"
    before = kept.stat().st_mtime_ns
    (folder / "numbers" / "0002_BB").rename(folder / "elsewhere")
    download(small, folder)
    assert missing_parts(small, folder) == []
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["another picture", "one more picture", "one picture fewer"])
def test_a_changed_writer_is_refused_and_not_overwritten(
    published: tuple[sets.HandwritingSet, Path], change: str
) -> None:
    small, folder = published
    download(small, folder)
    picture = folder / "numbers" / "0001_AA" / "7" / "number-1.png"
    if change == "another picture":
        picture.write_bytes(b"other")
    elif change == "one more picture":
        picture.with_name("number-2.png").write_bytes(picture.read_bytes())
    else:
        picture.unlink()
    with pytest.raises(InputError, match=r"0001_AA is not what was published: expected SHA-256"):
        read_checked(small, "0001_AA", folder)
    with pytest.raises(InputError, match=r"delete it and download again"):
        download(small, folder)


def test_an_archive_with_other_content_leaves_nothing(
    published: tuple[sets.HandwritingSet, Path],
) -> None:
    small, folder = published
    other = replace(small, sha256={"0001_AA": "0" * 64})
    with pytest.raises(InputError, match="is not what was published"):
        download(other, folder)
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("content", [None, b"<html>not found</html>"], ids=["none", "a page"])
def test_a_failed_download_is_one_line_with_the_address(
    tmp_path: Path, address: str, content: bytes | None
) -> None:
    archive = tmp_path / "archive.zip"
    if content is not None:
        archive.write_bytes(content)
    with pytest.raises(FileAccessError, match=r"^cannot download http:.*archive\.zip"):
        download(replace(PENDIGITS, url=f"{address}/archive.zip"), tmp_path / "sets")
    assert [*(tmp_path / "sets").iterdir()] == []


def test_without_data_the_message_says_which_command_brings_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run `edge-adder data --download`, or name the folder"):
        read_checked(NUMBERS, "0001_CH4M", tmp_path)


def test_the_list_names_source_licence_size_and_place(
    edge_adder: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HANDWRITING_VARIABLE, str(tmp_path))
    listed = edge_adder("data")
    assert listed.returncode == 0
    for word in ("CC0-1.0", "CC-BY-4.0", "10.24432/C5MG6K", "40.5 MB", "15 of 15 parts missing"):
        assert word in listed.stdout
    facts = json.loads(edge_adder("data", "--json").stdout)
    assert [each["name"] for each in facts] == ["numbers", "pendigits"]
    assert facts[1]["missing"] == ["pendigits-orig.tra.Z", "pendigits-orig.tes.Z"]


def test_the_command_downloads_what_is_missing_and_then_nothing(
    edge_adder: Run,
    published: tuple[sets.HandwritingSet, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small, folder = published
    monkeypatch.setattr(commands.sets, "SETS", (small,))
    done = edge_adder("data", "--download", "--folder", folder)
    assert done.returncode == 0
    assert "complete" in done.stdout
    assert f"downloading numbers from {small.url}" in done.stderr
    assert edge_adder("data", "--download", "--folder", folder).stderr == ""


@pytest.mark.handwriting
@pytest.mark.parametrize("wanted", sets.SETS, ids=lambda wanted: wanted.name)
def test_the_published_sets_are_complete(wanted: sets.HandwritingSet) -> None:
    assert missing_parts(wanted, find_folder()) == []
