"""The error tree and its exit codes, and what the package makes public."""

from __future__ import annotations

import re

import pytest

import edge_adder
from edge_adder import errors


def test_the_docstring_draws_the_whole_tree_with_its_exit_codes() -> None:
    def walk(cls: type[errors.EdgeAdderError]) -> list[tuple[str, int]]:
        below = [entry for subclass in cls.__subclasses__() for entry in walk(subclass)]
        return [(cls.__name__, cls.exit_code), *below]

    drawn = re.findall(r"(\w+Error)(?: \(ValueError\))? +(\d)  ", errors.__doc__)
    assert [(name, int(code)) for name, code in drawn] == walk(errors.EdgeAdderError)
    assert issubclass(errors.InputError, ValueError)


def test_an_exception_becomes_one_line() -> None:
    raised = ValueError("two\n  lines "), KeyError(), OSError("x" * 300)
    assert [*map(errors.one_line, raised)] == ["two lines", "KeyError", "x" * 200]


def test_public_names() -> None:
    tree = {name for name in vars(errors) if name.endswith("Error")}
    others = {"CONTRACT", "EdgeAdder", "ExitCode", "Outputs", "Prediction", "Predictions"}
    others |= {"Unread", "prepare_image"}
    assert set(edge_adder.__all__) == tree | others | {"__version__"}
    for name in edge_adder.__all__:
        assert hasattr(edge_adder, name)
    assert set(edge_adder.__all__) <= set(dir(edge_adder))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'EdgeSubtractor'"):
        _ = edge_adder.EdgeSubtractor
