"""The record of the search, ``benchmarks/pareto.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_adder.files import write_atomically

RECORD = Path(__file__).parents[1] / "pareto.json"


def read() -> dict[str, Any]:
    """Return the record; it is empty where none is written yet.

    Its keys are ``timed``, as `benchmarks.search.time.time_candidates` returns it, and ``trained``:
    by run, ``recipe``, ``validation`` and, where it was measured, ``perturbed``.
    """
    return dict(json.loads(RECORD.read_text())) if RECORD.is_file() else {}


def update(**parts: Any) -> None:
    """Replace parts of the record."""
    write_atomically(RECORD, (json.dumps(read() | parts, indent=1) + "\n").encode())
