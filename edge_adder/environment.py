"""The machine: cores that this process may keep busy, memory, and what a figure was measured on."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any, Literal

from edge_adder.errors import InputError

PACKAGES = ("edge-adder", "numpy", "onnxruntime", "onnxruntime-gpu", "pillow")
"""The installed distributions that decide a figure."""


def fingerprint() -> dict[str, Any]:
    """What a figure depends on beside the model, in JSON's types; None where it is not told.

    Keys: ``cpu``, ``cores`` of the machine, ``allowed_cores``, ``cpu_quota`` in cores,
    ``governor`` of the first core, ``system``, ``python`` and ``packages`` by name.
    """
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "allowed_cores": allowed_cores(),
        "cpu_quota": cpu_quota(),
        "governor": read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).strip()
        or None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def peak_memory_bytes() -> int | None:
    """Largest resident size of this process so far; None where the system does not tell.

    From the kernel's own count where there is one: `getrusage` of a new process begins with the
    peak of the one that started it.
    """
    told = re.search(r"^VmHWM:\s*(\d+) kB$", read_text(Path("/proc/self/status")), re.MULTILINE)
    if told:
        return int(told[1]) * 1024
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _cpu() -> str:
    found = re.search(
        r"^(?:model name|Model|Hardware)\s*:\s*(.*)$",
        read_text(Path("/proc/cpuinfo")),
        re.MULTILINE,
    )
    return found[1] if found else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  10 ms

    try:
        return version(name)
    except PackageNotFoundError:
        return None


Threads = int | Literal["auto"]
"""What can be asked for: a number, or as many as there are cores to keep busy."""

MAX_THREADS = 256
"""More threads than any device has cores for a network of this size."""


def thread_count(asked: Threads) -> int:
    """The threads that a model runs on.

    Args:
        asked: 1 to `MAX_THREADS`; ``auto`` for `allowed_cores`.

    Raises:
        InputError: It is neither.
    """
    if asked == "auto":
        return min(allowed_cores(), MAX_THREADS)
    if type(asked) is int and 1 <= asked <= MAX_THREADS:
        return asked
    raise InputError(f"threads must be auto or an integer from 1 to {MAX_THREADS}, got {asked!r}")


def allowed_cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: the smaller of its affinity and ⌈its CPU quota⌉.

    Args:
        root: Where ``proc`` and ``sys`` lie; another one in tests.
    """
    cores, quota = cores_by_affinity(), cpu_quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cores_by_affinity() -> int:
    """Cores that the system may put this process on; all of them where it does not tell."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        return os.cpu_count() or 1


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the control groups of this process grant; None without a limit.

    The least of the group and all groups above it. Version 2 states it in ``cpu.max``, version 1 in
    ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` (Linux, Documentation/admin-guide/cgroup-v2.rst
    and Documentation/scheduler/sched-bwc.rst).

    Args:
        root: As in `allowed_cores`.
    """
    quotas = []
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = ("", "unified") if not controllers else ("cpu", "cpu,cpuacct", "cpuacct,cpu")
        for mount in mounts:
            top = root / "sys/fs/cgroup" / mount
            group = top / path.lstrip("/")
            # Inside a container the path may be that of the host: then only the top exists.
            groups = [group, *group.parents] if group.is_dir() else [top]
            quotas += [_quota_of(each) for each in groups if each.is_relative_to(top)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(group: Path) -> float | None:
    """The quota of one control group, in cores."""
    unified = read_text(group / "cpu.max").split()
    if unified:
        quota, period = unified[0], unified[1] if len(unified) > 1 else "100000"
    else:
        quota, period = (
            read_text(group / "cpu.cfs_quota_us"),
            read_text(group / "cpu.cfs_period_us"),
        )
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or no such file
        return None
    return cores if cores > 0 else None  # version 1 has -1 for no limit


def read_text(path: Path) -> str:
    """The content of one of the system's files; nothing where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
