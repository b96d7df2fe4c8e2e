"""The search: networks in one line, their latency, their training, and where the time goes."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

import torch

from benchmarks import graph
from benchmarks.report import graph_paragraphs
from benchmarks.search import pareto
from benchmarks.search import time as untrained
from benchmarks.search.candidates import layout
from edge_adder import EdgeAdder
from edge_adder.errors import InputError
from edge_adder.predictor import session_options
from export import networks
from export.catalogue import count_folded_parameters, count_multiply_adds, count_parameters
from export.data import LabelledImages
from export.networks.parts import Network
from export.train import TrainConfig

SMALL = "8k5s2 flat"


class TestLayouts:
    def test_the_default_network_is_a_candidate(self) -> None:
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
            same = [line for line in pareto.CANDIDATES if computes_the_same(layout(line)())]
        assert len(same) == 1

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

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "16k5s2",
            "16k5s2 tail",
            "16x5 flat",
            "k5 flat",
            "8k5s0 flat",
            "8k0 flat",
            "0k3 flat",
            "8k9v 8k9v 8k9v 8k9v flat",  # the kernel is larger than what is left
            "4k5s2 8k3r flat",
            "4k3r flat",  # one channel would be broadcast
            "4k5s2 4k2r mean",
            "4k5s2 4k3s2r mean",
        ],
    )
    def test_anything_else_is_refused(self, line: str) -> None:
        with pytest.raises(ValueError, match=re.escape(f"not a layout: {line!r}: ")) as error:
            layout(line)
        assert "\n" not in str(error.value)

    def test_candidates_keep_to_the_parameters(self) -> None:
        assert len(set(pareto.CANDIDATES)) == len(pareto.CANDIDATES) > 20
        for line in pareto.CANDIDATES:
            assert count_folded_parameters(layout(line)()) <= 25_000


class TestUntrained:
    def test_the_graph_is_the_one_that_ships(self, adder: EdgeAdder) -> None:
        network = networks.create("edge")
        before = {name: value.clone() for name, value in network.state_dict().items()}
        made = untrained.load_untrained(network)
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])
        assert made.provenance["operators"] == adder.provenance["operators"]
        ours, shipped = (
            Counter((tuple(tensor.dims), tensor.data_type) for tensor in graph_of(each).initializer)
            for each in (made, adder)
        )
        assert ours == shipped

    def test_it_is_timed_against_the_floor(self) -> None:
        adder = untrained.load_untrained(layout(SMALL)())
        timed = untrained.time_adders({"one": adder}, 40)
        assert list(timed) == ["identity", "one"]
        assert timed["identity"]["ratio"] == 1 < timed["one"]["ratio"]
        assert timed["one"]["p50"] > timed["identity"]["p50"] > 0


def graph_of(adder: EdgeAdder) -> onnx.GraphProto:
    return onnx.load_from_string(adder.model_bytes).graph


class Constant(Network):
    """Answers 3 with a probability of a half, whatever it is shown."""

    def forward(
        self, image: torch.Tensor, number: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert image.shape[1:] == (1, 28, 28)
        assert len(image) == len(number)
        digit = torch.full((len(image), 10), 0.5 / 9).log()
        digit[:, 3] = np.log(0.5)
        return digit, torch.zeros(len(image), 19)


def training(line: str, seed: int, digit: float, **more: object) -> dict:
    """What the record has of a training; `more` are parts of its recipe, or ``moved``."""
    moved = {"moved": more.pop("moved")} if "moved" in more else {}
    recipe = TrainConfig(seed=seed).recipe() | {"network": line} | more
    found = {"digit": digit, "sum": digit, "pairs": pareto.VALIDATED_PAIRS}
    return {"recipe": recipe, "validation": found} | moved


class TestTheSearch:
    @pytest.fixture(autouse=True)
    def apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is written beside the code, and only two networks are registered."""
        monkeypatch.setattr(pareto, "RECORD", tmp_path / "pareto.json")
        monkeypatch.setattr(pareto, "PLOT", tmp_path / "pareto.png")
        monkeypatch.setattr(pareto, "PAGE", tmp_path / "SEARCH.md")
        monkeypatch.setattr(pareto, "CANDIDATES", (SMALL, "4k5s2 mean"))
        two = {name: networks.NETWORKS[name] for name in ("edge", "scalar-concat")}
        monkeypatch.setattr(networks, "NETWORKS", two)

    def test_time_train_and_draw(
        self,
        tiny_mnist: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        pareto.time(calls=40)
        timed = json.loads((tmp_path / "pareto.json").read_text())["timed"]["networks"]
        assert set(timed) == {"identity", "edge", "scalar-concat", SMALL, "4k5s2 mean"}
        for name, kind in {SMALL: layout(SMALL), **networks.NETWORKS}.items():
            assert timed[name]["parameters"] == count_parameters(kind())
            assert timed[name]["multiply_adds"] == count_multiply_adds(kind())
            assert timed[name]["ratio"] > 1

        settings = ["epochs=1", "batch_size=50", "teachers=[]", "distillation=0", "variations=0"]
        settings += ["drawn=0", "outliers=0", "redrawn=0"]
        for _ in range(2):  # the second finds it done
            pareto.train_one(SMALL, settings, data_dir=tiny_mnist, runs=tmp_path)
        first, second = capsys.readouterr().out.splitlines()[-2:]
        assert first == second
        assert "validation digit" in first
        (run,) = tmp_path.glob("pareto-*")
        moved = json.loads((run / "search.json").read_text())
        assert moved["images"] == 500  # 50, ten times
        assert 0 < moved["digit"] < 1
        assert moved["nats"] > 0

        pareto.draw(runs=tmp_path)
        assert json.loads((tmp_path / "pareto.json").read_text())["trained"] == {}  # of 50 images
        monkeypatch.setattr(pareto, "VALIDATED_PAIRS", 500)
        pareto.draw(runs=tmp_path)
        record = json.loads((tmp_path / "pareto.json").read_text())
        row = record["trained"][run.name]
        assert row["recipe"]["network"] == SMALL
        assert row["moved"] == moved
        assert set(row) == {"recipe", "validation", "moved"}
        assert f"`{SMALL}` | epochs 1, batch_size 50" in capsys.readouterr().out
        assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "SEARCH.md").read_text() == pareto.page(record)
        (run / "search.json").unlink()
        pareto.draw(runs=tmp_path)
        record = json.loads((tmp_path / "pareto.json").read_text())
        assert "moved" not in record["trained"][run.name]

    def test_nothing_is_drawn_that_was_not_timed(self, tmp_path: Path) -> None:
        trained = {"a": training("4k3 mean", 0, 0.99)}
        timed = {"identity": {"p50": 15, "ratio": 1}, "edge": {"p50": 40, "ratio": 2.7}}
        for record, missing in (
            ({}, "edge, scalar-concat"),
            ({"timed": {"networks": timed}}, "scalar-concat"),
            (
                {"timed": {"networks": timed | {"scalar-concat": {}}}, "trained": trained},
                "4k3 mean",
            ),
        ):
            before = json.dumps(record)
            (tmp_path / "pareto.json").write_text(before)
            with pytest.raises(InputError, match=f"^not timed: {missing};"):
                pareto.draw(runs=tmp_path)
            assert (tmp_path / "pareto.json").read_text() == before
            assert not (tmp_path / "pareto.png").exists()

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
            pareto.train_one(line, [setting], runs=tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_moved_images_are_asked_ten_ways_each(self) -> None:
        images = LabelledImages(
            torch.randint(256, (1500, 1, 28, 28), dtype=torch.uint8),
            torch.tensor([3, 4, 3] * 500),
        )
        found = pareto.measure_moved(Constant(), images)
        assert found["images"] == 15_000
        assert found["digit"] == pytest.approx(2 / 3)
        nats = -(2 * np.log(0.5) + np.log(0.5 / 9)) / 3
        assert found["nats"] == pytest.approx(nats, rel=1e-5)

    def test_every_move_is_another_one_and_the_same_again(self) -> None:
        shown: list[torch.Tensor] = []

        class Watching(Constant):
            def forward(
                self, image: torch.Tensor, number: torch.Tensor
            ) -> tuple[torch.Tensor, torch.Tensor]:
                shown.append(image)
                return super().forward(image, number)

        image = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
        image[:, :, 8:20, 12:16] = 255
        for _ in range(2):
            pareto.measure_moved(Watching(), LabelledImages(image, torch.tensor([1])))
        assert len({each.numpy().tobytes() for each in shown}) == 10
        assert all(torch.equal(*pair) for pair in zip(shown[:10], shown[10:], strict=True))

    def test_trainings_are_grouped_by_all_but_seed_and_teachers_weights(self) -> None:
        a, b = SMALL, "4k5s2 mean"
        found = pareto.group(
            {
                "1": training(a, 0, 0.990, epochs=9),
                "2": training(a, 1, 0.992, epochs=9, moved={"digit": 0.9, "nats": 0.5}),
                "3": training(b, 0, 0.995, teachers_sha256=["x"]),
                "4": training(b, 1, 0.991, teachers_sha256=["y"]),
                "5": training(a, 0, 0.992),
            }
        )
        assert [each.line for each in found] == [b, a, a]
        assert [each.settings for each in found] == [{}, {}, {"epochs": 9}]
        assert [each.seeds for each in found] == [[0, 1], [0], [0, 1]]
        assert [each.digit for each in found] == pytest.approx([0.993, 0.992, 0.991])
        assert found[0].deviation == pytest.approx(0.002 * 2**0.5)
        assert found[1].deviation is None
        assert [len(each.moved) for each in found] == [0, 0, 1]

    RECORD = {
        "timed": {
            "machine": {
                "cpu": "a CPU",
                "allowed_cores": 2,
                "python": "CPython 3",
                "packages": {"onnxruntime": "1.2"},
            },
            "calls": 4000,
            "networks": {
                SMALL: {"parameters": 1000, "multiply_adds": 20_000, "p50": 30.0, "ratio": 2.0},
                "identity": {"p50": 15.0, "ratio": 1.0},
                "edge": {"parameters": 5, "multiply_adds": 6, "p50": 40.04, "ratio": 2.672},
                "scalar-concat": {"parameters": 7, "multiply_adds": 8, "p50": 60, "ratio": 4.0},
                "4k5s2 mean": {"parameters": 9, "multiply_adds": 9, "p50": 25, "ratio": 1.7},
            },
        },
        "trained": {
            "1": training(SMALL, 1, 0.990, epochs=9, moved={"digit": 0.9, "nats": 0.5}),
            "2": training(SMALL, 0, 0.992, epochs=9, moved={"digit": 0.92, "nats": 0.6}),
            "3": training(SMALL, 0, 0.9905),
        },
    }

    def test_the_page_has_plot_and_tables(self) -> None:
        page = pareto.page(self.RECORD)
        assert "![Validation error against latency](../docs/pareto.png)" in page
        assert (
            f"| `{SMALL}` | epochs 9 | 0, 1 | 99.10 % ± 0.141 % | 91.00 % ± 1.414 % | 0.5500 |\n"
            f"| `{SMALL}` |  | 0 | 99.05 % |  |  |\n"
        ) in page
        assert (
            "| `identity` |  |  | 15.0 | 1.00 |\n"
            "| `4k5s2 mean` | 9 | 9 | 25.0 | 1.70 |\n"
            f"| `{SMALL}` | 1,000 | 20,000 | 30.0 | 2.00 |\n"
            "| `edge` | 5 | 6 | 40.0 | 2.67 |\n"
        ) in page
        assert page.endswith("4.00 |\n")

    def test_a_dot_is_the_mean_of_the_best_group_with_its_deviation(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = []
        monkeypatch.setattr(pareto, "png", lambda figure: drawn.append(figure) or b"")
        pareto.plot(self.RECORD)
        (axes,) = drawn[0].axes
        (bar,) = axes.containers
        (x,), (y,) = bar.lines[0].get_data()
        assert (x, y) == (2.0, pytest.approx(0.9))
        ((low, high),) = bar.lines[2][0].get_segments()
        assert high[1] - low[1] == pytest.approx(2 * 0.1414, rel=1e-3)
        (ticks,) = (line for line in axes.lines if line.get_label() == "candidate, not trained")
        assert list(ticks.get_xdata()) == [1.7]
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert "source network, with a recipe of its own" in labels
        assert "edge, with a recipe of its own" in labels
        assert "bound: 3.0 × identity" in labels


class TestTheCommittedSearch:
    def test_it_has_timed_all_candidates(self) -> None:
        timed = json.loads(pareto.RECORD.read_text())["timed"]["networks"]
        assert set(timed) == {*pareto.CANDIDATES, *networks.NETWORKS, "identity"}
        for name, kind in networks.NETWORKS.items():
            assert timed[name]["parameters"] == count_parameters(kind())

    def test_the_page_is_of_the_record(self) -> None:
        record = json.loads(pareto.RECORD.read_text())
        assert pareto.PAGE.read_text() == pareto.page(record)


class TestTheGraph:
    def test_the_operators_are_those_that_the_runtime_runs(
        self, adder: EdgeAdder, tmp_path: Path
    ) -> None:
        options = session_options()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        ort.InferenceSession(adder.model_bytes, options, providers=["CPUExecutionProvider"])
        run = onnx.load(tmp_path / "optimised.onnx").graph.node
        rows = graph.profile(adder, 20)
        assert [(row["operator"], row["node"]) for row in rows] == [
            (node.op_type, node.name) for node in run
        ]
        assert all(row["us"] > 0 for row in rows)

    def test_every_operator_is_measured_and_told(self, adder: EdgeAdder) -> None:
        network = networks.create("edge")
        found = graph.measure(adder, network, 50)
        assert all(parameter.device.type == "cpu" for parameter in network.parameters())
        told = "\n".join(graph_paragraphs(found))
        assert len(found["operators"]) > 10
        for row in found["operators"]:
            assert f"| {row['operator']} | `{row['node']}` | {row['us']:.1f} | " in told
        parts = [found["floor_us"] / found["p50_us"], *(row["share"] for row in found["operators"])]
        assert sum(parts) == pytest.approx(1)
        assert f"the cheapest takes, {found['added_us']:.1f} µs" in told
        assert found["added_us"] == min(row["us"] for row in found["operators"])

    def test_shares(self) -> None:
        # 4 µs are above the cheapest and stand for the 30 µs above the floor
        assert graph.shares([2.0, 1.0, 4.0], whole=40.0, floor=10.0) == [0.1875, 0.0, 0.5625]
        assert graph.shares([3.0], whole=40.0, floor=10.0) == [0.75]
        assert graph.shares([3.0, 3.0], whole=40.0, floor=10.0) == [0.375, 0.375]

    def test_the_slowest_tenth_does_not_count(self) -> None:
        assert graph.trimmed_mean(np.array([1, 900, *[3] * 17, 800])) == pytest.approx(52 / 18)
        assert graph.trimmed_mean(np.array([5, 7])) == 6

    def test_more_runs_than_a_profile_holds_are_refused(
        self, adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nodes = len(graph_of(adder).node)
        monkeypatch.setattr(graph, "MOST_EVENTS", 20 * (3 * nodes + 2))
        assert graph.profile(adder, 10)
        with pytest.raises(InputError, match="calls must be at most 10 for this model, got 11"):
            graph.profile(adder, 11)

    def test_the_peak_is_arithmetic(self) -> None:
        assert 1e8 < graph.peak_multiply_adds() < 1e13
