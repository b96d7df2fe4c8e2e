"""Checkpoints: a network's weights as safetensors, with recipe and metrics as JSON.

``NAME.safetensors`` is complete in itself: the JSON is in its header. ``NAME.json`` beside it is
the same JSON to read. Nothing is unpickled, so a downloaded checkpoint cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edge_adder.errors import CheckpointError, FileAccessError, InputError, one_line
from edge_adder.files import write_together

from . import networks
from .networks.parts import Network

HEADER_KEY = "edge_adder.checkpoint"
"""Key of the details (JSON) in the safetensors header."""

WEIGHTS_DIR = Path(__file__).parent / "weights"
"""The committed checkpoints, ``NETWORK.safetensors``."""

_WRAPPERS = {
    "module.": "torch.nn.DataParallel and DistributedDataParallel name",
    "_orig_mod.": "torch.compile names",
}
"""What names all weights of a network inside it, by what it puts before their names."""

_PICKLED = (b"PK\x03\x04", b"\x80\x02\x8a\x0a")
"""First bytes of what `torch.save` writes: a ZIP archive, or its pickle from before PyTorch 1.6."""


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
        f"no checkpoint of {network} is here: train it, or pass --checkpoint: "
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
        CheckpointError: It is not a checkpoint of this project, it is damaged, its weights are
            named by a wrapper of PyTorch's, or some are NaN or infinite.
    """
    weights, header = _read(path)
    _check_names(path, weights)
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
    _check_finite(path, weights)
    return checkpoint


def _check_names(path: Path, weights: dict[str, Tensor]) -> None:
    """Refuse the weights of a network that was saved with what was wrapped around it."""
    for prefix, wrapper in _WRAPPERS.items():
        if weights and all(name.startswith(prefix) for name in weights):
            inner = prefix.removesuffix(".")
            raise CheckpointError(
                f"{path}: the name of every weight begins with {prefix!r}, as {wrapper} them: "
                f"save the state_dict of the network inside, `network.{inner}.state_dict()`"
            )


def _check_finite(path: Path, weights: dict[str, Tensor]) -> None:
    """Refuse weights that compute nothing."""
    bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise CheckpointError(
            f"{path} has weights that are NaN or infinite, in {bad[0]}{more}: its training "
            "diverged; train again, with a lower --learning-rate"
        )


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a safetensors file and the details in its header, as text."""
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder, expected a file in it, such as checkpoint.safetensors"
        )
    if path.exists() and not path.is_file():  # a named pipe may never end
        raise CheckpointError(f"{path} is a pipe or a device, expected a file")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint {path}: make one with `edge-adder train`") from error
    except SafetensorError as error:
        if _is_pickled(path):
            raise CheckpointError(
                f"{path} is pickled, and only safetensors are read; {_how_to_convert(path)}"
            ) from error
        raise CheckpointError(f"{path} is no safetensors file: {one_line(error)}") from error
    except OSError as error:
        raise FileAccessError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    if header is None:
        raise CheckpointError(f"{path} is no checkpoint of edge-adder: no {HEADER_KEY!r} in it")
    return weights, header


def _is_pickled(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _PICKLED


def _how_to_convert(path: Path) -> str:
    """Return how to make a checkpoint of a pickled `state_dict`, in one line."""
    pickled, made = (json.dumps(str(each)) for each in (path, path.with_suffix(".safetensors")))
    code = (
        "import torch, pathlib; from export.checkpoint import Checkpoint, save; "
        f"weights = torch.load({pickled}, weights_only=True); "
        f'save(Checkpoint("{networks.DEFAULT}", weights, {{}}, {{}}), pathlib.Path({made}))'
    )
    return f"for a state_dict of {networks.DEFAULT}, convert it: python -c {shlex.quote(code)}"
