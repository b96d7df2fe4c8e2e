"""The fingerprint of the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_adder.environment import fingerprint, peak_memory_bytes


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
