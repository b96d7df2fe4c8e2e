"""The comparison of all networks: what it records, and that the README shows it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

from benchmarks import networks as comparison
from benchmarks import plots
from export import catalogue, networks
from export import checkpoint as checkpoints
from export.checkpoint import Checkpoint

WEIGHTS = checkpoints.WEIGHTS_DIR


@pytest.fixture(scope="module")
def measured() -> dict:
    return json.loads(comparison.MEASURED.read_text())


def test_the_readme_shows_what_was_measured(measured: dict) -> None:
    tables = comparison.render(catalogue.catalogue(), measured)
    assert f" -->\n{tables}\n<!-- /networks -->" in comparison.README.read_text()


def test_it_was_measured_with_the_weights_of_today(measured: dict) -> None:
    for name in networks.NETWORKS:
        record = json.loads((WEIGHTS / f"{name}.json").read_text())
        assert measured["networks"][name]["weights_sha256"] == record["weights_sha256"]
        assert record["metrics"]["test"]["pairs"] == 100_000


def test_every_network_passed_the_gate(measured: dict) -> None:
    for row in measured["networks"].values():
        assert row["changed_answers"] == 0
        assert 0 < row["largest_difference"] < 1e-4
        assert row["compared_pairs"] == 20_000


def test_the_list_has_sizes_and_accuracies_of_all() -> None:
    for facts in catalogue.catalogue():
        assert facts.size_bytes > 4 * 0.9 * facts.parameters
        assert facts.digit > 0.98
        assert facts.committed == (facts.name != "wide")


def test_a_size_of_other_weights_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "edge.json").write_text(json.dumps({"weights_sha256": "a"}))
    for sha256, shown in (("a", 5), ("b", None)):
        row = {"weights_sha256": sha256, "size_bytes": 5}
        (tmp_path / catalogue.MEASURED_FILE).write_text(json.dumps({"networks": {"edge": row}}))
        assert catalogue.catalogue(tmp_path)[0].size_bytes == shown


def test_the_published_runs_are_recorded() -> None:
    for name, kind in networks.NETWORKS.items():
        path = WEIGHTS / f"{name}.published.json"
        assert path.is_file() == (kind.published_recipe is not None)
        if path.is_file():
            record = json.loads(path.read_text())
            assert record["network"] == name
            assert record["config"].items() >= dict(kind.published_recipe).items()
            assert record["metrics"]["test"]["pairs"] == 100_000


def test_the_records_are_of_our_recipes() -> None:
    for name, kind in networks.NETWORKS.items():
        record = json.loads((WEIGHTS / f"{name}.json").read_text())
        assert record["config"].items() >= dict(kind.recipe).items()


def test_a_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two small networks, one of them from a run, through gate, clock, tables and plot."""
    two = {name: networks.NETWORKS[name] for name in ("edge", "scalar-concat")}
    monkeypatch.setattr(networks, "NETWORKS", two)
    weights = tmp_path / "weights"
    weights.mkdir()
    made = Checkpoint("scalar-concat", networks.create("scalar-concat").state_dict(), {}, {})
    run = tmp_path / "runs" / "scalar-concat"
    run.mkdir(parents=True)
    checkpoints.save(made, run / "checkpoint.safetensors")
    edge = checkpoints.load(checkpoints.committed("edge"))
    checkpoints.save(edge, weights / "edge.safetensors")
    monkeypatch.setattr(comparison, "WEIGHTS_DIR", weights)
    monkeypatch.setattr(comparison.to_onnx, "GATE_IMAGES", 20)
    found = comparison.measure_networks(200, tmp_path / "runs", None)
    assert set(found["networks"]) == set(two)
    row = found["networks"]["edge"]
    assert row["weights_sha256"] == edge.sha256
    assert row["p50_us"] > found["floor_us"] > 0
    assert row["x_floor"] > 1
    assert row["size_bytes"] > 80_000
    assert found["calls"] == 200
    tables = comparison.render(catalogue.catalogue(weights), found)
    for name, kind in two.items():
        parameters = catalogue.count_parameters(kind())
        multiply_adds = catalogue.count_multiply_adds(kind())
        assert f"| `{name}` | {parameters:,} | {multiply_adds / 1e6:.2f} M |" in tables
    p50 = {name: row["p50_us"] for name, row in found["networks"].items()}
    drawn = plots.networks(catalogue.catalogue(weights), p50 | {"identity": found["floor_us"]})
    picture = np.asarray(Image.open(io.BytesIO(drawn)))
    assert picture.shape[1] > 800
