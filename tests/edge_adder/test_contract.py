"""The contract names four tensors, and any difference from it is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_adder.contract import CONTRACT, IMPOSSIBLE_LOG_PROBABILITY, differences


def test_the_contract_names_four_tensors() -> None:
    stated = {
        spec.name: (spec.dtype, spec.shape, spec.range)
        for spec in (*CONTRACT.inputs, *CONTRACT.outputs)
    }
    assert stated == {
        "image": ("uint8", ("batch", 1, 28, 28), (0, 255)),
        "number": ("int64", ("batch",), (0, 9)),
        "digit": ("float32", ("batch", 10), (None, 0)),
        "sum": ("float32", ("batch", 19), (None, 0)),
    }


def test_a_fixed_batch_is_first_in_every_shape() -> None:
    fixed = CONTRACT.to_dict(4)
    assert [spec["shape"][0] for spec in fixed["inputs"] + fixed["outputs"]] == [4] * 4


def test_an_impossible_sum_has_probability_zero_and_a_finite_logarithm() -> None:
    value = np.float32(IMPOSSIBLE_LOG_PROBABILITY)
    assert np.isfinite(value)
    assert np.exp(value) == 0


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["version"], 2, "version: expected 1, got 2"),
        (["inputs", 0, "dtype"], "int8", "inputs[0].dtype: expected 'uint8', got 'int8'"),
        (["outputs", 1, "shape", 1], 20, "outputs[1].shape[1]: expected 19, got 20"),
        (["inputs", 1, "range"], [0], "inputs[1].range: expected [0, 9], got [0]"),
    ],
)
def test_a_difference_is_named_by_its_place(
    path: list[str | int], value: object, place: str
) -> None:
    part = found = json.loads(json.dumps(CONTRACT.to_dict()))
    assert list(differences(found, CONTRACT.to_dict())) == []
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert list(differences(found, CONTRACT.to_dict())) == [f"contract.{place}"]


def test_missing_and_unknown_parts_are_named() -> None:
    found = differences({"version": 1, "extra": 1}, {"version": 1, "inputs": []})
    assert list(found) == ["contract.inputs is missing", "contract.extra is unknown"]
