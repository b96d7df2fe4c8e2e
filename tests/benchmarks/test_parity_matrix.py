"""Every way to run the file is compared with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="needs the development tools")

from benchmarks import parity_matrix
from edge_adder import EdgeAdder, Outputs
from edge_adder.errors import ProviderError
from edge_adder.parity import bundled_vectors
from export.networks.parts import Network

Matrix = Callable[..., list[dict]]


@pytest.fixture
def matrix(adder: EdgeAdder, tmp_path: Path) -> Matrix:
    """Runs the matrix of the bundled file on the first of the stored images."""

    def run(network: Network, images: int) -> list[dict]:
        return parity_matrix.run_matrix(
            adder.model_bytes,
            network,
            bundled_vectors()["image"][:images],
            tmp_path / "shards",
            progress=lambda _: None,
        )

    return run


@pytest.fixture
def one_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity_matrix, "LEVELS", ("enable_all",))


def test_every_configuration_is_compared_and_passes(
    matrix: Matrix, network: Network, tmp_path: Path
) -> None:
    rows = matrix(network, 26)  # more than a batch of 257 pairs
    configs = [tuple(row[name] for name in parity_matrix.RunConfig._fields) for row in rows]
    assert configs == parity_matrix.run_configs()
    assert len(set(configs)) == len(rows) == len(list((tmp_path / "shards").iterdir()))
    assert {config[1] for config in configs} == set(parity_matrix.LEVELS)
    assert {config[2] for config in configs} >= {1, 64, 257}
    assert {config[3] for config in configs} == {1, 2}
    assert {row["pairs"] for row in rows if row["provider"] == "cpu"} == {260}
    assert rows[-1]["provider"] == "onnx.reference"
    assert parity_matrix.passed(rows)


@pytest.mark.usefixtures("one_level")
def test_it_continues_and_starts_again_for_other_images(
    matrix: Matrix, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[parity_matrix.RunConfig] = []
    run = parity_matrix._run

    def spy(content: bytes, config: parity_matrix.RunConfig, *arrays: np.ndarray) -> object:
        ran.append(config)
        return run(content, config, *arrays)

    monkeypatch.setattr(parity_matrix, "_run", spy)
    first = matrix(network, 3)
    assert len(ran) == len(first) == 7
    min((tmp_path / "shards").iterdir()).unlink()
    assert matrix(network, 3) == first
    assert len(ran) == 8
    matrix(network, 2)
    assert len(ran) == 15


@pytest.mark.usefixtures("one_level")
def test_rows_of_other_weights_and_damaged_ones_are_run_again(
    matrix: Matrix, network: Network, untrained: Network, tmp_path: Path
) -> None:
    assert parity_matrix.passed(matrix(network, 2))
    rows = matrix(untrained, 2)
    assert not parity_matrix.passed(rows)
    output = rows[0]["digit"]
    assert len(output["margins"]) == output["changed_answers"] > 0
    assert output["margins"] == sorted(output["margins"], reverse=True)
    for path in (tmp_path / "shards").iterdir():
        path.write_text("{")
    assert parity_matrix.passed(matrix(network, 2))


def test_the_reference_evaluator_gets_every_number() -> None:
    for pairs in (100_000, 2000):
        chosen = parity_matrix.sample(pairs)
        assert len(set(chosen)) == parity_matrix.SAMPLE
        assert set(chosen % 10) == set(range(10))  # a pair is an image with one of ten numbers
        assert max(chosen) < pairs
    assert parity_matrix.sample(30).tolist() == list(range(30))


def test_a_provider_that_cannot_be_loaded_is_no_row(
    matrix: Matrix, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("CUDA is here")
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(ProviderError, match="cuda"):
        matrix(network, 1)


def test_an_answer_that_is_not_finite_fails_its_row(adder: EdgeAdder) -> None:
    vectors = bundled_vectors()
    wanted = adder.run(vectors["image"][:4], vectors["number"][:4])
    for broken in (
        np.where(wanted.digit == wanted.digit.max(), np.nan, wanted.digit),
        np.full_like(wanted.digit, np.nan),
    ):
        row = parity_matrix.compare(Outputs(broken, wanted.sum), wanted)
        assert row["digit"]["largest_difference"] is None
        assert row["sum"]["largest_difference"] == 0
        assert not parity_matrix.passed([row])
