"""The ink model: its contract, its parity with PyTorch, and when it is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_adder import ContractError, ModelError, ink_model
from edge_adder.contract import INK, INK_CONTRACT, PICTURE
from edge_adder.predictor import BUNDLED_MODEL

ROOT = Path(__file__).parents[2]


def test_the_bundled_file_keeps_the_contract_and_says_where_it_is_from() -> None:
    described = ink_model.describe(ink_model.load())
    assert described.contract == INK_CONTRACT.to_dict()
    assert described.batch is None
    assert described.provenance["network"] == "ink"
    assert described.provenance["parity"]["changed_answers"] == 0


def test_its_answers_are_pytorchs() -> None:
    assert ink_model.check_parity().passed
    stored = ink_model.INK_MODEL.with_suffix(".parity.npz")
    assert stored.stat().st_size < 100_000


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 40), (224, 100), (100, 300)])
def test_pictures_of_any_size(shape: tuple[int, int]) -> None:
    found = ink_model.find_ink(np.full((*shape, 3), 255, np.uint8))
    assert (found.shape, found.dtype) == ((2, *shape), np.float32)
    assert np.isfinite(found).all()


def test_a_difference_from_pytorch_is_seen() -> None:
    expected = np.full((1, 2, 4, 4), 3, np.float32)
    assert ink_model.compare(expected, expected).passed
    assert ink_model.compare(expected + 0.0005, expected).passed
    assert not ink_model.compare(expected + 0.002, expected).passed
    found = expected.copy()
    found[0, 0, 1, 1] = -3
    assert ink_model.compare(found, expected).changed_pixels == 1
    found[0, 0, 1, 1] = np.nan
    assert not ink_model.compare(found, expected).passed
    tie = np.full((1, 2, 4, 4), 0.0004, np.float32)
    assert ink_model.compare(-tie, tie).passed


def test_another_model_is_refused() -> None:
    with pytest.raises(ContractError, match="ink model differs from the contract"):
        ink_model.open_model(BUNDLED_MODEL.read_bytes())
    with pytest.raises(ModelError, match="cannot load ink model"):
        ink_model.open_model(b"not ONNX")


def test_what_it_is_given_is_checked_by_onnxruntime() -> None:
    with pytest.raises(ModelError, match="ink model"):
        ink_model.run(ink_model.load(), np.zeros((1, 3, 16, 16), np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize(("sample", "needed"), [("seven.png", False), ("five.jpg", True)])
def test_it_is_loaded_for_no_image_in_mnists_format(sample: str, needed: bool) -> None:
    code = (
        "import sys; from edge_adder import EdgeAdder; "
        f"EdgeAdder().predict({str(ROOT / 'examples' / sample)!r}, 5); "
        f"assert ('edge_adder.ink_model' in sys.modules) is {needed}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_of_its_tensors() -> None:
    assert (PICTURE.name, INK.name) == ("picture", "ink")
