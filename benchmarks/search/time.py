"""How fast networks are in onnxruntime before anyone trains them.

A graph's time depends on its shapes, not on its weights.

But a BatchNorm that has seen nothing leaves no bias behind; so it gets random numbers first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from edge_adder import EdgeAdder
from edge_adder.bench.timing import IDENTITY_MODEL, percentiles, ratio, time_interleaved
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.session import open_session
from export import networks, to_onnx
from export.checkpoint import Checkpoint
from export.networks.parts import Network

SAMPLE = Path(__file__).parents[2] / "examples" / "seven.png"

WARM_UP = 100
"""Calls of each before those that count."""


def load_untrained(network: Network, name: str = "untrained") -> EdgeAdder:
    """A network with the weights that it happens to have, as the file that `export` would make.

    Its BatchNorms get random parameters and statistics, as after a training, so that the file has
    the same operators and tensors; `network` itself stays as it is.

    Args:
        network: Of any class that keeps the contract.
        name: Stands in the file's provenance.
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


def registered() -> dict[str, EdgeAdder]:
    """All networks of the registry with fresh weights."""
    return {name: load_untrained(networks.create(name), name) for name in networks.NETWORKS}


def time_adders(adders: Mapping[str, EdgeAdder], calls: int) -> dict[str, dict[str, float]]:
    """Time raw `session.run`, batch 1, of each and of an identity graph, in turn.

    Args:
        adders: What to time, by name; ``identity`` is taken.
        calls: Of each.

    Returns:
        By name, ``identity`` among them, ``p50`` in microseconds and its ``ratio`` to the identity
        graph's, the median over the turns.
    """
    image, number = np.asarray(Image.open(SAMPLE))[None, None], np.array([7])
    inputs, outputs = {IMAGE.name: image, NUMBER.name: number}, [DIGIT.name, SUM.name]
    sessions = {"identity": open_session(IDENTITY_MODEL.read_bytes())}
    sessions |= {name: adder.session for name, adder in adders.items()}
    timed: dict[str, Callable[[], object]] = {
        name: partial(session.run, outputs, inputs) for name, session in sessions.items()
    }
    times = time_interleaved(timed, calls, WARM_UP)
    return {
        name: {"p50": percentiles(values)["p50"], "ratio": ratio(values, times["identity"])}
        for name, values in times.items()
    }
