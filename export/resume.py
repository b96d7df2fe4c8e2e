"""The state of a training run: saved after every epoch, loaded to continue the same run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from edge_adder.errors import CheckpointError, InputError, one_line
from edge_adder.files import write_atomically

from .history import EpochRecord

RESUME_FILE = "resume.safetensors"
"""Name of the state's file in the folder of a run."""

_HEADER_KEY = "edge_adder.resume"
_IDENTITY = ("recipe", "data_sha256")
"""What must be the same for a run to be continued."""

_EmaUpdate = Callable[[Any, Any, Tensor | int], None]


class OptimizerConfig(Protocol):
    """Settings of AdamW and of the average, as `TrainConfig` has them."""

    @property
    def learning_rate(self) -> float:
        """Highest learning rate of AdamW."""
        ...

    @property
    def weight_decay(self) -> float:
        """AdamW's, on weights with two or more axes."""
        ...

    @property
    def ema_decay(self) -> float:
        """Decay of the moving average of the weights in each step."""
        ...


class TrainState:
    """What changes during a run.

    Attributes:
        network: The network that learns.
        average: Exponential moving average of its weights and of BatchNorm's statistics.
        optimizer: AdamW; its learning rate is set by a scheduler of the caller's.
        history: A record of each finished epoch.

    Args:
        network: Fresh, on the device.
        config: Settings of the optimizer and the average.
        record: Makes a record of the history from its fields.
    """

    def __init__(
        self,
        network: nn.Module,
        config: OptimizerConfig,
        record: Callable[..., Any] = EpochRecord,
    ) -> None:
        self.network = network
        self.average = AveragedModel(
            self.network, multi_avg_fn=ema_update(config.ema_decay), use_buffers=True
        )
        self.average.update_parameters(self.network)  # the fresh weights count as the first
        parameters = list(self.network.parameters())
        groups = (
            ([p for p in parameters if p.ndim >= 2], config.weight_decay),
            ([p for p in parameters if p.ndim < 2], 0.0),
        )
        rate = config.learning_rate
        self.optimizer = torch.optim.AdamW(
            [
                {"params": chosen, "weight_decay": decay, "lr": rate, "initial_lr": rate}
                for chosen, decay in groups
            ]
        )
        self.history: list[Any] = []
        self._record = record

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Write everything that is needed to continue.

        Args:
            path: The file to make or to replace.
            identity: Recipe and SHA-256 of the data, which `check_same_run` compares.

        Raises:
            FileAccessError: The file cannot be written.
        """
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in slots.items()}
        tensors = {k: v.cpu().contiguous() for k, v in tensors.items()}
        header = identity | {"history": [dataclasses.asdict(record) for record in self.history]}
        content = safetensors.torch.save(tensors, {_HEADER_KEY: json.dumps(header)})
        write_atomically(path, content)

    def load(self, path: Path) -> None:
        """Continue from a file that `save` made for the same run.

        Raises:
            InputError: There is no such file.
            CheckpointError: The file is incomplete or damaged.
        """
        history = read_header(path)["history"]
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        slots: dict[int, dict[str, Tensor]] = {}
        groups = self.optimizer.state_dict()["param_groups"]
        try:
            for name, tensor in safetensors.torch.load_file(path).items():
                part, _, rest = name.partition(".")
                parts[part][rest] = tensor
            for name, tensor in parts["optimizer"].items():
                index, _, slot = name.partition(".")
                slots.setdefault(int(index), {})[slot] = tensor
            self.network.load_state_dict(parts["network"])
            self.average.load_state_dict(parts["average"])
            self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
            self.history = [self._record(**record) for record in history]
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path} cannot be resumed from: {one_line(error)}") from error


def ema_update(decay: float) -> _EmaUpdate:
    """Return an `AveragedModel` update that follows the network faster during the first steps.

    Step t uses the decay min(`decay`, t / (t + 10)).

    Args:
        decay: Decay of later steps, 0 or more and below 1.
    """

    @torch.no_grad()
    def update(averages: list[Tensor], values: list[Tensor], step: Tensor | int) -> None:
        weight = 1 - min(decay, int(step) / (int(step) + 10))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:  # BatchNorm's number of batches
                average.copy_(value)

    return update


def read_header(path: Path) -> dict[str, Any]:
    """Return recipe, SHA-256 of the data and history from a run's resume file.

    Raises:
        InputError: There is no such file.
        CheckpointError: It cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[_HEADER_KEY])
            return {key: header[key] for key in (*_IDENTITY, "history")}
    except FileNotFoundError as error:
        raise InputError(f"nothing to resume in {path.parent}: no {path.name}") from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be resumed from: {one_line(error)}") from error


def check_new_run(out: Path) -> None:
    """Check that a folder holds no run that a new one would replace.

    Raises:
        InputError: It does.
        CheckpointError: It holds one that cannot be read.
    """
    if (out / RESUME_FILE).exists():
        done = len(read_header(out / RESUME_FILE)["history"])
        raise InputError(
            f"{out} holds a run of {done} epochs: continue it with --resume, "
            "or choose another --out"
        )


def check_same_run(out: Path, identity: dict[str, Any]) -> None:
    """Check that the run in a folder has the same recipe and data.

    Raises:
        InputError: It has others, or there is none.
        CheckpointError: It cannot be read.
    """
    found = read_header(out / RESUME_FILE)
    old, new = found["recipe"], identity["recipe"]
    different = [
        f"{name} {old.get(name)!r}, not {new.get(name)!r}"
        for name in old | new
        if old.get(name) != new.get(name)
    ]
    if different:
        raise InputError(f"the run in {out} has {'; '.join(different)}")
    if found["data_sha256"] != identity["data_sha256"]:
        raise InputError(f"the run in {out} began with other images: name theirs with --data-dir")
