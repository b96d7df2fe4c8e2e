"""How long a fresh process takes to its first answer, stage by stage."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_adder.bench.result import ColdStart
from edge_adder.errors import EdgeAdderError
from edge_adder.predictor import EdgeAdder

_PROGRAM = """
import json, sys, time
entered = time.monotonic_ns()
from edge_adder.predictor import EdgeAdder
from edge_adder.environment import peak_memory_bytes
imported = time.monotonic_ns()
import numpy
began, model, provider, threads, spinning = sys.argv[1:]
adder = EdgeAdder(model, provider=provider, threads=int(threads), spinning=spinning == "True")
loaded = time.monotonic_ns()
adder.predict(numpy.eye(28, dtype=numpy.uint8) * 255, 7, ink="light")
answered = time.monotonic_ns()
times = [int(began), entered, imported, loaded, answered]
print(json.dumps([times, peak_memory_bytes()]))
"""


def cold_start(adder: EdgeAdder, starts: int) -> ColdStart:
    """Time fresh processes from just before they are started to after they ended.

    Args:
        adder: Its model, provider, threads and spinning are used.
        starts: How many processes are counted; one more comes first.

    Raises:
        EdgeAdderError: A process failed.
    """
    settings = adder.provider, str(adder.threads), str(adder.spinning)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        model.write_bytes(adder.model_bytes)
        runs = [_time_process(str(model), *settings) for _ in range(starts + 1)][1:]
    times, peaks = zip(*runs, strict=True)
    interpreter, imports, session, first_answer, process = np.median(times, axis=0) / 1e6
    return ColdStart(
        starts=starts,
        interpreter=float(interpreter),
        imports=float(imports),
        session=float(session),
        first_answer=float(first_answer),
        process=float(process),
        peak_memory_bytes=None if None in peaks else max(peaks),
    )


def _time_process(*arguments: str) -> tuple[list[int], Any]:
    """Return a process's stages and whole time, in nanoseconds, and its peak memory, in bytes."""
    command = [sys.executable, "-P", "-c", _PROGRAM]  # -P: imports from nowhere but the environment
    began = time.monotonic_ns()
    done = subprocess.run(  # noqa: S603
        [*command, str(began), *arguments], check=False, capture_output=True, text=True
    )
    ended = time.monotonic_ns()
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise EdgeAdderError(f"a fresh process cannot predict: {reason}")
    times, peak = json.loads(done.stdout)
    return [*np.diff(times).tolist(), ended - began], peak
