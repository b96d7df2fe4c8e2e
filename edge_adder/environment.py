"""The machine that a figure was measured on, and how many of its cores this process may use."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("edge-adder", "numpy", "onnxruntime", "onnxruntime-gpu", "pillow")
"""The installed distributions that decide a figure."""


def allowed_cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: the smaller of its affinity and ⌈its CPU quota⌉.

    Args:
        root: Where ``proc`` and ``sys`` lie; another one in tests.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        cores = os.cpu_count() or 1
    quota = cpu_quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the control groups of this process grant; None without a limit.

    The least of the group and all groups above it. Version 2 states it in ``cpu.max``, version 1 in
    ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` (Linux, Documentation/admin-guide/cgroup-v2.rst
    and Documentation/scheduler/sched-bwc.rst).

    Args:
        root: As in `allowed_cores`.
    """
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
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
        "governor": _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).strip()
        or None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def peak_memory_bytes() -> int | None:
    """Largest resident size of this process so far; None where the system does not tell."""
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _quota_of(group: Path) -> float | None:
    """The quota of one control group, in cores."""
    unified = _read(group / "cpu.max").split()
    if unified:
        quota, period = unified[0], unified[1] if len(unified) > 1 else "100000"
    else:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or no such file
        return None
    return cores if cores > 0 else None  # version 1 has -1 for no limit


def _cpu() -> str:
    found = re.search(
        r"^(?:model name|Model|Hardware)\s*:\s*(.*)$", _read(Path("/proc/cpuinfo")), re.MULTILINE
    )
    return found[1] if found else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
