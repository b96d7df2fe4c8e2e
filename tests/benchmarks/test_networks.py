"""The comparison of all networks: what it records, and that docs/networks.md shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from PIL import Image

pytest.importorskip("torch", reason="needs the development tools")

from benchmarks import networks as comparison
from benchmarks.robustness import writers
from benchmarks.robustness.writers import WrittenDigit
from edge_adder.predictor import BUNDLED_MODEL
from export import catalogue, networks, to_onnx
from export import checkpoint as checkpoints
from export.checkpoint import Checkpoint
from export.synthetic.digits import draw_digits
from export.to_onnx import ExportResult
from export.verify import ParityRow

WEIGHTS = checkpoints.WEIGHTS_DIR


def read_record(name: str) -> dict:
    return json.loads((WEIGHTS / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def measured() -> dict:
    return json.loads(comparison.MEASURED.read_text())


def test_the_document_shows_what_was_measured(measured: dict) -> None:
    tables = comparison.render(catalogue.catalogue(), measured)
    assert f" -->\n{tables}\n<!-- /networks -->" in comparison.DOCUMENT.read_text()


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_network_was_measured_with_its_weights_and_passed_the_gate(
    measured: dict, name: str
) -> None:
    row, record = measured["networks"][name], read_record(name)
    assert row["weights_sha256"] == record["weights_sha256"]
    assert row["changed_answers"] == 0
    assert 0 < row["largest_difference"] < 1e-4
    assert row["compared_pairs"] == 20_000
    assert record["metrics"]["test"]["pairs"] == 100_000
    assert record["config"].items() >= dict(networks.NETWORKS[name].recipe).items()


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_published_recipe_has_a_recorded_run(name: str) -> None:
    recipe = networks.NETWORKS[name].published_recipe
    assert (WEIGHTS / f"{name}.published.json").is_file() == (recipe is not None)
    if recipe is not None:
        record = read_record(f"{name}.published")
        assert record["network"] == name
        assert record["config"].items() >= dict(recipe).items()
        assert record["metrics"]["test"]["pairs"] == 100_000


def test_the_catalogue_has_sizes_and_accuracies_of_all() -> None:
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


def pass_the_gate(_: Checkpoint, out: Path, **__: object) -> ExportResult:
    """Export in no time: the bundled file stands for any network's."""
    out.write_bytes(BUNDLED_MODEL.read_bytes())
    rows = [
        ParityRow("20 digits", 200, batch, output, difference, changed, 0)
        for batch, output, difference, changed in ((1, "digit", 1e-6, 0), (2, "sum", 2e-5, 1))
    ]
    return ExportResult(out, out, 1234, {}, rows, "1")


def few_digits() -> Iterator[WrittenDigit]:
    """A digit of one set, and two of another, of which one is refused."""
    images, _ = draw_digits(8)
    picture, image = Image.fromarray(images[7, 0]), images[7, 0]
    yield WrittenDigit("numbers", "a", 7, picture, image)
    yield WrittenDigit("pendigits", "01", 7, picture, image)
    yield WrittenDigit("pendigits", "02", 7, picture, None)


def test_networks_of_the_checkout_and_of_a_run_are_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edge = checkpoints.load(checkpoints.committed("edge"))
    own = Checkpoint("wide", edge.weights, {}, {})
    weights, run = tmp_path / "weights", tmp_path / "runs" / "wide"
    for folder, name, made in ((weights, "edge", edge), (run, "checkpoint", own)):
        folder.mkdir(parents=True)
        checkpoints.save(made, folder / f"{name}.safetensors")
    document = tmp_path / "networks.md"
    document.write_text("<!-- networks: a -->\nold\n<!-- /networks -->")
    monkeypatch.setattr(comparison, "WEIGHTS_DIR", weights)
    monkeypatch.setattr(comparison, "MEASURED", tmp_path / "measured.json")
    monkeypatch.setattr(comparison, "DOCUMENT", document)
    monkeypatch.setattr(comparison, "PLOT", tmp_path / "plot.png")
    two = {name: networks.NETWORKS[name] for name in ("edge", "wide")}
    monkeypatch.setattr(networks, "NETWORKS", two)
    export = create_autospec(to_onnx.export, side_effect=pass_the_gate)
    monkeypatch.setattr(to_onnx, "export", export)
    monkeypatch.setattr(writers, "read_digits", few_digits)
    comparison.main(calls=200, runs=tmp_path / "runs", data_dir=tmp_path)
    assert [call.args[0].network for call in export.call_args_list] == list(two)
    found = json.loads((tmp_path / "measured.json").read_text())
    assert (found["calls"], list(found["networks"])) == (200, list(two))
    row = found["networks"]["edge"]
    assert row["weights_sha256"] == edge.sha256
    assert (row["size_bytes"], row["compared_pairs"]) == (1234, 200)
    assert (row["largest_difference"], row["changed_answers"]) == (2e-5, 1)
    assert row["p50_us"] > found["floor_us"] > 0
    assert row["x_floor"] > 1
    for facts in catalogue.catalogue():
        sizes = f"{facts.parameters:,} | {facts.multiply_adds / 1e6:.2f} M | 1 kB"
        assert f"| `{facts.name}` | {sizes} |" in document.read_text()
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 800
    assert row["writers"] == {"numbers": 1.0, "pendigits": 0.5}
    assert "| 100.00 % | 50.00 % |" in document.read_text()

    (run / "checkpoint.safetensors").unlink()  # then only its latency is measured
    comparison.main(calls=200, runs=tmp_path / "runs", data_dir=tmp_path)
    again = json.loads((tmp_path / "measured.json").read_text())["networks"]["wide"]
    timed = ("p50_us", "x_floor")
    before = found["networks"]["wide"]
    assert {k: v for k, v in again.items() if k not in timed} == {
        k: v for k, v in before.items() if k not in timed
    }
    assert again["p50_us"] > 10 * row["p50_us"]
