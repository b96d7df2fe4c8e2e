"""Streams and signals of a real process of the command line."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..stderr import without_cpu_notice  # noqa: TID252

SEVEN = Path(__file__).parents[3] / "examples" / "seven.png"
PREDICT = [sys.executable, "-m", "edge_adder", "predict", str(SEVEN), "5"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_standard_input(edge_adder_process: Run) -> None:
    done = edge_adder_process("predict", "-", "1", input=SEVEN.read_bytes(), text=False)
    assert done.stdout.startswith(b"-: 7 + 1 = 8  (")


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="this system has no /dev/stdin")
def test_the_file_behind_standard_input_is_not_replaced(
    edge_adder_process: Run, tmp_path: Path
) -> None:
    (tmp_path / "7.png").write_bytes(SEVEN.read_bytes())
    with (tmp_path / "7.png").open("rb") as file:
        done = edge_adder_process("predict", "-", "1", "--save-input", "7.png", stdin=file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--save-input would overwrite 7.png: name another file" in done.stderr
    assert (tmp_path / "7.png").read_bytes() == SEVEN.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("predict", "{}", "5"), 2),
        (("predict", SEVEN, "5", "--model", "{}"), 3),
        (("bench", "--baseline", "{}"), 2),
    ],
)
def test_what_is_no_file_ends_with_one_line(
    edge_adder_process: Run, tmp_path: Path, arguments: tuple[str | Path, ...], code: int
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
        server.bind("socket")  # a short name: a socket's may have about 100 bytes
    for name, wanted, message in (
        ("/dev/zero", code, "is a device, expected "),
        ("socket", code, "is a socket, expected "),
        ("pipe", 5, "is a pipe that no process has open to write\n"),
    ):
        done = edge_adder_process(*(name if each == "{}" else each for each in arguments))
        assert (done.returncode, done.stdout) == (wanted, "")
        assert done.stderr.startswith(f"edge-adder: error: {name}: {message}")
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no /dev/fd")
def test_a_pipe_with_a_writer_is_read_as_a_file_is(edge_adder_process: Run) -> None:
    read, write = os.pipe()  # what <(cat picture) of a shell passes
    os.write(write, SEVEN.read_bytes())
    os.close(write)
    done = edge_adder_process("predict", f"/dev/fd/{read}", "5", pass_fds=[read])
    os.close(read)
    assert done.stdout.startswith(f"/dev/fd/{read}: 7 + 5 = 12")


def test_a_name_that_the_terminal_cannot_show(edge_adder_process: Run, tmp_path: Path) -> None:
    (tmp_path / "é.png").write_bytes(SEVEN.read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = edge_adder_process("predict", "é.png", "5", env=environment)
    assert done.stdout.startswith("\\xe9.png: 7 + 5 = 12")


def test_a_reader_that_leaves_early_ends_it_quietly() -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(PREDICT, text=True, **pipes) as process:
        process.stdout.close()
        assert without_cpu_notice(process.stderr.read()) == ""
    assert process.returncode == -signal.SIGPIPE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_one_line(edge_adder_process: Run) -> None:
    with Path("/dev/full").open("w") as full:
        done = edge_adder_process("predict", SEVEN, "5", stdout=full, stderr=subprocess.PIPE)
    assert done.stderr == (
        "edge-adder: error: cannot read or write standard output: No space left on device\n"
    )
    assert done.returncode == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_answers_and_exit_codes_do_not_depend_on_stderr(
    edge_adder_process: Run, debug: list[str]
) -> None:
    arguments = ["predict", "none.png", SEVEN, "5", "--provider", "auto", *debug]
    wanted = edge_adder_process(*arguments)
    with Path("/dev/full").open("w") as full:
        done = edge_adder_process(*arguments, stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (wanted.returncode, wanted.stdout)
    assert done.returncode == 6
    assert "7 + 5 = 12" in done.stdout


@pytest.mark.parametrize(
    ("redirection", "image", "code", "message"),
    [
        (">&-", SEVEN, 5, "standard output is closed: expected it open, for the answer"),
        ("2>&-", "none.png", 2, ""),
        ("</dev/null", "-", 2, "standard input: the file is empty"),
        ("<&-", "-", 2, "standard input is closed: expected an image on it for -"),
    ],
)
def test_closed_streams_are_not_a_fault(
    redirection: str, image: str | Path, code: int, message: str
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m edge_adder predict {image} 5 {redirection}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    said = without_cpu_notice(done.stderr)
    assert said == (f"edge-adder: error: {message}\n" if message else "")
