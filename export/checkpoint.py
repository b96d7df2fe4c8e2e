"""Checkpoints: a network's weights as safetensors, with recipe and metrics as JSON.

``NAME.safetensors`` is complete in itself: the JSON is in its header. ``NAME.json`` beside it is
the same JSON to read. Bare weights of other origin are read, too. Of a file that `torch.save` wrote
only tensors are unpickled, so a downloaded checkpoint cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from edge_adder.errors import CheckpointError, FileAccessError, InputError, one_line
from edge_adder.files import write_together

from . import networks

HEADER_KEY = "edge_adder.checkpoint"
"""Key of the details (JSON) in the safetensors header."""

WEIGHTS_DIR = Path(__file__).parent / "weights"
"""The committed checkpoints, ``NETWORK.safetensors``."""

_PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and DistributedDataParallel, and torch.compile, put before the names of all
weights."""

_WRAPPING_KEYS = ("state_dict", "model_state_dict", "model")
"""Under which a `state_dict` lies in the dict that many trainings save."""

_PICKLED = (b"PK\x03\x04", b"\x80\x02\x8a\x0a")
"""First bytes of what `torch.save` writes: a ZIP archive, or its pickle from before PyTorch 1.6."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network.

    Attributes:
        network: Its name in `export.networks.NETWORKS`, or a class that the user named.
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
        details = {
            "network": self.network,
            "config": self.config,
            "metrics": self.metrics,
            "weights_sha256": self.sha256,
        }
        if networks.own.is_own(self.network):
            details["source"] = networks.own.describe(self.network)
        return details

    def build(self) -> nn.Module:
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
            reason = _misfit(self.weights, module.state_dict()) or one_line(error)
            raise CheckpointError(
                f"checkpoint does not fit network {self.network!r}: {reason}"
            ) from error
        return module.eval()


def _misfit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Say which weights are missing, unexpected and of another shape: the first, and how many."""
    wrong_shapes = [
        f"{name} with shape {tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    kinds = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": wrong_shapes,
    }
    parts = []
    for kind, names in kinds.items():
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            parts.append(f"{kind}: {names[0]}{more}")
    return "; ".join(parts)


def committed(network: str) -> Path:
    """Return the path of a network's committed checkpoint.

    Raises:
        InputError: No network has this name.
        CheckpointError: None is committed for it.
    """
    if networks.own.is_own(network):
        raise InputError(f"no checkpoint of {network} is committed: pass --checkpoint")
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


def load(path: Path, network: str | None = None) -> Checkpoint:
    """Read a checkpoint of this project, or the bare weights of a network.

    Bare weights are a `state_dict`, as safetensors or as `torch.save` writes it, also within a dict
    under one of `_WRAPPING_KEYS`. They are taken to the CPU and to float32. The prefixes of
    `_PREFIXES` are dropped from both.

    Args:
        path: The file.
        network: What its weights are of. Needed for bare weights, and for a class of the user's
            own: one that only a file names is not imported.

    Raises:
        FileAccessError: The file cannot be read.
        InputError: The checkpoint is of another network of the registry.
        CheckpointError: It is no checkpoint, it is damaged, some weights are NaN or infinite, or
            `network` is needed.
    """
    _check_file(path)
    weights, header = _read_pickled(path) if _is_pickled(path) else _read_safetensors(path)
    if header is None:
        if network is None:
            raise CheckpointError(
                f"{path} has weights and does not say of which network: pass --network"
            )
        plain = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
        checkpoint = Checkpoint(network, _without_prefixes(plain), {}, {})
    else:
        checkpoint = _with_details(path, weights, header, network)
    _check_finite(path, checkpoint.weights)
    return checkpoint


def _with_details(
    path: Path, weights: dict[str, Tensor], header: str, network: str | None
) -> Checkpoint:
    """Return a checkpoint of this project, whose weights have the SHA-256 in its header."""
    try:
        details = json.loads(header)
        stored, expected = str(details["network"]), details["weights_sha256"]
        config, metrics = details["config"], details["metrics"]
        found = weights_sha256(weights)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: {HEADER_KEY!r} cannot be read: {error}") from error
    if found != expected:
        raise CheckpointError(
            f"{path} is damaged: its weights have SHA-256 {found}, expected {expected}"
        )
    if network is None and networks.own.is_own(stored):
        raise CheckpointError(
            f"{path} is of a network that is not in edge-adder: pass --network "
            f"{shlex.quote(stored)}, which runs that file"
        )
    if network is not None and network != stored and not networks.own.is_own(network):
        raise InputError(f"{path} is of network {stored}, not {network}")
    return Checkpoint(network or stored, _without_prefixes(weights), config, metrics)


def _without_prefixes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by the names that they have in the network inside all wrappers."""
    for prefix in _PREFIXES * 2:  # either may be around the other
        if weights and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _check_finite(path: Path, weights: dict[str, Tensor]) -> None:
    """Refuse weights that compute nothing."""
    bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise CheckpointError(
            f"{path} has weights that are NaN or infinite, in {bad[0]}{more}: its training "
            "diverged; train again, with a lower --learning-rate"
        )


def _check_file(path: Path) -> None:
    """Refuse what is no file."""
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder, expected a file in it, such as checkpoint.safetensors"
        )
    if path.exists() and not path.is_file():  # a named pipe may never end
        raise CheckpointError(f"{path} is a pipe or a device, expected a file")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Return the tensors of a safetensors file and the details in its header, as text."""
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is no safetensors file, and not made by torch.save: {one_line(error)}"
        ) from error
    except OSError as error:
        raise FileAccessError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    return weights, header


def _read_pickled(path: Path) -> tuple[dict[str, Tensor], None]:
    """Return the tensors of a `state_dict` that `torch.save` wrote; nothing else is unpickled."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TorchScript archives, which are refused below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileAccessError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read as weights alone, and nothing else is unpickled: save "
            "network.state_dict(), not the network"
        ) from error
    for key in _WRAPPING_KEYS * 2:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        raise CheckpointError(f"{path} holds {type(found).__name__}, expected a state_dict")
    other = next((k for k, v in found.items() if not isinstance(v, Tensor)), None)
    if other is not None:
        keys = ", ".join(_WRAPPING_KEYS)
        raise CheckpointError(
            f"{path} holds {other!r}, which is no tensor: expected a state_dict, or one under "
            f"{keys}"
        )
    return {str(name): tensor.detach() for name, tensor in found.items()}, None


def _is_pickled(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in _PICKLED
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint {path}: make one with `edge-adder train`") from error
    except OSError as error:
        raise FileAccessError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
