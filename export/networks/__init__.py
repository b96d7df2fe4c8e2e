"""The networks by name. A network is one file here and one line in `NETWORKS`.

In a name's place may stand a class of the user's own (`export.networks.own`).
"""

from __future__ import annotations

from torch import nn

from edge_adder.errors import InputError

from . import own, probe
from .bn_adder import BnAdder
from .bottleneck import Bottleneck
from .early_fusion import EarlyFusion
from .edge import Edge
from .parts import Network
from .scalar_concat import ScalarConcat
from .wide import Wide

NETWORKS: dict[str, type[Network]] = {
    "edge": Edge,
    "scalar-concat": ScalarConcat,
    "bn-adder": BnAdder,
    "early-fusion": EarlyFusion,
    "bottleneck": Bottleneck,
    "wide": Wide,
}
"""Name → class."""

DEFAULT = "edge"
"""The network that is trained, exported and bundled unless another is named."""


def find(name: str) -> type[nn.Module]:
    """Return the class of a network.

    Args:
        name: A key of `NETWORKS`, or a class as `export.networks.own.find_class` takes it.

    Raises:
        InputError: No network has this name, or the class cannot be imported.
    """
    if own.is_own(name):
        return own.find_class(name)
    if name not in NETWORKS:
        raise InputError(
            f"network must be one of {', '.join(NETWORKS)}, package.module:Class or "
            f"file.py:Class, got {name!r}"
        )
    return NETWORKS[name]


def create(name: str) -> nn.Module:
    """Make a network with fresh weights.

    Args:
        name: As in `find`.

    Raises:
        InputError: As in `find`.
        CheckpointError: A class of the user's own cannot be made, or breaks the contract.
    """
    if not own.is_own(name):
        return find(name)()
    network = own.create(name)
    probe.check(network, name)
    return network
