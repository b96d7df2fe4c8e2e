"""What Windows and macOS do otherwise than Linux, faked: no test here needs either of them."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_adder import InputError, environment, files
from edge_adder.cli.main import main
from edge_adder.environment import peak_memory_bytes
from edge_adder.files import read_file, write_atomically

from .stderr import without_cpu_notice

SEVEN = Path(__file__).parents[2] / "examples" / "seven.png"


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that says it is Windows and has no SIGPIPE."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(signal, "SIGPIPE", raising=False)


@pytest.fixture
def predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `predict` with this process's own arguments, in a folder with four files."""
    for name in ("b.png", "a.png", "x[1].png", "x1.bmp"):
        (tmp_path / name).write_bytes(SEVEN.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["edge-adder", "predict", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out, err)

    return run


def test_one_notice_of_an_unknown_cpu_is_allowed_and_nothing_else() -> None:
    notice = "onnxruntime cpuid_info warning: Unknown CPU vendor. cpuinfo_vendor value: 0\n"
    other = "onnxruntime cpuid_info warning: Failed to initialize PyTorch cpuinfo library.\n"
    assert without_cpu_notice(f"{notice}edge-adder: {other}") == f"edge-adder: {other}"
    assert without_cpu_notice(notice + notice) == notice
    assert without_cpu_notice(other) == other


class TestWildcards:
    """cmd.exe and PowerShell hand them over as they are."""

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            (["*.png"], ["a.png", "b.png", "x[1].png"]),
            (["x1.bmp", "?.png"], ["x1.bmp", "a.png", "b.png"]),
            (["x[1].*"], ["x[1].png"]),
            (["x[1].png"], ["x[1].png"]),  # Windows knows no brackets
            (["--", "?.png"], ["a.png", "b.png"]),
        ],
    )
    @pytest.mark.usefixtures("windows")
    def test_are_expanded_on_windows(
        self, predict: Callable, arguments: list[str], names: list[str]
    ) -> None:
        done = predict(*arguments, "5")
        assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == names

    @pytest.mark.usefixtures("windows")
    def test_that_match_nothing_are_named(self, predict: Callable) -> None:
        done = predict("*.gif", "5")
        assert (done.returncode, done.stderr) == (2, "edge-adder: error: *.gif: no such file\n")

    def test_are_left_to_the_shell_elsewhere(
        self, predict: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        assert predict("*.png", "5").returncode == 2


def test_a_folder_that_windows_does_not_permit_to_open_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match=r"^it: is a folder, expected an image$"):
        read_file(tmp_path, limit=9, what="an image", name="it")


class _ClosedPipe(io.RawIOBase):
    """The writing end of a pipe whose reader has gone, until another file takes its place."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        return len(data)

    def replace(self, *_: object) -> None:
        self.number = 0


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL])
@pytest.mark.parametrize("line_buffering", [True, False])
@pytest.mark.usefixtures("windows")
def test_a_reader_that_leaves_early_ends_it_quietly(
    predict: Callable, monkeypatch: pytest.MonkeyPatch, number: int, line_buffering: bool
) -> None:
    pipe = _ClosedPipe(number)
    stdout = io.TextIOWrapper(io.BufferedWriter(pipe), line_buffering=line_buffering)
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(os, "dup2", pipe.replace)
    done = predict("a.png", "b.png", "5")
    assert (done.returncode, done.stderr) == (5, "")
    stdout.flush()  # as Python does at its end


class TestSync:
    FULL_SYNC = 51  # F_FULLFSYNC in macOS's fcntl.h

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What is called to sync a file, on a macOS that can sync all file systems in full."""
        called: list[str] = []
        pytest.importorskip("fcntl", reason="Windows syncs in its own way")
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(files.fcntl, "F_FULLFSYNC", self.FULL_SYNC, raising=False)
        monkeypatch.setattr(os, "fsync", lambda _: called.append("fsync"))

        def control(_: int, command: int) -> None:
            called.append("full" if command == self.FULL_SYNC else str(command))

        monkeypatch.setattr(files.fcntl, "fcntl", control)
        return called

    def test_macos_empties_the_disks_cache(self, tmp_path: Path, calls: list[str]) -> None:
        write_atomically(tmp_path / "file", b"new")
        assert set(calls) == {"full"}
        assert (tmp_path / "file").read_bytes() == b"new"

    def test_a_file_system_that_cannot_is_synced_as_elsewhere(
        self, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.ENOTSUP, "Operation not supported")

        monkeypatch.setattr(files.fcntl, "fcntl", refuse)
        write_atomically(tmp_path / "file", b"new")
        assert set(calls) == {"fsync"}


class TestPeakMemory:
    def kernel32(self, *, succeeds: bool) -> SimpleNamespace:
        def memory_info(process: int, counters: object, size: int) -> int:
            assert process == -1
            found = counters._obj
            assert size == found.cb == ctypes.sizeof(found) == (72 if sys.maxsize > 2**32 else 40)
            found.PeakWorkingSetSize, found.WorkingSetSize = 5 * 2**32, 3
            return succeeds

        return SimpleNamespace(GetCurrentProcess=lambda: -1, K32GetProcessMemoryInfo=memory_info)

    @pytest.mark.parametrize(("succeeds", "peak"), [(True, 5 * 2**32), (False, None)])
    @pytest.mark.usefixtures("windows")
    def test_of_windows_is_the_largest_working_set(
        self, monkeypatch: pytest.MonkeyPatch, succeeds: bool, peak: int | None
    ) -> None:
        libraries = SimpleNamespace(kernel32=self.kernel32(succeeds=succeeds))
        monkeypatch.setattr(ctypes, "windll", libraries, raising=False)
        assert peak_memory_bytes() == peak

    def test_of_macos_is_counted_in_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resource = pytest.importorskip("resource", reason="not on Windows")

        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(environment, "_read_text", lambda _: "")  # there is no /proc
        usage = SimpleNamespace(ru_maxrss=123_456_789)
        monkeypatch.setattr(resource, "getrusage", lambda _: usage)
        assert peak_memory_bytes() == 123_456_789
