"""Start a command and print what it took: python fresh_process.py COMMAND...

A small process of its own, since a process counts the memory of the one that forked it. The command
reads ``0``, the question for one answer, from its stdin. Standard library only.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time


def main(*command: str) -> None:
    """Print milliseconds and peak memory in bytes, as JSON."""
    began = time.perf_counter()
    nowhere = subprocess.DEVNULL
    done = subprocess.run(  # noqa: S603  our own commands
        command, check=False, input=b"0\n", stdout=nowhere, stderr=nowhere
    )
    taken = 1000 * (time.perf_counter() - began)
    if done.returncode:
        raise SystemExit(f"ended with {done.returncode}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps([taken, peak * (1 if sys.platform == "darwin" else 1024)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
