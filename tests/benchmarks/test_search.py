"""The search: candidates in one line, their latency, their training, one picture and one page."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="the development tools need the extra `export`")

import torch

from benchmarks.search import picture, record
from benchmarks.search import time as timing
from benchmarks.search import train as training
from benchmarks.search.candidates import CANDIDATES, layout
from edge_adder import EdgeAdder
from edge_adder.errors import InputError
from export import networks
from export.catalogue import count_folded_parameters, count_multiply_adds, count_parameters
from export.config import TrainConfig
from export.data import LabelledImages
from export.networks.parts import Network

SMALL, OTHER = "8k5s2 flat", "4k5s2 mean"
BROKEN = "", "16k5s2", "16k5s2 tail", "16x5 flat", "k5 flat", "8k5s0 flat", "8k0 flat", "0k3 flat"
TOO_LARGE = ("8k9v 8k9v 8k9v 8k9v flat",)
"""The last kernel is larger than what is left."""
RESIDUALS_OF_ANOTHER_SHAPE = "4k5s2 8k3r flat", "4k3r flat", "4k5s2 4k2r mean", "4k5s2 4k3s2r mean"
"""What is added must have the same shape; a single channel would be broadcast."""
MACHINE = {"cpu": "a CPU", "allowed_cores": 2, "python": "3", "packages": {"onnxruntime": "1.2"}}


def graph_of(adder: EdgeAdder) -> onnx.GraphProto:
    return onnx.load_from_string(adder.model_bytes).graph


def trained(line: str, seed: int, digit: float, **changes: object) -> dict:
    """What the record has of a training; `changes` are parts of its recipe."""
    recipe = TrainConfig(seed=seed).recipe() | {"network": line} | changes
    found = {"digit": digit, "sum": digit, "pairs": picture.VALIDATED_PAIRS}
    return {"recipe": recipe, "validation": found}


class Constant(Network):
    """Answers 3 with a probability of a half for every image; keeps the images."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(
        self, image: torch.Tensor, number: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert len(image) == len(number)
        self.seen.append(image)
        digit = torch.full((len(image), 10), 0.5 / 9).log()
        digit[:, 3] = np.log(0.5)
        return digit, torch.zeros(len(image), 19)


class TestCandidates:
    def test_the_default_network_is_one(self) -> None:
        edge = networks.create("edge").eval()
        shapes = [parameter.shape for parameter in edge.parameters()]
        image = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8)
        number = torch.tensor([0, 5, 9])

        def computes_the_same(made: Network) -> bool:
            if [parameter.shape for parameter in made.parameters()] != shapes:
                return False
            for ours, twin in zip(made.eval().parameters(), edge.parameters(), strict=True):
                ours.copy_(twin)
            answers = zip(made(image, number), edge(image, number), strict=True)
            return all(torch.equal(ours, twin) for ours, twin in answers)

        with torch.no_grad():
            assert sum(computes_the_same(layout(line)()) for line in CANDIDATES) == 1

    def test_all_keep_to_the_parameters(self) -> None:
        assert len(set(CANDIDATES)) == len(CANDIDATES) > 20
        for line in CANDIDATES:
            assert count_folded_parameters(layout(line)()) <= 60_000

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

    @pytest.mark.parametrize("line", [*BROKEN, *TOO_LARGE, *RESIDUALS_OF_ANOTHER_SHAPE])
    def test_anything_else_is_refused(self, line: str) -> None:
        with pytest.raises(ValueError, match=re.escape(f"not a layout: {line!r}: ")) as error:
            layout(line)
        assert "\n" not in str(error.value)


class TestTiming:
    def test_an_untrained_graph_is_the_one_that_ships(self, adder: EdgeAdder) -> None:
        network = networks.create("edge")
        before = {name: value.clone() for name, value in network.state_dict().items()}
        made = timing.load_untrained(network)
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])
        assert made.provenance["operators"] == adder.provenance["operators"]
        ours, shipped = (
            Counter((tuple(tensor.dims), tensor.data_type) for tensor in graph_of(each).initializer)
            for each in (made, adder)
        )
        assert ours == shipped

    def test_candidates_and_networks_are_timed_against_the_floor(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(timing, "CANDIDATES", (SMALL,))
        monkeypatch.setattr(networks, "NETWORKS", {"other": layout(OTHER)})
        found = timing.time_candidates(40)["networks"]
        assert found.keys() == {"identity", "other", SMALL}
        assert found["identity"]["ratio"] == 1
        for name, kind in {SMALL: layout(SMALL), "other": layout(OTHER)}.items():
            assert found[name]["parameters"] == count_parameters(kind())
            assert found[name]["multiply_adds"] == count_multiply_adds(kind())
            assert found[name]["p50"] > found["identity"]["p50"] > 0
            assert found[name]["ratio"] > 1


class TestTraining:
    @pytest.fixture(autouse=True)
    def only_edge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One network is registered; a candidate joins it for the test alone."""
        monkeypatch.setattr(networks, "NETWORKS", {"edge": networks.NETWORKS["edge"]})

    def test_a_candidate_is_trained_once_and_drawn(
        self, tiny_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(record, "RECORD", tmp_path / "record.json")
        monkeypatch.setattr(picture, "PLOT", tmp_path / "plot.png")
        monkeypatch.setattr(picture, "PAGE", tmp_path / "page.md")
        record.update(timed=RECORD["timed"])
        settings = ["epochs=1", "batch_size=50", "cached_passes=0"]
        settings += ["synthetic_digits=0", "negatives=0", "handwriting=0"]
        settings += ["scan_writers=[]", "pen_writers=[]"]
        first, second = (  # the second finds it done
            training.train_candidate(SMALL, settings, data_dir=tiny_mnist, runs=tmp_path)
            for _ in range(2)
        )
        assert first == second
        assert "validation digit" in first
        (run,) = tmp_path.glob("search-*")
        perturbed = json.loads((run / training.PERTURBED_FILE).read_text())
        assert perturbed["images"] == 500  # 50, ten times

        picture.draw(tmp_path)
        assert record.read()["trained"] == {}  # it validates on few images
        monkeypatch.setattr(picture, "VALIDATED_PAIRS", 500)
        assert f"`{SMALL}` | epochs 1, batch_size 50" in picture.draw(tmp_path)
        row = record.read()["trained"][run.name]
        assert row["recipe"]["network"] == SMALL
        assert row["perturbed"] == perturbed
        assert set(row) == {"recipe", "validation", "perturbed"}
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "page.md").read_text() == picture.page(record.read())

    @pytest.mark.parametrize(
        ("line", "setting", "message"),
        [
            ("8k5s0 flat", "epochs=1", "not a layout: '8k5s0 flat'"),
            ("edge", "epochs=1", "not a layout: 'edge'"),
            (SMALL, "epochs", "a setting must be NAME=VALUE, got 'epochs'"),
            (SMALL, "split=fixed", "the value of a setting must be JSON, got 'split=fixed'"),
            (SMALL, "epoch=1", "settings must be TrainConfig's, with its types: .*'epoch'"),
            (SMALL, 'epochs="1"', "settings must be TrainConfig's, with its types"),
            (SMALL, "epochs=0", "epochs must be 1 or more, got 0"),
        ],
    )
    def test_what_cannot_be_trained_is_refused(
        self, line: str, setting: str, message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match=message):
            training.train_candidate(line, [setting], runs=tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_ten_perturbed_copies_of_each_image_are_measured(self) -> None:
        images = torch.zeros(1500, 1, 28, 28, dtype=torch.uint8)
        images[:, :, 8:20, 12:16] = 255
        validation = LabelledImages(images, torch.tensor([3, 4, 3] * 500))
        network = Constant()
        found = training.measure_perturbed(network, validation)
        assert found["images"] == 15_000
        assert found["digit"] == pytest.approx(2 / 3)
        nats = -(2 * np.log(0.5) + np.log(0.5 / 9)) / 3
        assert found["nats"] == pytest.approx(nats, rel=1e-5)
        seen = torch.cat(network.seen)
        assert len({image.numpy().tobytes() for image in seen[::1500]}) == 10
        training.measure_perturbed(network, validation)  # the same again
        assert torch.equal(torch.cat(network.seen[len(network.seen) // 2 :]), seen)


RECORD = {
    "timed": {
        "machine": MACHINE,
        "calls": 4000,
        "networks": {
            SMALL: {"parameters": 1000, "multiply_adds": 20_000, "p50": 30.0, "ratio": 2.0},
            "identity": {"p50": 15.0, "ratio": 1.0},
            "edge": {"parameters": 5, "multiply_adds": 6, "p50": 40.04, "ratio": 2.672},
            "scalar-concat": {"parameters": 7, "multiply_adds": 8, "p50": 60, "ratio": 4.0},
            OTHER: {"parameters": 9, "multiply_adds": 9, "p50": 25, "ratio": 1.7},
        },
    },
    "trained": {
        "1": trained(SMALL, 1, 0.990, epochs=9),
        "2": trained(SMALL, 0, 0.992, epochs=9),
        "3": trained(SMALL, 0, 0.9905),
    },
}


class TestThePicture:
    @pytest.fixture(autouse=True)
    def two(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only two networks are registered."""
        two = {name: networks.NETWORKS[name] for name in ("edge", "scalar-concat")}
        monkeypatch.setattr(networks, "NETWORKS", two)

    def test_nothing_is_drawn_that_was_not_timed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "record.json"
        monkeypatch.setattr(record, "RECORD", path)
        timed = {"identity": {"p50": 15, "ratio": 1}, "edge": {"p50": 40, "ratio": 2.7}}
        both = {"timed": {"networks": timed | {"scalar-concat": {}}}}
        for content, missing in (
            ({}, "edge, scalar-concat"),
            ({"timed": {"networks": timed}}, "scalar-concat"),
            (both | {"trained": {"a": trained("4k3 mean", 0, 0.99)}}, "4k3 mean"),
        ):
            before = json.dumps(content)
            path.write_text(before)
            with pytest.raises(InputError, match=f"^not timed: {missing};"):
                picture.draw(tmp_path)
            assert path.read_text() == before
            assert list(tmp_path.iterdir()) == [path]

    def test_trainings_are_grouped_by_all_but_the_seed(self) -> None:
        others = {str(4 + seed): trained(OTHER, seed, 0.995 - 0.004 * seed) for seed in (0, 1)}
        found = picture.group(RECORD["trained"] | others)
        assert [each.line for each in found] == [OTHER, SMALL, SMALL]
        assert [each.settings for each in found] == [{}, {"epochs": 9}, {}]
        assert [each.seeds for each in found] == [[0, 1], [1, 0], [0]]
        assert [each.digit for each in found] == pytest.approx([0.993, 0.991, 0.9905])

    def test_the_page_has_plot_and_tables(self) -> None:
        page = picture.page(RECORD)
        assert "![Validation error against latency](../docs/pareto.png)" in page
        assert "pairs, mean ± standard deviation over the seeds." in page
        assert (
            f"| `{SMALL}` | epochs 9 | 0, 1 | 99.10 % ± 0.141 % |\n| `{SMALL}` |  | 0 | 99.05 % |\n"
        ) in page
        assert page.endswith(
            "| `identity` |  |  | 15.0 | 1.00 |\n"
            f"| `{OTHER}` | 9 | 9 | 25.0 | 1.70 |\n"
            f"| `{SMALL}` | 1,000 | 20,000 | 30.0 | 2.00 |\n"
            "| `edge` | 5 | 6 | 40.0 | 2.67 |\n"
            "| `scalar-concat` | 7 | 8 | 60.0 | 4.00 |\n"
        )

    def test_a_dot_is_the_mean_of_the_best_group_with_its_deviation(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = []
        monkeypatch.setattr(picture, "png", lambda figure: drawn.append(figure) or b"")
        picture.draw_plot(RECORD)
        (axes,) = drawn[0].axes
        (bar,) = axes.containers
        (x,), (y,) = bar.lines[0].get_data()
        assert (x, y) == (2.0, pytest.approx(0.9))
        ((low, high),) = bar.lines[2][0].get_segments()
        assert high[1] - low[1] == pytest.approx(2 * 0.1414, rel=1e-3)
        (ticks,) = (line for line in axes.lines if line.get_label() == picture.UNTRAINED)
        assert list(ticks.get_xdata()) == [1.7]
        assert {text.get_text() for text in axes.texts} == {"edge", "scalar-concat"}


class TestTheCommittedSearch:
    def test_it_has_timed_all_candidates(self) -> None:
        timed = record.read()["timed"]["networks"]
        assert set(timed) == {*CANDIDATES, *networks.NETWORKS, "identity"}
        for name, kind in networks.NETWORKS.items():
            assert timed[name]["parameters"] == count_parameters(kind())

    def test_the_page_is_of_the_record(self) -> None:
        assert picture.PAGE.read_text() == picture.page(record.read())
