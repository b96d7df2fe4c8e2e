"""The error tree and its exit codes."""

from __future__ import annotations

import pytest

import edge_adder
from edge_adder import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("EdgeAdderError", 1),
        ("InputError", 2),
        ("ImageError", 2),
        ("ModelError", 3),
        ("ContractError", 3),
        ("CheckpointError", 3),
        ("ParityError", 3),
        ("ProviderError", 4),
        ("FileAccessError", 5),
    ],
)
def test_every_error_has_its_exit_code(error: str, code: int) -> None:
    assert getattr(errors, error).exit_code == code


def test_the_docstring_draws_the_whole_tree_in_order() -> None:
    def walk(cls: type) -> list[str]:
        return [cls.__name__, *(name for sub in cls.__subclasses__() for name in walk(sub))]

    drawn = [word for word in errors.__doc__.split() if word.endswith("Error")]
    assert drawn == walk(errors.EdgeAdderError)


def test_a_wrong_argument_is_also_a_value_error() -> None:
    assert issubclass(errors.InputError, ValueError)


def test_public_names() -> None:
    assert sorted(edge_adder.__all__) == [
        "CONTRACT",
        "CheckpointError",
        "ContractError",
        "EdgeAdder",
        "EdgeAdderError",
        "ExitCode",
        "FileAccessError",
        "ImageError",
        "InputError",
        "ModelError",
        "Outputs",
        "ParityError",
        "Prediction",
        "ProviderError",
        "__version__",
        "prepare_image",
    ]
    for name in edge_adder.__all__:
        assert hasattr(edge_adder, name)
    assert set(edge_adder.__all__) <= set(dir(edge_adder))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'EdgeSubtractor'"):
        _ = edge_adder.EdgeSubtractor
