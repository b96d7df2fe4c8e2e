"""The networks by name. A network is one file here and one line in `NETWORKS`."""

from __future__ import annotations

from edge_adder.errors import InputError

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


def find(name: str) -> type[Network]:
    """Return the class of a network.

    Args:
        name: A key of `NETWORKS`.

    Raises:
        InputError: No network has this name.
    """
    if name not in NETWORKS:
        raise InputError(f"network must be one of {', '.join(NETWORKS)}, got {name!r}")
    return NETWORKS[name]


def create(name: str) -> Network:
    """Make a network with fresh weights.

    Args:
        name: A key of `NETWORKS`.

    Raises:
        InputError: No network has this name.
    """
    return find(name)()
