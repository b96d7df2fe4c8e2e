"""Exports that are killed, or run at once: a process of its own, from which each export is forked.

python repeated_exports.py KILLS TOGETHER  →  a line of JSON: what was counted.

Two checkpoints are exported alternately to the same name, so that old and new differ. Half of the
kills come at any moment of an export, half while it writes, which is a small part of it. Nothing is
traced, which takes seconds and writes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from edge_adder.predictor import BUNDLED_MODEL
from export import checkpoint as checkpoints
from export import to_onnx
from export.checkpoint import Checkpoint

Content = tuple[bytes | None, bytes | None]

to_onnx.GATE_IMAGES = to_onnx.VECTORS = 20  # the gate of more takes a second
WRITE = to_onnx.write_together


class Export:
    """A forked export, which says ``w`` when it begins to write and ``d`` when it is done.

    With `wait`, it waits for a byte in that pipe before it writes.
    """

    def __init__(self, checkpoint: Checkpoint, out: Path, *, wait: int | None = None) -> None:
        self.reader, writer = os.pipe()
        self.process = os.fork()
        if self.process:
            os.close(writer)
            return
        code = 1
        try:

            def write(files: dict[Path, bytes]) -> None:
                os.write(writer, b"w")
                if wait is not None:
                    os.read(wait, 1)
                WRITE(files)
                os.write(writer, b"d")

            to_onnx.write_together = write
            to_onnx.export(checkpoint, out)
            code = 0
        finally:
            os._exit(code)

    def hear(self) -> str:
        """Return what it says next; nothing where it has ended."""
        return os.read(self.reader, 1).decode()

    def end(self) -> int:
        """Wait for its exit code."""
        os.close(self.reader)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def content(out: Path) -> Content:
    """Return the model and its vectors; None for a file that is not there."""
    files = out, out.with_name("model.parity.npz")
    model, vectors = (path.read_bytes() if path.exists() else None for path in files)
    return model, vectors


def temporaries(out: Path) -> int:
    return len(list(out.parent.glob(".*.tmp")))


def alone(checkpoint: Checkpoint, out: Path) -> tuple[Content, float, float]:
    """Return what an export writes, its seconds until it begins to write and from then on."""
    began = time.perf_counter()
    export = Export(checkpoint, out)
    export.hear()
    wrote = time.perf_counter()
    export.hear()
    done = time.perf_counter()
    if export.end():
        raise SystemExit("an undisturbed export failed")
    return content(out), wrote - began, done - wrote


def killed(both: list[Checkpoint], out: Path, count: int) -> dict[str, object]:
    """Kill exports; count where the kill came, and what was then under the name."""
    after, until_writing, writing = zip(*(alone(each, out) for each in both), strict=True)
    random_ = random.Random(0)  # noqa: S311  to be repeated, not to be secret
    moments: Counter[str] = Counter()
    left: Counter[str] = Counter()
    most = 0
    for index in range(count):
        before = content(out)
        chosen = int(before[0] == after[0][0])  # the one whose model is not there
        export, said = Export(both[chosen], out), ""
        if index % 4 < 2:
            time.sleep(random_.uniform(0, until_writing[0] + writing[0]))
        else:
            said = export.hear()
            time.sleep(random_.uniform(0, 1.2 * writing[0]))
        os.kill(export.process, signal.SIGKILL)
        while heard := export.hear():
            said += heard
        export.end()
        moments[{"": "before writing", "w": "while writing", "wd": "after writing"}[said]] += 1
        moments["temporaries"] += temporaries(out) > 0
        most = max(most, temporaries(out))
        found = zip(("model", "vectors"), content(out), before, after[chosen], strict=True)
        for name, now, old, new in found:
            left[f"{name} {'old' if now == old else 'new' if now == new else 'damaged'}"] += 1
    alone(both[0], out)
    files = sorted(path.name for path in out.parent.iterdir())
    return {"moments": moments, "left": left, "most_temporaries": most, "files": files}


def together(both: list[Checkpoint], out: Path, count: int) -> dict[str, object]:
    """Let exports write at once; return their exit codes, and whose files are there in the end."""
    expected = [alone(each, out)[0] for each in both]
    gate, opener = os.pipe()
    running = [Export(both[index % 2], out, wait=gate) for index in range(count)]
    for export in running:
        export.hear()
    os.write(opener, bytes(count))
    codes = [export.end() for export in running]
    files = sorted(path.name for path in out.parent.iterdir())
    return {"codes": codes, "winners": expected.count(content(out)), "files": files}


def main(kills: int, at_once: int) -> None:
    torch.set_num_threads(1)  # a fork takes no others with it
    first = checkpoints.load(checkpoints.committed("edge"))
    bias = first.weights["conv5.bias"]
    second = dataclasses.replace(first, weights=first.weights | {"conv5.bias": bias + 0.01})
    both = [first, second]
    old, new = (each.weights["conv5.bias"].numpy().tobytes() for each in both)
    bundled = BUNDLED_MODEL.read_bytes()
    made = {first.sha256: bundled, second.sha256: bundled.replace(old, new)}
    to_onnx.to_onnx = lambda _, checkpoint, **__: made[checkpoint.sha256]
    counted = {}
    for action, count in ((killed, kills), (together, at_once)):
        with tempfile.TemporaryDirectory() as folder:
            counted[action.__name__] = action(both, Path(folder) / "model.onnx", count)
    print(json.dumps(counted))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
