"""The engine on a local Ray cluster, which each test starts: the same table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import content, manifest

pytest.importorskip("ray.data", reason="needs the extra `ray`")

SCORE = (sys.executable, "-m", "edge_adder", "score")
OPTIONS = ("--number", "3", "--part-rows", "150", "--processes", "2", "--details", "--out")


def finish(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*SCORE, "scans", *OPTIONS, *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


def rows(folder: Path) -> list[dict]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(folder).to_pylist()


def check_same(one: Path, other: Path) -> None:
    """Everything is equal but for the rounding of probabilities."""
    pairs = list(zip(rows(one), rows(other), strict=True))
    assert pairs
    for a, b in pairs:
        for name in ("digit_probability", "sum_probability"):
            found, wanted = a.pop(name), b.pop(name)
            assert found == wanted or abs(found - wanted) <= 1e-6
        assert a == b


@pytest.fixture
def scored(scans: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder with scans and their table from the local engine."""
    (scans(400) / "000" / "broken.png").write_bytes(b"broken")
    done = finish(tmp_path, "local")
    assert done.returncode == 6, done.stderr
    return tmp_path


def test_the_answers_and_the_manifest_are_those_of_the_local_engine(scored: Path) -> None:
    done = finish(scored, "ray", "--engine", "ray")
    assert done.returncode == 6, done.stderr
    assert done.stderr.endswith("401 rows in 3 parts, 1 errors, 0 uncertain\n")
    check_same(scored / "local", scored / "ray")
    assert content(scored / "ray").keys() == content(scored / "local").keys()
    (scored / "ray" / "part-00002.parquet").unlink()
    assert finish(scored, "ray", "--resume").returncode == 6  # on the other engine
    check_same(scored / "local", scored / "ray")
    one, other = manifest(scored / "local"), manifest(scored / "ray")
    assert [part["rows"] for part in one.pop("parts")] == [150, 150, 101]
    other.pop("parts")
    assert one == other


def test_an_actor_that_is_killed_changes_nothing(scored: Path) -> None:
    process = subprocess.Popen(
        [*SCORE, "scans", *OPTIONS, "ray", "--engine", "ray"],
        cwd=scored,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    killed = None
    while killed is None and process.poll() is None:
        killed = next(actors(), None)
        time.sleep(0.01)
    assert killed is not None, process.communicate()
    os.kill(killed, signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 6, said
    check_same(scored / "local", scored / "ray")


def actors() -> Iterator[int]:
    """The processes of a cluster that answer batches now."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux's /proc")
    for path in Path("/proc").glob("[0-9]*"):
        try:
            title = (path / "cmdline").read_bytes()
            if b"ray::" in title and b"_Actor" in title and b".submit" in title:
                yield int(path.name)
        except OSError:
            continue


def test_a_cluster_that_is_not_there_is_one_line(scored: Path) -> None:
    done = finish(scored, "ray", "--engine", "ray", "--ray-address", "127.0.0.1:1")
    assert done.returncode == 5
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edge-adder: error: Ray at 127.0.0.1:1 cannot be reached: ")


def test_an_address_needs_the_engine(scored: Path) -> None:
    done = finish(scored, "ray", "--ray-address", "auto")
    assert done.returncode == 2
    assert done.stderr == "edge-adder: error: --ray-address needs --engine ray\n"
    done = finish(scored, "ray", "--engine", "spark")
    assert done.stderr == "edge-adder: error: --engine must be one of local, ray, got 'spark'\n"
