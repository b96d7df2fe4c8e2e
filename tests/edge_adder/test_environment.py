"""The fingerprint of the machine, and its cores, from fake files of control groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, InputError
from edge_adder import environment as cores
from edge_adder.environment import (
    allowed_cores,
    cpu_quota,
    fingerprint,
    peak_memory_bytes,
    thread_count,
)


def test_the_fingerprint_is_json_and_names_what_runs() -> None:
    found = json.loads(json.dumps(fingerprint()))
    assert found["packages"].keys() >= {"numpy", "onnxruntime", "pillow"}
    assert found["python"].split()[1].startswith("3.")
    assert 1 <= found["allowed_cores"] <= found["cores"]
    assert found["cpu"]


def test_peak_memory_is_this_processs_own() -> None:
    """Also where a large process started it."""
    block = bytearray(400_000_000)
    block[::4096] = b"x" * len(block[::4096])
    code = "from edge_adder.environment import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    if done.stdout.strip() == "None" or not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell")
    assert int(done.stdout) < 300_000_000


def test_peak_memory_grows() -> None:
    before = peak_memory_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    block = bytearray(before + 50_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_memory_bytes() >= before + 40_000_000


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
