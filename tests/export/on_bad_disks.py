"""Exports and trainings on a disk that is full, read-only, and at last neither.

python on_bad_disks.py DATA  →  a line of JSON for each: exit code, what it printed to standard
error, and what the disk held afterwards. Its own folder ``disk`` must be a disk of 1 MB.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from edge_adder.cli.main import main as edge_adder
from edge_adder.predictor import BUNDLED_MODEL
from export import to_onnx

DISK = Path("disk")
MOUNT = ["mount", "-o"]


def run(*command: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            edge_adder(list(command))
        except SystemExit as ended:
            code = ended.code
    held = {
        str(path.relative_to(DISK)): path.read_bytes() == b"old"
        for path in DISK.rglob("*")
        if path.is_file() and path.name != "filler"
    }
    print(json.dumps({"code": code, "err": err.getvalue(), "old": held}))


def fill(free_kib: int) -> None:
    with contextlib.suppress(OSError), (DISK / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(4096))
            filler.flush()
    os.truncate(DISK / "filler", (DISK / "filler").stat().st_size - 1024 * free_kib)


def main(data: str) -> None:
    to_onnx.GATE_IMAGES = 20
    content = BUNDLED_MODEL.read_bytes()
    to_onnx.to_onnx = lambda *_, **__: content  # tracing takes seconds and writes nothing
    export = ("export", "--out", str(DISK / "model.onnx"))
    train = ("train", "--network", "bn-adder", "--epochs", "1", "--device", "cpu")
    train += ("--data-dir", data)  # a network whose recipe draws nothing, which takes long
    for free_kib in (40, 100):
        fill(free_kib)
        run(*export)
    fill(40)
    run(*train, "--out", str(DISK / "run"))
    (DISK / "filler").unlink()
    subprocess.run([*MOUNT, "remount,ro", DISK], check=True)
    run(*export)
    run(*train, "--out", str(DISK / "run"))
    subprocess.run([*MOUNT, "remount,rw", DISK], check=True)
    run(*export)
    run(*train, "--out", "run")


if __name__ == "__main__":
    main(sys.argv[1])
