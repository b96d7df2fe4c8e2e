"""Every way to run the file is compared with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="needs the development tools")

from benchmarks import parity_matrix
from edge_adder import EdgeAdder, Outputs
from edge_adder.errors import ProviderError
from edge_adder.parity import bundled_vectors
from export.networks.parts import Network

Matrix = Callable[[Network, int], list[dict]]


@pytest.fixture
def matrix(adder: EdgeAdder, tmp_path: Path) -> Matrix:
    """Runs the matrix of the bundled file on the first of the stored images."""
    images = bundled_vectors()["image"]

    def run(network: Network, count: int) -> list[dict]:
        content, part = adder.model_bytes, images[:count]
        return parity_matrix.run_matrix(content, network, part, tmp_path, progress=lambda _: None)

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
    assert len(set(configs)) == len(rows) == len(list(tmp_path.iterdir()))
    _, levels, batches, threads = (set(values) for values in zip(*configs, strict=True))
    assert levels == set(parity_matrix.LEVELS)
    assert batches >= {1, 64, 257}
    assert threads == {1, 2}
    assert {row["pairs"] for row in rows if row["provider"] == "cpu"} == {260}
    assert rows[-1]["provider"] == "onnx.reference"
    assert parity_matrix.passed(rows)


@pytest.mark.usefixtures("one_level")
def test_it_continues_and_starts_again_for_other_images(
    matrix: Matrix, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_autospec(parity_matrix._run, side_effect=parity_matrix._run)
    monkeypatch.setattr(parity_matrix, "_run", run)
    first = matrix(network, 3)
    assert run.call_count == len(first) == 7
    min(tmp_path.iterdir()).unlink()
    assert matrix(network, 3) == first
    assert run.call_count == 8
    matrix(network, 2)
    assert run.call_count == 15


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
    for path in tmp_path.iterdir():
        path.write_text("{")
    assert parity_matrix.passed(matrix(network, 2))


@pytest.mark.parametrize("pairs", [30, 2000, 100_000])
def test_the_reference_evaluator_gets_every_number(pairs: int) -> None:
    chosen = parity_matrix.sample(pairs)
    assert len(set(chosen)) == min(pairs, parity_matrix.SAMPLE)
    assert set(chosen % 10) == set(range(10))  # a pair is an image with one of ten numbers
    assert max(chosen) < pairs


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
    one = np.where(wanted.digit == wanted.digit.max(), np.nan, wanted.digit)
    for broken in (one, np.full_like(one, np.nan)):
        row = parity_matrix.compare(Outputs(broken, wanted.sum), wanted)
        assert row["digit"]["largest_difference"] is None
        assert row["sum"]["largest_difference"] == 0
        assert not parity_matrix.passed([row])
