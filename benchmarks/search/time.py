"""Latency of untrained networks in onnxruntime: it depends on shapes, not on weights.

Only a fresh BatchNorm would leave no bias in the file; so it gets random numbers first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.search.candidates import CANDIDATES, layout
from edge_adder import EdgeAdder
from edge_adder.bench.timing import IDENTITY_MODEL, percentiles, ratio, time_interleaved
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.environment import fingerprint
from edge_adder.session import open_session
from export import networks, to_onnx
from export.catalogue import count_multiply_adds, count_parameters
from export.checkpoint import Checkpoint

SAMPLE = Path(__file__).parents[2] / "examples" / "seven.png"

WARMUP = 100
"""Calls of each network before those that count."""


def time_candidates(calls: int) -> dict[str, Any]:
    """Time all candidates and the registered networks, untrained.

    Args:
        calls: Calls of each network.

    Returns:
        ``machine``; ``calls``; ``networks``: by name or line, ``parameters``, ``multiply_adds`` and
        what `time_adders` returns.
    """
    candidates = {line: layout(line)() for line in CANDIDATES}
    everything = {name: networks.create(name) for name in networks.NETWORKS} | candidates
    adders = {name: load_untrained(network, name) for name, network in everything.items()}
    rows: dict[str, dict[str, float]] = {
        name: {
            "parameters": count_parameters(network),
            "multiply_adds": count_multiply_adds(network),
        }
        for name, network in everything.items()
    }
    for name, times in time_adders(adders, calls).items():
        rounded = {key: round(value, 3) for key, value in times.items()}
        rows[name] = rows.get(name, {}) | rounded
    return {"machine": fingerprint(), "calls": calls, "networks": rows}


def load_untrained(network: nn.Module, name: str = "untrained") -> EdgeAdder:
    """Export a network with the weights that it has, and load the file.

    Its BatchNorms get random parameters and statistics, as after a training, so that the file has
    the same operators and tensors; `network` itself stays as it is.

    Args:
        network: Any network that keeps the contract.
        name: The network's name in the file's provenance.
    """
    network = copy.deepcopy(network).eval()
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for each in (*module.parameters(), *module.buffers()):
                if each.is_floating_point():  # not the count of batches
                    nn.init.uniform_(each, 0.5, 1.5, generator=generator)
    checkpoint = Checkpoint(name, network.state_dict(), {}, {})
    return EdgeAdder(to_onnx.to_onnx(network, checkpoint))


def time_adders(adders: Mapping[str, EdgeAdder], calls: int) -> dict[str, dict[str, float]]:
    """Time raw `session.run`, batch 1, of each model and of an identity graph, interleaved.

    Args:
        adders: Models by name; ``identity`` is reserved.
        calls: Calls of each model.

    Returns:
        By name, ``identity`` among them, ``p50`` in microseconds and its ``ratio`` to the identity
        graph's, the median over the rounds.
    """
    image, number = np.asarray(Image.open(SAMPLE))[None, None], np.array([7])
    inputs, outputs = {IMAGE.name: image, NUMBER.name: number}, [DIGIT.name, SUM.name]
    sessions = {"identity": open_session(IDENTITY_MODEL.read_bytes())}
    sessions |= {name: adder.session for name, adder in adders.items()}
    timed: dict[str, Callable[[], object]] = {
        name: partial(session.run, outputs, inputs) for name, session in sessions.items()
    }
    times = time_interleaved(timed, calls, WARMUP)
    return {
        name: {"p50": percentiles(values)["p50"], "ratio": ratio(values, times["identity"])}
        for name, values in times.items()
    }
