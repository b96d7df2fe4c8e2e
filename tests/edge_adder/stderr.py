"""What is on stderr beside what edge-adder says."""

from __future__ import annotations

import re

UNKNOWN_CPU = re.compile(
    r"^onnxruntime cpuid_info warning: Unknown CPU vendor\. cpuinfo_vendor value: \d+\n",
    re.MULTILINE,
)
"""What onnxruntime prints while it is imported on some ARM boards, before anything can silence it
(CPUIDInfo::LogEarlyWarning in onnxruntime/core/common/cpuid_info.cc)."""


def without_cpu_notice(stderr: str) -> str:
    """Return what a process wrote to stderr without the one line that the tests allow."""
    return UNKNOWN_CPU.sub("", stderr, count=1)
