"""Peers are timed only where they give the same answers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the development tools")

import torch

from benchmarks import peers
from edge_adder import EdgeAdder
from edge_adder.errors import CheckpointError
from export.networks.parts import Network


def test_all_give_the_same_answers_at_both_batches(
    adder: EdgeAdder, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_compiled", lambda network: network)  # compiling takes long
    threads = torch.get_num_threads()
    found = peers.compare_peers(adder, network, 20)
    assert torch.get_num_threads() == threads
    assert found["threads"] == adder.threads
    assert set(found["batches"]) == {"1", "64"}
    for rows in found["batches"].values():
        assert rows.keys() | found["absent"].keys() == peers.peers(adder, network).keys()
        assert {name.split(" ")[0] for name in rows} >= {"edge-adder", "raw", "PyTorch"}
        assert rows["edge-adder"]["ratio"] == 1
        assert all(row["p50"] > 0 for row in rows.values())


def test_one_that_cannot_run_is_absent_with_its_reason(
    adder: EdgeAdder, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: np.ndarray) -> peers.Call:
        raise ImportError("No module named 'other'")

    def only(*_: object) -> dict[str, peers.Peer]:
        return {"edge-adder": lambda i, n: lambda: adder.run(i, n), "other": broken}

    monkeypatch.setattr(peers, "peers", only)
    found = peers.compare_peers(adder, network, 20)
    assert found["absent"] == {"other": "No module named 'other'"}
    assert list(found["batches"]["1"]) == ["edge-adder"]


def test_one_with_other_answers_stops_the_run(adder: EdgeAdder, untrained: Network) -> None:
    with pytest.raises(CheckpointError, match=r"PyTorch .* differs from the file by"):
        peers.compare_peers(adder, untrained, 20)
