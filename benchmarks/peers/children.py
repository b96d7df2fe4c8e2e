"""Peers that run in processes of their own: LiteRT, onnxruntime in node.

Such a process reads a number from a line of its stdin. For 0 it writes its outputs, digit and sum,
as a line of JSON; for a larger one it makes as many calls and writes how long each took, in
nanoseconds. So the pipe is in no figure.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import environments
from benchmarks.peers.environments import FOLDER, NODE_PACKAGES, SET_UP, Installed
from edge_adder.errors import InputError, one_line

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ChildPeer:
    """How a peer is started.

    Attributes:
        name: Its name and version.
        command: Starts it, in `folder`.
        folder: Where it is started.
        file: The model file that it reads.
        installed: What it takes on disk.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    file: Path
    installed: Installed


class Child:
    """A running peer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def answers(self) -> list[NDArray[np.float32]]:
        """Return its outputs: digit float32 (batch, 10) and sum float32 (batch, 19)."""
        return [np.array(each, np.float32) for each in self._ask(0)]

    def times(self, calls: int) -> NDArray[np.int64]:
        """Return how long calls take, in nanoseconds: int64 (calls,)."""
        return np.array(self._ask(calls), np.int64)

    def _ask(self, calls: int) -> Any:
        assert self._process.stdin is not None  # noqa: S101  both are pipes
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.write(f"{calls}\n")
            self._process.stdin.flush()
        except OSError:
            line = ""
        else:
            line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            assert self._process.stderr is not None  # noqa: S101
            said = self._process.stderr.read().strip().splitlines() or ["no message"]
            raise InputError(f"ended: {said[-1][:120]}")
        return json.loads(line)


@contextmanager
def running(peer: ChildPeer) -> Iterator[Child]:
    """Start a peer, and end it afterwards."""
    with subprocess.Popen(  # noqa: S603  our own commands
        peer.command,
        cwd=peer.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def child_peers(
    model: Path, vectors: Path, batch: int, folder: Path = FOLDER
) -> tuple[list[ChildPeer], dict[str, str]]:
    """Return the peers that can be started, and why others cannot.

    Args:
        model: The ONNX file.
        vectors: Stem of the files ``.npz`` and ``.json`` with images and numbers.
        batch: Images of a call.
        folder: Where the environments are.
    """
    found, absent = [], {}
    for name, make in (("LiteRT", _litert), *((each, _node) for each in NODE_PACKAGES)):
        try:
            found.append(make(name, model, vectors, batch, folder))
        except (InputError, OSError, subprocess.SubprocessError) as error:
            absent[name] = one_line(error, 120)
    return found, absent


def _litert(name: str, model: Path, vectors: Path, batch: int, folder: Path) -> ChildPeer:
    python = environments.python_of(folder / "litert").absolute()
    if not python.exists():
        raise InputError(f"not set up: {SET_UP}")
    file = environments.convert(model, batch, folder)
    found = subprocess.run(  # noqa: S603
        [python, "-c", "from importlib.metadata import version; print(version('ai-edge-litert'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    script = str(_HERE / "litert_peer.py")
    return ChildPeer(
        name=f"{name} {found.stdout.strip()}",
        command=(str(python), script, str(file), str(vectors.with_suffix(".npz"))),
        folder=folder,
        file=file,
        installed=environments.installed_in(python, "ai-edge-litert"),
    )


def _node(name: str, model: Path, vectors: Path, batch: int, folder: Path) -> ChildPeer:
    node, place = shutil.which("node"), folder / name
    if node is None:
        raise InputError("node is not installed")
    if not (place / "node_modules" / name).exists():
        raise InputError(f"not set up: {SET_UP}")
    script, numbers = str(_HERE / "node_peer.mjs"), str(vectors.with_suffix(".json"))
    return ChildPeer(
        name=f"{name} {NODE_PACKAGES[name]}",
        command=(node, script, name, str(model), numbers, str(batch)),
        folder=place,
        file=model,
        installed=environments.installed_in_node(place),
    )
