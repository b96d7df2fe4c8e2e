"""What is known of each network: its cost, and how good its committed checkpoint is."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_adder.contract import IMAGE_SIDE
from export import networks
from export.checkpoint import WEIGHTS_DIR
from export.networks.parts import Network

MEASURED_FILE = "networks.json"
"""What `python -m benchmarks.networks` measured, beside the checkpoints. By network: the SHA-256 of
the weights, the size of the exported file, the gate's figures and the latency."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One network of the registry.

    Attributes:
        name: Its key in `export.networks.NETWORKS`.
        source: Who made it, and its idea.
        parameters: Trainable numbers, BatchNorm's included.
        multiply_adds: For one image, of convolutions and linear layers.
        size_bytes: Of the exported file; None where it was not measured for these weights.
        digit: Accuracy on the test images with all ten numbers, a fraction, of the checkpoint whose
            record is committed; None where there is none.
        sum: The same of the sum.
        epochs: That the checkpoint was trained for.
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
    """The facts of every network, in the registry's order.

    Args:
        weights_dir: Where the checkpoints and their records lie.
    """
    measured = _read(weights_dir / MEASURED_FILE).get("networks", {})
    facts = []
    for name, kind in networks.NETWORKS.items():
        record = _read(weights_dir / f"{name}.json")
        test = record.get("metrics", {}).get("test", {})
        of_file = measured.get(name, {})
        fresh = of_file.get("weights_sha256") == record.get("weights_sha256")
        facts.append(
            NetworkFacts(
                name=name,
                source=kind.source,
                parameters=count_parameters(networks.create(name)),
                multiply_adds=count_multiply_adds(networks.create(name)),
                size_bytes=of_file.get("size_bytes") if fresh else None,
                digit=test.get("digit"),
                sum=test.get("sum"),
                epochs=record.get("config", {}).get("epochs"),
                committed=(weights_dir / f"{name}.safetensors").is_file(),
            )
        )
    return facts


def count_parameters(network: nn.Module) -> int:
    """Trainable numbers of a network, those of BatchNorm included."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_folded_parameters(network: nn.Module) -> int:
    """The same in the exported file, where a BatchNorm is the bias of the layer before it.

    That layer has none of its own.
    """
    biases = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    return count_parameters(network) - biases  # of its weight and its bias, one is left


def count_multiply_adds(network: Network) -> int:
    """Multiply-adds for one image, of convolutions and linear layers; biases are not counted."""
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            positions = output.shape[2:].numel()  # 1 for a linear layer
            total += module.weight.numel() * positions

    network = copy.deepcopy(network).to("meta").eval()  # shapes alone
    with torch.device("meta"):
        image = torch.empty(1, 1, IMAGE_SIDE, IMAGE_SIDE, dtype=torch.uint8)
        number = torch.empty(1, dtype=torch.int64)
        handles = [module.register_forward_hook(count) for module in network.modules()]
        network(image, number)
    for handle in handles:
        handle.remove()
    return total


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}
