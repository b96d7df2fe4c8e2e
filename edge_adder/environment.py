"""The machine: cores that this process may keep busy, memory, and what a figure was measured on."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from edge_adder.errors import InputError

PACKAGES = ("edge-adder", "numpy", "onnxruntime", "onnxruntime-gpu", "pillow")
"""The installed distributions that a measured figure depends on."""

Threads = int | Literal["auto"]
"""A requested number of threads; ``auto`` stands for as many as there are cores to keep busy."""

MAX_THREADS = 256
"""Maximum number of threads: more than any device has cores for a network of this size."""

_ROOT = Path("/")
_DEFAULT_PERIOD_US = "100000"  # of a quota in ``cpu.max`` without a period


def thread_count(requested: Threads) -> int:
    """Return the number of threads that a model runs on.

    Args:
        requested: 1 to `MAX_THREADS`; ``auto`` for `allowed_cores`.

    Raises:
        InputError: `requested` is neither.
    """
    if requested == "auto":
        return min(allowed_cores(), MAX_THREADS)
    if type(requested) is int and 1 <= requested <= MAX_THREADS:
        return requested
    raise InputError(
        f"threads must be auto or an integer from 1 to {MAX_THREADS}, got {requested!r}"
    )


def allowed_cores(root: Path = _ROOT) -> int:
    """Return how many cores this process may keep busy: its affinity, or ⌈its CPU quota⌉ if less.

    Args:
        root: Folder that holds ``proc`` and ``sys``.
    """
    cores, quota = cores_by_affinity(), cpu_quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cores_by_affinity() -> int:
    """Return how many cores the system may run this process on; all if it does not say."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        return os.cpu_count() or 1


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return the CPU time that the control groups of this process grant, in cores.

    The least of the group and all groups above it. Version 2 states it in ``cpu.max``, version 1 in
    ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` (Linux, Documentation/admin-guide/cgroup-v2.rst
    and Documentation/scheduler/sched-bwc.rst).

    Args:
        root: As in `allowed_cores`.

    Returns:
        None without a limit.
    """
    mounts = ("cpu", "cpu,cpuacct", "cpuacct,cpu")
    quotas = [_group_quota(group) for group in _control_groups(root, "cpu", mounts)]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_at_hand(root: Path = _ROOT) -> int | None:
    """Return how many bytes this process may still allocate.

    The least of what the control groups leave beside its resident pages, of what RLIMIT_AS and
    RLIMIT_DATA leave beside its address space, and of what the system calls available.

    Args:
        root: As in `allowed_cores`.

    Returns:
        None if no limit is known.
    """
    left = []
    status = _read_text(root / "proc/self/status")
    resident, mapped, data = (_kib(status, name) or 0 for name in ("VmRSS", "VmSize", "VmData"))
    files = ("memory.max", "memory.limit_in_bytes")
    for group in _control_groups(root, "memory", ("memory",)):
        limits = (_read_text(group / name).strip() for name in files)
        left += [int(limit) - resident for limit in limits if limit.isdigit()]
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        pass
    else:
        for kind, used in ((resource.RLIMIT_AS, mapped), (resource.RLIMIT_DATA, data)):
            limit = resource.getrlimit(kind)[0]
            if limit != resource.RLIM_INFINITY:
                left.append(limit - used)
    available = _kib(_read_text(root / "proc/meminfo"), "MemAvailable")
    if available is not None:
        left.append(available)
    return max(0, min(left)) if left else None


def fingerprint() -> dict[str, Any]:
    """Return what a measured figure depends on beside the model, in JSON's types.

    Returns:
        ``cpu``, ``cores`` of the machine, ``allowed_cores``, ``cpu_quota`` in cores, ``governor``
        of the first core, ``system``, ``python``, and ``packages`` with their versions; None where
        the system does not say.
    """
    governor = _read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "allowed_cores": allowed_cores(),
        "cpu_quota": cpu_quota(),
        "governor": governor.strip() or None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def peak_memory_bytes() -> int | None:
    """Return the largest resident size of this process so far; None if the system does not say.

    The kernel's own count comes first: `getrusage` of a new process begins with the peak of the
    process that started it.
    """
    if sys.platform == "win32":
        return _peak_working_set()
    peak_bytes = _kib(_read_text(Path("/proc/self/status")), "VmHWM")
    if peak_bytes is not None:
        return peak_bytes
    import resource  # noqa: PLC0415  not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _peak_working_set() -> int | None:
    """Return the largest resident size of this process as Windows counts it (psapi.h)."""
    import ctypes  # noqa: PLC0415  only on Windows

    size, number = ctypes.c_size_t, ctypes.c_uint32

    class Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS."""

        _fields_ = (
            ("cb", number),
            ("PageFaultCount", number),
            ("PeakWorkingSetSize", size),
            ("WorkingSetSize", size),
            ("QuotaPeakPagedPoolUsage", size),
            ("QuotaPagedPoolUsage", size),
            ("QuotaPeakNonPagedPoolUsage", size),
            ("QuotaNonPagedPoolUsage", size),
            ("PagefileUsage", size),
            ("PeakPagefileUsage", size),
        )

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel32 = ctypes.windll.kernel32  # type: ignore[attr-defined]
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p  # a handle, as wide as a pointer
    kernel32.K32GetProcessMemoryInfo.argtypes = ctypes.c_void_p, ctypes.c_void_p, number
    succeeded = kernel32.K32GetProcessMemoryInfo(
        kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.cb
    )
    return int(counters.PeakWorkingSetSize) if succeeded else None


def _control_groups(root: Path, controller: str, mounts: tuple[str, ...]) -> Iterator[Path]:
    """Yield the folders of this process's control groups and of all groups above them.

    Args:
        root: As in `allowed_cores`.
        controller: What the groups control.
        mounts: Folders where version 1 has that controller.
    """
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        for mount in mounts if controllers else ("", "unified"):
            top = root / "sys/fs/cgroup" / mount
            group = top / path.lstrip("/")
            # Inside a container the path may be that of the host: then only the top exists.
            groups = [group, *group.parents] if group.is_dir() else [top]
            yield from (each for each in groups if each.is_relative_to(top))


def _kib(text: str, name: str) -> int | None:
    """Return a value that one of the kernel's lists states in KiB, in bytes."""
    found = re.search(rf"^{name}:\s*(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _group_quota(group: Path) -> float | None:
    """Return the quota of one control group, in cores; None without a limit."""
    unified = _read_text(group / "cpu.max").split()
    if unified:
        quota, period = (*unified, _DEFAULT_PERIOD_US)[:2]
    else:
        quota = _read_text(group / "cpu.cfs_quota_us")
        period = _read_text(group / "cpu.cfs_period_us")
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or no such file
        return None
    return cores if cores > 0 else None  # version 1 has -1 for no limit


def _cpu_name() -> str:
    pattern = r"^(?:model name|Model|Hardware)\s*:\s*(.*)$"
    found = re.search(pattern, _read_text(Path("/proc/cpuinfo")), re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  10 ms

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read_text(path: Path) -> str:
    """Return the content of one of the system's files; nothing if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
