"""Whatever is done to an image file, it is prepared or refused by one line: no crash, no flood."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("mutated_images.py")

MAX_SECONDS = 1.0
"""CPU time of one file."""

MAX_BYTES = 1_000_000_000
"""Memory of the process that prepares them all, of which a decoded image is at most 200 MB."""


@pytest.mark.parametrize(
    ("first", "stop"),
    [
        (0, 2_000),
        *(
            pytest.param(first, first + 20_000, marks=pytest.mark.long)
            for first in range(0, 100_000, 20_000)
        ),
    ],
)
def test_mutations(first: int, stop: int) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, str(first), str(stop)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stderr[-500:]}"
    result = json.loads(done.stdout)
    print(f"{first} to {stop}: {result}")
    outcomes = result["outcomes"]
    assert set(outcomes) == {"prepared", "refused"}
    assert sum(outcomes.values()) == stop - first
    assert min(outcomes.values()) > (stop - first) / 20
    assert result["slowest_s"][0] < MAX_SECONDS
    assert result["peak_bytes"] < MAX_BYTES
