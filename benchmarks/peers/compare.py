"""Times, answers and sizes of all peers in one run."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.peers import environments, in_process, processes
from benchmarks.peers.children import Child, ChildPeer, child_peers, running
from benchmarks.peers.in_process import Call, peers, torch_threads
from edge_adder import EdgeAdder
from edge_adder.bench.timing import CallLatency, Times, time_interleaved
from edge_adder.contract import IMAGE, NUMBER
from edge_adder.errors import CheckpointError, InputError, one_line
from edge_adder.parity import COMPARED_ABOVE, bundled_vectors
from edge_adder.prediction import Outputs

BATCHES = (1, 64)

ROUNDS = 10
"""How often the turn goes round between this process and the others."""

TOLERANCE = 1e-3
"""Largest difference of a log-probability between peers, in nats. Ten times the parity bound, since
compilers are free to reorder the arithmetic."""

_OURS = "edge-adder"
_PACKAGES = {_OURS: "edge-adder", "raw": "onnxruntime", "OpenVINO": "openvino", "PyTorch": "torch"}
"""By the first word of a peer's name, the package that has to be installed for it."""

_ONE_ANSWER = {
    _OURS: "model.onnx",
    "raw onnxruntime": "model.onnx",
    "OpenVINO": "model.onnx",
    "PyTorch eager": "network.pt",
    "PyTorch TorchScript": "script.pt",
}
"""By a peer's name without its version, the file that `one_answer.py` loads. torch.compile is not
among them: it compiles in every new process."""


def compare_peers(
    adder: EdgeAdder, network: nn.Module, calls: int, *, starts: int = 5
) -> dict[str, Any]:
    """Time all peers on the same images.

    Args:
        adder: The bundled runtime; every peer gets as many threads.
        network: The PyTorch network that its file was exported from.
        calls: Counted calls of each peer at batch 1; at batch 64 a tenth of them.
        starts: Fresh processes of each peer.

    Returns:
        ``threads``; ``batches``: by batch size and peer, the figures of
        `edge_adder.bench.timing.CallLatency` with the ratio to edge-adder; ``facts``: by peer,
        ``largest_difference`` in nats and ``changed`` answers of those to the largest batch,
        ``file_bytes``, ``installed_bytes``, ``packages``, ``process_ms`` and ``peak_bytes``, as far
        as they are known; ``absent``: by peer, the reason.

    Raises:
        CheckpointError: A peer's answers differ from the file's by more than `TOLERANCE`.
    """
    with tempfile.TemporaryDirectory() as folder, torch_threads(adder.threads):
        comparison = _Comparison(Path(folder), adder, network)
        for size in BATCHES:
            comparison.run(size, calls if size == 1 else max(20, calls // 10))
        comparison.add_processes(starts)
        return comparison.found


class _Comparison:
    """A run: the inputs of all peers, and what was found so far."""

    def __init__(self, folder: Path, adder: EdgeAdder, network: nn.Module) -> None:
        self._adder, self._network = adder, network
        self._model, self._vectors = folder / "model.onnx", folder / "vectors"
        self.found: dict[str, Any] = {
            "threads": adder.threads,
            "batches": {},
            "facts": {},
            "absent": {},
        }
        stored, count = bundled_vectors(), max(BATCHES)
        self._images = np.resize(stored[IMAGE.name], (count, *stored[IMAGE.name].shape[1:]))
        self._numbers = np.resize(stored[NUMBER.name], count)
        self._model.write_bytes(adder.model_bytes)
        np.savez(self._vectors.with_suffix(".npz"), image=self._images, number=self._numbers)
        lists = {"images": self._images.reshape(-1).tolist(), "numbers": self._numbers.tolist()}
        numbers = self._vectors.with_suffix(".json")
        numbers.write_text(json.dumps(lists))

    def run(self, size: int, count: int) -> None:
        """Add the figures of one batch size."""
        images, numbers = self._images[:size], self._numbers[:size]
        expected = self._adder.run(images, numbers)
        calls = self._prepare(images, numbers, expected)
        listed, absent = child_peers(self._model, self._vectors, size)
        self.found["absent"] |= absent
        with contextlib.ExitStack() as stack:
            children: dict[str, Child] = {}
            for peer in listed:
                child = stack.enter_context(running(peer))
                try:
                    answers = child.answers()
                except InputError as error:
                    self.found["absent"][peer.name] = str(error)
                    continue
                self._check(peer.name, answers, expected)
                self.found["facts"][peer.name] |= _describe(peer)
                children[peer.name] = child
            times = _time(calls, children, count)
        self.found["batches"][str(size)] = {
            name: CallLatency.from_times(each, times[_OURS]).to_dict()
            for name, each in times.items()
        }

    def _prepare(
        self, images: NDArray[np.uint8], numbers: NDArray[np.int64], expected: Outputs
    ) -> dict[str, Call]:
        """Make a call of each peer of this process and check its answers."""
        ready: dict[str, Call] = {}
        for name, peer in peers(self._adder, self._network).items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # compilers' notes to their own developers
                    call = peer(images, numbers)
                    answers = call()
            except Exception as error:  # noqa: BLE001  a compiler may fail in any way
                self.found["absent"][name] = one_line(error, 120)
                continue
            self._check(name, answers, expected)
            ready[name] = call
        return ready

    def _check(self, name: str, answers: Any, expected: Outputs) -> None:
        """Compare a peer's answers with the file's, and note the difference."""
        largest, changed = 0.0, 0
        for each, wanted in zip(answers, expected, strict=True):
            array = np.asarray(each)
            difference = np.abs(array - wanted)[wanted > COMPARED_ABOVE].max()
            if not difference <= TOLERANCE:
                raise CheckpointError(f"{name} differs from the file by {difference:.2g}")
            largest = max(largest, float(difference))
            changed += int((array.argmax(1) != wanted.argmax(1)).sum())
        facts = self.found["facts"].setdefault(name, {})
        facts |= {"largest_difference": largest, "changed": changed}

    def add_processes(self, starts: int) -> None:
        """Add what fresh processes take, and what is installed for the peers of this process."""
        facts = self.found["facts"]
        script = str(Path(__file__).with_name("one_answer.py"))
        commands: dict[str, Sequence[str]] = {
            "numpy alone": (sys.executable, script, "numpy alone", "")
        }
        folders: dict[str, Path] = {}
        self._save_for_pytorch(facts)
        for name, each in facts.items():
            kind = _without_version(name)
            if kind in _ONE_ANSWER:
                file = self._model.with_name(_ONE_ANSWER[kind])
                commands[name] = sys.executable, script, kind, str(file)
                each["file_bytes"] = file.stat().st_size
            package = _PACKAGES.get(name.split()[0])
            if package is not None:
                size, count = environments.installed_in(Path(sys.executable), package)
                each |= {"installed_bytes": size, "packages": count}
        for peer in child_peers(self._model, self._vectors, 1)[0]:
            if peer.name in facts:
                commands[peer.name], folders[peer.name] = peer.command, peer.folder
                if peer.command[0] == shutil.which("node"):
                    commands["node alone"] = peer.command[0], "--eval", ""
        for name, (ms, peak) in processes.measure(commands, folders, starts).items():
            facts.setdefault(name, {}).update(process_ms=ms, peak_bytes=peak)

    def _save_for_pytorch(self, names: Iterable[str]) -> None:
        """Write what PyTorch loads in fresh processes, for those of its ways that have run."""
        ran = {_without_version(name) for name in names}
        if "PyTorch eager" in ran:
            torch.save(self._network, self._model.with_name("network.pt"))
        if "PyTorch TorchScript" in ran:
            script = in_process.script(self._network, self._images[:1], self._numbers[:1])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it is deprecated
                script.save(str(self._model.with_name("script.pt")))


def _without_version(name: str) -> str:
    """Return such as ``PyTorch eager`` for ``PyTorch 2.14.1 eager``."""
    return " ".join(word for word in name.split() if not word[0].isdigit())


def _describe(peer: ChildPeer) -> dict[str, int]:
    size, packages = peer.installed
    return {
        "file_bytes": peer.file.stat().st_size,
        "installed_bytes": size,
        "packages": packages,
    }


def _time(calls: Mapping[str, Call], children: Mapping[str, Child], count: int) -> dict[str, Times]:
    """Time all in turns: this process's calls interleaved, then those of each other process."""
    each = max(1, count // ROUNDS)
    rounds: dict[str, list[Times]] = {name: [] for name in (*calls, *children)}
    for child in children.values():
        child.times(max(10, count // 20))  # to warm up
    with torch.inference_mode():
        for index in range(ROUNDS):
            warmup = max(10, count // 20) if index == 0 else 1
            for name, times in time_interleaved(calls, each, warmup=warmup).items():
                rounds[name].append(times)
            for name, child in children.items():
                taken = child.times(each + 1)
                rounds[name].append(Times(counted=taken[1:], first=taken[:1]))
    return {
        name: Times(*(np.concatenate(parts) for parts in zip(*listed, strict=True)))
        for name, listed in rounds.items()
    }
