"""Parity: PyTorch's stored answers through every entrance, and what counts as a failure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, InputError
from edge_adder.contract import CONTRACT
from edge_adder.parity import (
    COMPARED_ABOVE,
    PARITY_BOUND,
    bundled_vectors,
    check_parity,
    compare,
    load_vectors,
    vectors_as_json,
)
from edge_adder.prediction import Outputs
from edge_adder.predictor import BUNDLED_MODEL

CLOSE, FAR = 0.5 * PARITY_BOUND, 2 * PARITY_BOUND


@pytest.fixture
def expected(vectors: dict) -> Outputs:
    return Outputs(vectors["digit"].copy(), vectors["sum"].copy())


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A copy of the bundled model; its vectors would lie beside it."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(BUNDLED_MODEL.read_bytes())
    return path


@pytest.mark.parametrize("batch", [1, 2, 257])
def test_run_computes_what_pytorch_computed(
    adder: EdgeAdder, vectors: dict, expected: Outputs, batch: int
) -> None:
    parts = [slice(start, start + batch) for start in range(0, len(vectors["number"]), batch)]
    runs = [adder.run(vectors["image"][part], vectors["number"][part]) for part in parts]
    found = Outputs(*(np.concatenate(part) for part in zip(*runs, strict=True)))
    assert compare(found, expected).passed


def test_the_bundled_vectors_belong_to_the_bundled_model(adder: EdgeAdder, vectors: dict) -> None:
    assert str(vectors["weights_sha256"]) == adder.provenance["weights_sha256"]
    result = check_parity(adder, bundled_vectors())
    assert (result.passed, result.pairs) == (True, 300)
    found = result.to_dict()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"pairs", "bound", "passed", "digit", "sum"}


@pytest.mark.parametrize("change", [CLOSE, FAR, np.nan, -np.inf])
def test_a_difference_is_judged_by_the_bound(expected: Outputs, change: float) -> None:
    found = Outputs(expected.digit.copy(), expected.sum.copy())
    found.digit[3, expected.digit[3].argmax()] -= np.float32(change)
    result = compare(found, expected)
    assert result.passed == (change == CLOSE)
    assert result.sum.passed
    assert (result.digit.largest_difference is None) == (not np.isfinite(change))
    assert ("FAILED" in result.describe()[0]) == (not result.passed)


def test_a_changed_answer_fails_however_small_the_difference(expected: Outputs) -> None:
    expected.digit[0, :2] = -0.1, -0.1 - CLOSE
    found = Outputs(expected.digit.copy(), expected.sum)
    found.digit[0, :2] = expected.digit[0, 1::-1]
    result = compare(found, expected)
    assert result.digit.largest_difference < PARITY_BOUND
    assert (result.digit.changed_answers, result.passed) == (1, False)


def test_what_no_answer_depends_on_is_not_compared(expected: Outputs) -> None:
    expected.digit[0, 0] = COMPARED_ABOVE - 10
    found = Outputs(expected.digit.copy(), expected.sum)
    found.digit[0, 0] = COMPARED_ABOVE - 1
    assert compare(found, expected).digit.largest_difference == 0
    found.digit[0, 0] = COMPARED_ABOVE + 1
    assert not compare(found, expected).passed


def test_vectors_are_read_from_beside_the_model(beside: Path) -> None:
    adder = EdgeAdder(beside)
    assert load_vectors(adder) is None
    assert load_vectors(EdgeAdder(beside.read_bytes())) is None
    stored = BUNDLED_MODEL.with_suffix(".parity.npz").read_bytes()
    beside.with_name("mine.parity.npz").write_bytes(stored)
    assert check_parity(adder, load_vectors(adder)).passed


def test_other_or_damaged_vectors_are_refused(beside: Path, vectors: dict) -> None:
    adder, path = EdgeAdder(beside), beside.with_name("mine.parity.npz")
    for change, message in (
        ({"weights_sha256": np.array("0" * 64)}, "belongs to other weights than"),
        ({"digit": np.zeros((300, 9), np.float32)}, r"digit is float32 \(300, 9\)"),
        ({"image": np.zeros((300, 1, 28, 28))}, "image is float64"),
        ({"number": np.zeros(0, np.int64)}, "holds no parity vectors"),
    ):
        np.savez(path, **vectors | change)
        with pytest.raises(InputError, match=message):
            load_vectors(adder)
    for content in (b"", b"not a zip file", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"mine\.parity\.npz holds no parity vectors"):
            load_vectors(adder)


def test_the_vectors_as_json_are_those_of_the_file(vectors: dict) -> None:
    stored = json.loads(vectors_as_json(BUNDLED_MODEL.with_suffix(".parity.npz").read_bytes()))
    assert stored["weights_sha256"] == str(vectors["weights_sha256"])
    assert (stored["bound"], stored["compared_above"]) == (PARITY_BOUND, COMPARED_ABOVE)
    assert stored["contract"] == CONTRACT.to_dict()
    for name in ("image", "number", "digit", "sum"):
        tensor = stored[name]
        values = np.array(tensor["values"], tensor["dtype"]).reshape(tensor["shape"])
        assert values.dtype == vectors[name].dtype
        assert np.array_equal(values, vectors[name])
    assert len(stored["number"]["values"]) == stored["pairs"]
