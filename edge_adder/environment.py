"""The machine that a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge_adder.cores import allowed_cores, cpu_quota, read_text

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
    try:
        return version(name)
    except PackageNotFoundError:
        return None
