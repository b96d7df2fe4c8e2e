"""How many cores a process may use, from fake files of both versions of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, InputError, cores
from edge_adder.cores import allowed_cores, cpu_quota, thread_count


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "5:memory:/x\n2:cpu,cpuacct:/a/b\n1:cpuset:/y\n0::/\n"}
CASES = {
    "v2": (V2 | {"sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5),
    "v2 without a period": (V2 | {"sys/fs/cgroup/a/b/cpu.max": "300000\n"}, 3.0),
    "v2 without a limit": (V2 | {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, None),
    "v2, the group above is tighter": (
        V2
        | {"sys/fs/cgroup/a/b/cpu.max": "400000 100000", "sys/fs/cgroup/a/cpu.max": "50000 100000"},
        0.5,
    ),
    "v2 in a container that sees only its own": (
        V2 | {"sys/fs/cgroup/cpu.max": "200000 100000"},
        2.0,
    ),
    "v2 beside v1": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/unified/cpu.max": "250000 100000"},
        2.5,
    ),
    "v1": (
        V1
        | {
            "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "v1 in a folder of another name": (
        V1
        | {
            "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "100000",
            "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "50000",
        },
        2.0,
    ),
    "v1 without a limit": (
        V1
        | {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "nonsense": (V2 | {"sys/fs/cgroup/a/b/cpu.max": "fast 0\n"}, None),
    "no time at all": (V2 | {"sys/fs/cgroup/a/b/cpu.max": "1000 0\n"}, None),
    "no control groups": ({}, None),
}


@pytest.mark.parametrize(("files", "quota"), CASES.values(), ids=CASES)
def test_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("affinity", "quota", "allowed"),
    [(8, "250000 100000", 3), (2, "250000 100000", 2), (8, "max 100000", 8), (8, "1000 100000", 1)],
)
def test_cores_are_the_smaller_of_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, affinity: int, quota: str, allowed: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    assert allowed_cores(write(tmp_path, V2 | {"sys/fs/cgroup/a/b/cpu.max": quota})) == allowed


def test_without_affinity_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert allowed_cores(tmp_path) == 5


def test_threads_auto_are_the_allowed_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "allowed_cores", lambda: 3)
    assert thread_count("auto") == EdgeAdder(threads="auto").threads == 3
    assert thread_count(1) == EdgeAdder().threads == 1
    monkeypatch.setattr(cores, "allowed_cores", lambda: 384)
    assert thread_count("auto") == 256


@pytest.mark.parametrize("threads", [0, -1, 257, 1.0, "2", True, None])
def test_other_threads_are_refused(threads: object) -> None:
    with pytest.raises(InputError, match="threads must be auto or an integer from 1 to 256, got "):
        EdgeAdder(threads=threads)
