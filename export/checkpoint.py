"""Checkpoints: a network's weights as safetensors, with recipe and metrics as JSON.

``NAME.safetensors`` is complete in itself: the JSON is in its header. ``NAME.json`` beside it is
the same JSON to read. Nothing is unpickled, so a downloaded checkpoint cannot run code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edge_adder.errors import CheckpointError, FileAccessError, InputError, one_line
from edge_adder.files import write_together
from export import networks
from export.networks.parts import Network

HEADER_KEY = "edge_adder.checkpoint"
"""Key of the details (JSON) in the safetensors header."""

WEIGHTS_DIR = Path(__file__).parent / "weights"
"""The committed checkpoints, ``NETWORK.safetensors``."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network.

    Attributes:
        network: Its name in `export.networks.NETWORKS`.
        weights: Its `state_dict`, on the CPU.
        config: Recipe of the training, as `export.config.TrainConfig.recipe` returns it.
        metrics: Accuracies as fractions, by split and output.
    """

    network: str
    weights: dict[str, Tensor]
    config: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights, independent of the file around them."""
        return weights_sha256(self.weights)

    def details(self) -> dict[str, Any]:
        """Return everything but the weights, in JSON's types."""
        return {
            "network": self.network,
            "config": self.config,
            "metrics": self.metrics,
            "weights_sha256": self.sha256,
        }

    def build(self) -> Network:
        """Return the network with these weights, ready for inference.

        Raises:
            CheckpointError: The weights are not those of this network.
        """
        try:
            module = networks.create(self.network)
        except InputError as error:
            raise CheckpointError(f"checkpoint of an unknown network: {error}") from error
        try:
            module.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"checkpoint does not fit network {self.network!r}: {one_line(error)}"
            ) from error
        return module.eval()


def committed(network: str) -> Path:
    """Return the path of a network's committed checkpoint.

    Raises:
        InputError: No network has this name.
        CheckpointError: None is committed for it.
    """
    networks.find(network)
    path = WEIGHTS_DIR / f"{network}.safetensors"
    if not path.is_file():
        raise CheckpointError(how_to_make(network))
    return path


def how_to_make(network: str) -> str:
    """Return what to do where no checkpoint of a network is committed, in one line."""
    return (
        f"no checkpoint of {network} is committed: make one with "
        f"`edge-adder train --network {network}`, then "
        f"`edge-adder export --checkpoint runs/{network}/checkpoint.safetensors`"
    )


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """Hash name, dtype, shape and little-endian bytes of every tensor, ordered by name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write `path` (safetensors) and the JSON beside it, each complete or not at all.

    Raises:
        FileAccessError: One of the files cannot be written.
    """
    details = json.dumps(checkpoint.details(), indent=2) + "\n"
    weights = {name: tensor.contiguous().cpu() for name, tensor in checkpoint.weights.items()}
    content = safetensors.torch.save(weights, {HEADER_KEY: details})
    write_together({path: content, path.with_suffix(".json"): details.encode()})


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and check its weights against their SHA-256.

    Raises:
        FileAccessError: The file cannot be read.
        CheckpointError: It is not a checkpoint of this project, or it is damaged.
    """
    weights, header = _read(path)
    try:
        details = json.loads(header)
        network, expected = str(details["network"]), details["weights_sha256"]
        checkpoint = Checkpoint(network, weights, details["config"], details["metrics"])
        found = checkpoint.sha256
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: {HEADER_KEY!r} cannot be read: {error}") from error
    if found != expected:
        raise CheckpointError(
            f"{path} is damaged: its weights have SHA-256 {found}, expected {expected}"
        )
    return checkpoint


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a safetensors file and the details in its header, as text."""
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint {path}: make one with `edge-adder train`") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {one_line(error)}") from error
    except OSError as error:
        raise FileAccessError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    if header is None:
        raise CheckpointError(f"{path} is no checkpoint of edge-adder: no {HEADER_KEY!r} in it")
    return weights, header
