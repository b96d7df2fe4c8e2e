"""A file is complete or absent, whoever is killed and whoever else writes it."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_adder import files
from edge_adder.errors import EdgeAdderError, FileAccessError, InputError, ModelError
from edge_adder.files import make_folder, read_file, write_atomically, write_together

KILLED = """
import json, os, sys
from pathlib import Path
from edge_adder import files

def write_and_die(target, line):
    def trace(frame, event, argument):
        nonlocal line
        if frame.f_code.co_filename == files.__file__:
            line -= event == "line"
            if not line:
                os._exit(9)
            return trace

    sys.settrace(trace)
    files.write_atomically(target, b"new" * 100_000)
    os._exit(0)

target, found, status = Path("file"), [], 9
while status:
    target.write_bytes(b"old")
    child = os.fork()
    if not child:
        write_and_die(target, len(found) + 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    content, temporaries = target.read_bytes(), len(os.listdir()) - 1
    files.write_atomically(target, b"old")
    found.append([content[:3].decode(), len(content), temporaries, os.listdir()])
print(json.dumps(found))
"""
"""Writes a file again and again, and dies before each line of the module that it runs through.

Prints for each time the start and the size of the file, the number of temporaries beside it, and
what is left after another write.
"""

WRITER = """
import sys
from edge_adder.files import write_together
for _ in range(10):
    write_together({name: sys.argv[1].encode() * 300_000 for name in ("a", "b")})
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestRead:
    def test_of_a_file_above_the_limit_one_byte_more_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(bytes(100_000))
        assert len(read_file(tmp_path / "file", limit=100_000)) == 100_000
        assert len(read_file(tmp_path / "file", limit=99_000)) == 99_001

    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [
            ("none", ModelError, "none: no such file: make one"),
            (".", ModelError, ".: is a folder, expected a model"),
            ("a\0b", ModelError, r"'a\x00b': not a file name: embedded null byte"),
            ("a" * 300, FileAccessError, f"{'a' * 300}: cannot be read: File name too long"),
        ],
    )
    def test_what_cannot_be_read(
        self, name: str, error: type[EdgeAdderError], message: str
    ) -> None:
        with pytest.raises(error) as caught:
            read_file(name, limit=9, what="a model", hint=": make one", error=ModelError)
        assert str(caught.value) == message

    def test_the_error_is_of_the_input_unless_stated_otherwise(self) -> None:
        with pytest.raises(InputError, match=r"^my file: no such file$"):
            read_file("none", limit=9, name="my file")

    def test_of_a_pipe_above_the_limit_one_byte_more_is_read(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with subprocess.Popen(["/bin/sh", "-c", "echo 123456789 > pipe"], cwd=tmp_path):
            assert read_file(tmp_path / "pipe", limit=5) == b"123456"

    def test_a_pipe_whose_writer_is_slow_is_waited_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "PIPE_SECONDS", 0)
        os.mkfifo(tmp_path / "pipe")
        writer = os.open(tmp_path / "pipe", os.O_RDWR)
        later = threading.Timer(0.2, lambda: (os.write(writer, b"late"), os.close(writer)))
        later.start()
        assert read_file(tmp_path / "pipe", limit=9) == b"late"
        later.join()

    def test_a_pipe_that_is_closed_without_a_byte_is_empty(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with subprocess.Popen(["/bin/sh", "-c", ": > pipe"], cwd=tmp_path):
            assert read_file(tmp_path / "pipe", limit=9) == b""


def test_a_new_file_has_the_permissions_of_the_umask_and_nothing_beside_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert names(tmp_path) == {"file"}


def test_the_old_file_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "file"
    write_atomically(target, b"old")
    with pytest.raises(FileAccessError, match=r"cannot write .*/no/other: No such file"):
        write_together({target: b"new", tmp_path / "no" / "other": b"new"})
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(FileAccessError, match=r"cannot write .*file: No space left on device"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == {"file"}


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (write_atomically, os.devnull, "cannot write /dev/null: it is not a regular file"),
        (write_atomically, ".", "it is not a regular file"),
        (write_atomically, "no/file", "No such file or directory"),
        (write_atomically, "file/file", "Not a directory"),
        (lambda path, _: make_folder(path), "file/folder", "cannot make folder .*file/folder: "),
        (lambda path, _: make_folder(path), "file", "file: a file of that name exists"),
    ],
)
def test_what_cannot_be_written_is_named(
    tmp_path: Path, write: Callable[[Path, bytes], None], name: str, message: str
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileAccessError, match=message):
        write(tmp_path / name, b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_all_files_are_on_disk_before_the_first_is_renamed_and_their_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    replace, fsync = Path.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda a, b: (events.append(b.name), replace(a, b))[1])
    write_together({tmp_path / "b": b"1", tmp_path / "a": b"2"})
    assert events == ["fsync", "fsync", "b", "a", "fsync"]
    assert [(tmp_path / name).read_bytes() for name in "ba"] == [b"1", b"2"]


class TestStaleTemporaries:
    def test_the_next_write_removes_them_and_nothing_else(self, tmp_path: Path) -> None:
        stale = {".file.01234567.tmp", ".file.89abcdef.tmp"}
        others = {".other.01234567.tmp", ".file.0123456.tmp", ".file.0123456x.tmp", "file.tmp"}
        others |= {".filex01234567.tmp", "a.file.01234567.tmp", ".file.01234567.tmp.gz"}
        for name in stale | others:
            (tmp_path / name).write_bytes(b"half")
        (tmp_path / ".file.aaaaaaaa.tmp").mkdir()
        (tmp_path / ".file.bbbbbbbb.tmp").symlink_to("file.tmp")
        write_atomically(tmp_path / "file", b"new")
        assert names(tmp_path) == others | {".file.aaaaaaaa.tmp", ".file.bbbbbbbb.tmp", "file"}

    def test_what_a_live_process_writes_stays(self, tmp_path: Path) -> None:
        with (tmp_path / ".file.01234567.tmp").open("wb") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            write_atomically(tmp_path / "file", b"new")
            assert Path(alive.name).exists()
        write_atomically(tmp_path / "file", b"new")
        assert not Path(alive.name).exists()

    def test_a_write_whose_temporary_was_taken_for_a_stale_one_begins_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flock, stolen = fcntl.flock, []

        def steal_before_it_is_locked(descriptor: int, how: int) -> None:
            if not stolen:
                stolen.extend(tmp_path.iterdir())
                stolen[0].unlink()
            flock(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", steal_before_it_is_locked)
        write_atomically(tmp_path / "file", b"new")
        assert len(stolen) == 1
        assert (tmp_path / "file").read_bytes() == b"new"

    def test_where_nothing_can_be_locked_files_are_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsupported(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(fcntl, "flock", unsupported)
        (tmp_path / ".file.01234567.tmp").touch()
        write_atomically(tmp_path / "file", b"new")
        assert names(tmp_path) == {"file", ".file.01234567.tmp"}

    def test_a_kill_before_any_line_leaves_the_old_file_or_the_new(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", KILLED]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
        contents, sizes, temporaries, remaining = zip(*json.loads(done.stdout), strict=True)
        assert len(contents) > 30
        assert list(contents) == sorted(contents, reverse=True)  # old up to one line, then new
        assert set(zip(contents, sizes, strict=True)) == {("old", 3), ("new", 300_000)}
        assert sum(temporaries) > 5
        assert all(names == ["file"] for names in remaining)


def test_a_temporary_and_its_folder_are_locked_when_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def replace_what_is_locked(temporary: Path, target: Path) -> None:
        for path in (temporary, tmp_path):
            descriptor = os.open(path, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(descriptor)
        replace(temporary, target)

    monkeypatch.setattr(Path, "replace", replace_what_is_locked)
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert (tmp_path / "b").read_bytes() == b"2"


def test_of_several_writers_one_wins(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, letter], cwd=tmp_path) for letter in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    first, second = ((tmp_path / name).read_bytes() for name in "ab")
    assert first == second == first[:1] * 300_000
    assert names(tmp_path) == {"a", "b"}
