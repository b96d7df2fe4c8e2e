"""The fingerprint of the machine, and its cores, from fake files of control groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, InputError, environment
from edge_adder.environment import (
    allowed_cores,
    cpu_quota,
    fingerprint,
    peak_memory_bytes,
    thread_count,
)

BLOCK_BYTES = 100_000_000


def test_the_fingerprint_is_json_and_names_what_runs() -> None:
    found = json.loads(json.dumps(fingerprint()))
    assert found["packages"].keys() >= {"numpy", "onnxruntime", "pillow"}
    assert found["python"].split()[1].startswith("3.")
    assert 1 <= found["allowed_cores"] <= found["cores"]
    assert found["cpu"]


def test_peak_memory_grows_and_is_of_this_process_alone() -> None:
    before = peak_memory_bytes()
    if before is None or not Path("/proc/self/status").exists():
        pytest.skip("this system does not say")
    block = bytearray(before + BLOCK_BYTES)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_memory_bytes() >= before + 0.9 * BLOCK_BYTES
    code = "from edge_adder.environment import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < BLOCK_BYTES


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def v1(folder: str, quota: str, period: str) -> dict[str, str]:
    """Files of version 1 for a control group in a folder."""
    own = {"proc/self/cgroup": "5:memory:/x\n2:cpu,cpuacct:/a/b\n1:cpuset:/y\n0::/\n"}
    place = f"sys/fs/cgroup/{folder}/cpu.cfs"
    return own | {f"{place}_quota_us": quota, f"{place}_period_us": period}


def v2(files: dict[str, str], own: str = "/a/b") -> dict[str, str]:
    """Files of version 2: ``cpu.max`` by folder."""
    maxima = {f"sys/fs/cgroup/{folder}/cpu.max": text for folder, text in files.items()}
    return {"proc/self/cgroup": f"0::{own}\n"} | maxima


CASES = {
    "v2": (v2({"a/b": "150000 100000\n"}), 1.5),
    "v2 without a period": (v2({"a/b": "300000\n"}), 3.0),
    "v2 without a limit": (v2({"a/b": "max 100000\n"}), None),
    "v2, the group above is tighter": (v2({"a/b": "400000 100000", "a": "50000 100000"}), 0.5),
    "v2 in a container that sees only its own": (v2({".": "200000 100000"}), 2.0),
    "v2 beside v1": (v2({"unified": "250000 100000"}, own="/"), 2.5),
    "v1": (v1("cpu,cpuacct/a/b", "250000\n", "100000\n"), 2.5),
    "v1 in a folder of another name": (v1("cpu/a/b", "100000", "50000"), 2.0),
    "v1 without a limit": (v1("cpu,cpuacct", "-1\n", "100000\n"), None),
    "nonsense": (v2({"a/b": "fast 0\n"}), None),
    "no time at all": (v2({"a/b": "1000 0\n"}), None),
    "no control groups": ({}, None),
}


@pytest.mark.parametrize(("files", "quota"), CASES.values(), ids=CASES)
def test_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(write(tmp_path, files)) == quota


def test_cores_are_the_smaller_of_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores, quota, allowed in ((8, 250000, 3), (2, 250000, 2), (8, "max", 8), (8, 1000, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: {*range(n)}, raising=False)
        assert allowed_cores(write(tmp_path, v2({"a/b": f"{quota} 100000"}))) == allowed
    monkeypatch.delattr(os, "sched_getaffinity")  # as outside of Linux
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert allowed_cores(tmp_path / "none") == 5


def test_threads_auto_are_the_allowed_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "allowed_cores", lambda: 3)
    assert thread_count("auto") == EdgeAdder(threads="auto").threads == 3
    assert thread_count(1) == EdgeAdder().threads == 1
    monkeypatch.setattr(environment, "allowed_cores", lambda: 384)
    assert thread_count("auto") == 256


def test_other_threads_are_refused() -> None:
    message = "threads must be auto or an integer from 1 to 256, got "
    for threads in (0, -1, 257, 1.0, "2", True, None):
        with pytest.raises(InputError, match=message):
            EdgeAdder(threads=threads)
