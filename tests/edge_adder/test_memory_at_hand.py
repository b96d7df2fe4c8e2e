"""How much memory this process may still allocate, by the limits of the system."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from edge_adder.environment import memory_at_hand

MIB = 2**20
STATUS = "VmSize:\t 300 kB\nVmRSS:\t 100 kB\nVmData:\t 200 kB\n"


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in ({"proc/self/status": STATUS} | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


GROUP_2 = {"proc/self/cgroup": "0::/job/step\n"}
GROUP_1 = {"proc/self/cgroup": "5:cpu:/x\n4:memory:/job\n"}
TOP = "sys/fs/cgroup/"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (GROUP_2 | {TOP + "job/step/memory.max": "max\n"}, None),
        (GROUP_2 | {TOP + "job/step/memory.max": f"{MIB}\n"}, MIB - 100 * 1024),
        (
            GROUP_2
            | {TOP + "job/step/memory.max": f"{2 * MIB}\n", TOP + "job/memory.max": f"{MIB}\n"},
            MIB - 100 * 1024,
        ),
        (GROUP_1 | {TOP + "memory/job/memory.limit_in_bytes": f"{MIB}\n"}, MIB - 100 * 1024),
        (GROUP_1 | {TOP + "memory/job/memory.limit_in_bytes": "1024\n"}, 0),  # all of it is used
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    5 kB\n"}, 5 * 1024),
    ],
)
def test_control_groups_and_the_system(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    assert memory_at_hand(system(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(resource.RLIMIT_AS, MIB - 300 * 1024), (resource.RLIMIT_DATA, MIB - 200 * 1024)],
)
def test_limits_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, expected: int
) -> None:
    unlimited = (resource.RLIM_INFINITY,) * 2
    limits = {kind: (MIB, MIB)}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits.get(kind, unlimited))
    assert memory_at_hand(system(tmp_path, {})) == expected


def test_this_system_says_something_plausible() -> None:
    free = memory_at_hand()
    assert free is None or free > MIB
