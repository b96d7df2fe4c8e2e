"""Processes that die, runs that are killed, disks that are full: nothing is lost or differs."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra `score`")

from edge_adder import EdgeAdder, InputError
from edge_adder.errors import FileAccessError
from edge_adder.score import local
from edge_adder.score.answers import Batch, Options, cut
from edge_adder.score.inputs import Row

from .conftest import content

DEADLY = types.SimpleNamespace(read=os._exit)
"""A picture at which the process that reads it ends."""

SCORE = (sys.executable, "-m", "edge_adder", "score")


def run(
    adder: EdgeAdder, sources: list[Any], processes: int = 1, **options: Any
) -> Iterator[list[dict]]:
    rows = (Row(f"row {index}", source, 1) for index, source in enumerate(sources))
    chosen = Options(**options)
    for table in local.run(adder, cut(rows, chosen), chosen, processes):
        if table is not None:
            yield table.to_pylist()


def rows_of(adder: EdgeAdder, sources: list[Any], processes: int = 1, **options: Any) -> list[dict]:
    return [row for part in run(adder, sources, processes, **options) for row in part]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_picture_that_ends_its_process_twice_costs_one_row(
    adder: EdgeAdder, vectors: dict, processes: int
) -> None:
    sources = list(vectors["image"][:40, 0])
    healthy = rows_of(adder, sources, batch_rows=8)
    for place in (0, 21, 22, 39):
        sources[place] = DEADLY
    found = rows_of(adder, sources, processes, batch_rows=8)
    lost = [place for place, row in enumerate(found) if row["error"]]
    assert lost == [0, 21, 22, 39]
    assert "the process that read it ended with code " in found[21]["error"]
    assert found[21]["digit"] is None
    for place in set(range(40)) - set(lost):
        assert found[place] == healthy[place]  # to the last bit: in a batch of the same size


def test_a_process_that_is_killed_now_and_then_changes_nothing(
    adder: EdgeAdder, vectors: dict
) -> None:
    sources = list(np.resize(vectors["image"][:, 0], (400, 28, 28)))
    healthy = rows_of(adder, sources)
    found = []
    for index, part in enumerate(run(adder, sources, 2)):
        found += part
        if index == 1:  # once: the batch at which a second process dies is taken apart
            for child in children():
                os.kill(child, signal.SIGKILL)
    assert found == healthy


def children() -> list[int]:
    """The processes of the engine that this one has started."""
    return [process.pid for process in multiprocessing.active_children()]


def test_a_process_that_dies_in_the_network_twice_ends_the_run(
    adder: EdgeAdder, vectors: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = local._Worker(adder, Options())
    worker.give(local._Task(Batch(0, [Row("", vectors["image"][0, 0], 1)])))
    monkeypatch.setattr(worker, "connection", Broken(worker.connection))
    assert worker.take() is False
    monkeypatch.setattr(worker, "connection", Broken(worker.connection))
    with pytest.raises(FileAccessError, match="a process that runs the model was ended by SIGKILL"):
        worker.take()


class Broken:
    """A pipe whose other end has died."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def recv(self) -> Any:
        for child in children():
            os.kill(child, signal.SIGKILL)
        raise EOFError

    def close(self) -> None:
        self._pipe.close()


def test_what_a_process_raises_ends_the_run(adder: EdgeAdder, vectors: dict) -> None:
    with pytest.raises(InputError, match="ink must be one of auto, light, dark, got 'none'"):
        rows_of(adder, [vectors["image"][0, 0]], ink="none")
    assert children() == []


def test_the_engine_takes_only_a_few_batches_ahead(adder: EdgeAdder, vectors: dict) -> None:
    taken = []

    def sources() -> Iterator[Row]:
        for index in range(10_000):
            taken.append(index)
            yield Row("", vectors["image"][0, 0], 1)

    options = Options(batch_rows=4)
    answers = local.run(adder, cut(sources(), options), options, 2)
    while next(answers) is None:
        pass
    assert len(taken) <= (local.AHEAD * 2 + 2) * 4
    answers.close()
    assert children() == []


class TestKilled:
    """`kill -9` of the whole group at a random moment after a random part, then --resume."""

    @pytest.fixture
    def scans(self, scans: Callable[..., Path]) -> Path:
        folder = scans(400)
        (folder / "000" / "broken.png").write_bytes(b"broken")
        return folder

    def command(self, scans: Path, out: Path) -> list[str]:
        options = ("--number", "3", "--part-rows", "40", "--processes", "2", "--details")
        return [*map(str, (*SCORE, scans, "--out", out, *options)), "--resume"]

    def check(self, scans: Path, tmp_path: Path, times: int) -> str:
        random.seed(times)
        self.finish(scans, tmp_path / "whole")
        wanted = content(tmp_path / "whole")
        assert len(wanted) == 1 + 11
        halves = []
        for index in range(times):
            out = tmp_path / f"cut {index}"
            process = subprocess.Popen(
                self.command(scans, out), start_new_session=True, stderr=subprocess.DEVNULL
            )
            least = random.randrange(11)  # noqa: S311
            while len(list(out.glob("part-*"))) < least and process.poll() is None:
                time.sleep(0.001)
            time.sleep(random.uniform(0, 0.1))  # noqa: S311
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            halves.append(len(list(out.glob("part-*"))))
            self.finish(scans, out)
            assert content(out) == wanted
        return f"{times} runs were killed with so many parts: {sorted(halves)}"

    def finish(self, scans: Path, out: Path) -> None:
        done = subprocess.run(self.command(scans, out), capture_output=True, text=True, check=False)
        assert done.returncode == 6, done.stderr

    def test_at_a_few_moments(self, scans: Path, tmp_path: Path) -> None:
        self.check(scans, tmp_path, 3)

    @pytest.mark.long
    def test_at_fifty_moments(self, scans: Path, tmp_path: Path) -> None:
        print(self.check(scans, tmp_path, 50))


def test_ctrl_c_ends_all_processes_and_leaves_what_can_be_resumed(
    scans: Callable[..., Path], tmp_path: Path
) -> None:
    command = [*SCORE, str(scans(600)), "--number", "1", "--out", "out", "--part-rows", "20"]
    process = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, cwd=tmp_path, text=True
    )
    while not list((tmp_path / "out").glob("part-*")) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    wait_for_the_end_of_the_group(process.pid)
    done = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def wait_for_the_end_of_the_group(group: int) -> None:
    """Python's own helper of multiprocessing ends a moment after the others."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("a process is left")


class TestDisks:
    def test_a_full_disk_leaves_what_can_be_resumed(
        self, on_a_disk: Callable, tmp_path: Path, scans: Callable[..., Path]
    ) -> None:
        folder = scans(300)
        options = ("--number", "1", "--part-rows", "20", "--processes", "1")
        command = (*SCORE, str(folder), *options, "--out")
        done = on_a_disk("full", *command, "disk/out", free_kib=24)
        assert done.returncode == 5, done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith("edge-adder: error: cannot write disk/out/")
        assert last.endswith("No space left on device")
        kept = content(tmp_path / "after" / "out")
        assert 1 < len(kept) < 16
        assert not [name for name in kept if name.endswith(".tmp")]
        for out in ("after/out", "whole"):
            resumed = [*command, str(tmp_path / out), "--resume"]
            subprocess.run(resumed, check=True, capture_output=True)
        assert content(tmp_path / "after" / "out") == content(tmp_path / "whole")

    def test_an_input_that_goes_away_leaves_what_can_be_resumed(
        self, scans: Callable[..., Path], tmp_path: Path
    ) -> None:
        names = "".join(f"{path}\n" for path in sorted(scans(300).rglob("*.png")))
        (tmp_path / "names.csv").write_text(f"image\n{names}")
        options = ("--number", "1", "--part-rows", "20", "--processes", "1", "--resume")
        command = [*SCORE, "names.csv", *options, "--out"]
        process = subprocess.Popen(
            [*command, "out"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        while not list((tmp_path / "out").glob("part-*")) and process.poll() is None:
            time.sleep(0.01)
        (tmp_path / "names.csv").write_text("image\n")  # the open file is cut short
        _, said = process.communicate(timeout=60)
        assert process.returncode == 2
        assert said.startswith("edge-adder: error: the input has changed: expected 300 rows, got ")
        assert said.count("\n") == 1
        (tmp_path / "names.csv").write_text(f"image\n{names}")
        for out in ("out", "whole"):
            done = subprocess.run([*command, out], cwd=tmp_path, check=False, capture_output=True)
            assert done.returncode in {0, 6}, done.stderr
        assert content(tmp_path / "out") == content(tmp_path / "whole")
