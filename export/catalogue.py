"""The facts of each network: its cost, and the accuracy of its committed checkpoint."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edge_adder.contract import IMAGE_SIDE

from . import networks
from .checkpoint import WEIGHTS_DIR

MEASURED_FILE = "networks.json"
"""What `python -m benchmarks.networks` measured, beside the checkpoints. By network: the SHA-256 of
the weights, the size of the exported file, the gate's figures and the latency."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One network of the registry.

    Attributes:
        name: Its key in `export.networks.NETWORKS`.
        source: Who made it, and its idea.
        parameters: Number of trainable values, BatchNorm's included.
        multiply_adds: Multiply-adds for one image, of convolutions and linear layers.
        size_bytes: Size of the exported file; None where it was not measured for these weights.
        digit: Test accuracy of the digit with all ten numbers, a fraction, from the committed
            record of a checkpoint; None where there is no record.
        sum: Test accuracy of the sum, a fraction.
        epochs: Epochs of the training.
        committed: Whether the checkpoint itself is committed, so that it can be exported.
    """

    name: str
    source: str
    parameters: int
    multiply_adds: int
    size_bytes: int | None
    digit: float | None
    sum: float | None
    epochs: int | None
    committed: bool


def catalogue(weights_dir: Path = WEIGHTS_DIR) -> list[NetworkFacts]:
    """Return the facts of every network, in the registry's order.

    Args:
        weights_dir: Where the checkpoints and their records lie.
    """
    measured = _read(weights_dir / MEASURED_FILE).get("networks", {})
    facts = []
    for name, kind in networks.NETWORKS.items():
        record = _read(weights_dir / f"{name}.json")
        test = record.get("metrics", {}).get("test", {})
        row = measured.get(name, {})
        fresh = row.get("weights_sha256") == record.get("weights_sha256")
        facts.append(
            NetworkFacts(
                name=name,
                source=kind.source,
                parameters=count_parameters(networks.create(name)),
                multiply_adds=count_multiply_adds(networks.create(name)),
                size_bytes=row.get("size_bytes") if fresh else None,
                digit=test.get("digit"),
                sum=test.get("sum"),
                epochs=record.get("config", {}).get("epochs"),
                committed=(weights_dir / f"{name}.safetensors").is_file(),
            )
        )
    return facts


def count_parameters(network: nn.Module) -> int:
    """Count the trainable values of a network, BatchNorm's included."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_folded_parameters(network: nn.Module) -> int:
    """Count the parameters of the exported file.

    There a BatchNorm is the bias of the layer before it, which has none of its own.
    """
    biases = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    return count_parameters(network) - biases  # of its weight and its bias, one is left


def count_multiply_adds(network: nn.Module) -> int:
    """Count the multiply-adds for one image, of convolutions and linear layers without biases."""
    network = copy.deepcopy(network).to("meta").eval()  # shapes alone
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        image = torch.empty(1, 1, IMAGE_SIDE, IMAGE_SIDE, dtype=torch.uint8)
        network(image, torch.empty(1, dtype=torch.int64))
    return int(counter.get_total_flops()) // 2  # it counts both the product and the sum


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}
