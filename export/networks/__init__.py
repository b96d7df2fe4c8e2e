"""The networks by name. A network is one file here and one line in `NETWORKS`."""

from __future__ import annotations

from edge_adder.errors import InputError
from export.networks.edge import Edge
from export.networks.parts import Network

NETWORKS: dict[str, type[Network]] = {
    "edge": Edge,
}
"""Name → class."""

DEFAULT = "edge"
"""The network that is trained, exported and bundled unless another is named."""


def check_name(name: str) -> None:
    """Refuse a name that no network has.

    Raises:
        InputError: It is no key of `NETWORKS`.
    """
    if name not in NETWORKS:
        raise InputError(f"network must be one of {', '.join(NETWORKS)}, got {name!r}")


def create(name: str) -> Network:
    """Make a network with fresh weights.

    Args:
        name: A key of `NETWORKS`.

    Raises:
        InputError: No network has this name.
    """
    check_name(name)
    return NETWORKS[name]()
