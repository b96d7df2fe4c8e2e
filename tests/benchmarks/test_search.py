"""The search: networks in one line, their latency, their training, and where the time goes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

from benchmarks import graph, pareto, untrained
from benchmarks.layouts import layout
from edge_adder import EdgeAdder
from export import networks
from export.catalogue import count_multiply_adds, count_parameters

EDGE = "16k5s2 16k3s2 32k3s2 32k3 flat"


class TestLayouts:
    def test_a_line_is_the_network_that_it_describes(self) -> None:
        edge, made = networks.create("edge"), layout(EDGE)()
        shapes = [tuple(p.shape) for p in edge.parameters()]
        assert [tuple(p.shape) for p in made.parameters()] == shapes
        image = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8)
        number = torch.tensor([0, 5, 9])
        with torch.no_grad():
            for ours, twin in zip(made.eval().parameters(), edge.eval().parameters(), strict=True):
                ours.copy_(twin)
            for ours, twin in zip(made(image, number), edge(image, number), strict=True):
                assert torch.equal(ours, twin)

    @pytest.mark.parametrize(
        ("line", "parameters", "multiply_adds"),
        [
            ("8k3 mean", 8 * 9 + 16 + 80 + 10, 784 * 72 + 80),
            ("8k3s2v flat", 8 * 9 + 16 + 8 * 169 * 10 + 10, 169 * 72 + 8 * 169 * 10),
            ("4k7s4 8k3d mean", 196 + 8 + 36 + 8 + 32 + 16 + 80 + 10, 49 * (196 + 36 + 32) + 80),
            ("4k5s2 4k3r mean", 100 + 8 + 144 + 8 + 40 + 10, 196 * (100 + 144) + 40),
        ],
    )
    def test_kinds_of_words(self, line: str, parameters: int, multiply_adds: int) -> None:
        assert count_parameters(layout(line)()) == parameters
        assert count_multiply_adds(layout(line)()) == multiply_adds

    @pytest.mark.parametrize("line", ["16k5s2", "16k5s2 tail", "16x5 flat", "k5 flat"])
    def test_anything_else_is_refused(self, line: str) -> None:
        with pytest.raises(ValueError, match="not a layout"):
            layout(line)

    def test_candidates_keep_to_the_parameters(self) -> None:
        assert len(set(pareto.CANDIDATES)) == len(pareto.CANDIDATES) > 20
        for line in pareto.CANDIDATES:
            assert count_parameters(layout(line)()) <= pareto.MOST_PARAMETERS


class TestTheSearch:
    def test_an_untrained_network_is_timed_against_the_floor(self) -> None:
        adder = untrained.load_untrained(layout("8k5s2 flat")())
        timed = untrained.time_adders({"one": adder}, 40)
        assert list(timed) == ["identity", "one"]
        assert timed["identity"]["ratio"] == 1 < timed["one"]["ratio"]
        assert timed["one"]["p50"] > timed["identity"]["p50"] > 0

    def test_time_train_and_draw(
        self,
        tiny_mnist: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(pareto, "RECORD", tmp_path / "pareto.json")
        monkeypatch.setattr(pareto, "PLOT", tmp_path / "pareto.png")
        monkeypatch.setattr(pareto, "CANDIDATES", ("8k5s2 flat", EDGE))
        monkeypatch.setattr(networks, "NETWORKS", {"edge": networks.NETWORKS["edge"]})
        pareto.time(calls=40)
        record = json.loads((tmp_path / "pareto.json").read_text())
        assert set(record["timed"]["networks"]) == {"identity", "edge", "8k5s2 flat", EDGE}
        assert record["timed"]["networks"][EDGE]["parameters"] == 21_850

        settings = ["epochs=1", "batch_size=50", "teachers=[]", "distillation=0", "variations=0"]
        for _ in range(2):  # the second finds it done
            pareto.train_one("8k5s2 flat", settings, data_dir=tiny_mnist, runs=tmp_path)
        first, second = capsys.readouterr().out.splitlines()[-2:]
        assert first == second
        assert "validation digit" in first

        monkeypatch.setattr(pareto, "VALIDATED_PAIRS", 500)  # of 50 images
        pareto.draw(runs=tmp_path)
        record = json.loads((tmp_path / "pareto.json").read_text())
        (row,) = record["trained"].values()
        assert row["recipe"]["network"] == "8k5s2 flat"
        assert "test" not in row
        assert "`8k5s2 flat` | epochs 1, batch_size 50" in capsys.readouterr().out
        assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")


class TestTheGraph:
    def test_every_operator_is_profiled(self, adder: EdgeAdder) -> None:
        rows = graph.profile(adder, 20)
        found = Counter(row["operator"] for row in rows)
        assert found["Conv"] == adder.provenance["operators"]["Conv"]
        assert found["LogSoftmax"] == 1
        assert all(row["us"] > 0 for row in rows)

    def test_the_peak_is_arithmetic(self) -> None:
        assert 1e8 < graph.peak_multiply_adds() < 1e13
