"""Networks of the user's own: found as ``package.module:Class`` or ``path/to/file.py:Class``."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from edge_adder.errors import CheckpointError, InputError, one_line


def is_own(network: str) -> bool:
    """Whether a name stands for a class of the user's own, and not for one of the registry."""
    return ":" in network


def find_class(network: str) -> type[nn.Module]:
    """Import a class, which runs the code of its file.

    Args:
        network: ``package.module:Class``, seen from the current folder as by ``python -m``, or
            ``path/to/file.py:Class``, which can import what lies beside it.

    Raises:
        InputError: The file or module cannot be imported, or has no such `torch.nn.Module`.
    """
    place, _, name = network.rpartition(":")
    if not place.strip(".") or not name.isidentifier():
        raise InputError(
            f"network must be a name, package.module:Class or file.py:Class, got {network!r}"
        )
    if place.endswith(".py") or "/" in place or "\\" in place:
        module = _import_file(Path(place))
    else:
        module = _import_module(place)
    found: Any = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        kind: Any = found
        _describe(kind)
        return found
    if found is not None:
        raise InputError(f"{network} is no class of torch.nn.Module: derive it from nn.Module")
    classes = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    ]
    known = f"it has {', '.join(classes[:5])}" if classes else "it defines no torch.nn.Module"
    raise InputError(f"{place} has no class {name!r}: {known}")


def create(network: str) -> nn.Module:
    """Make a network of the user's own class with fresh weights.

    Args:
        network: As in `find_class`.

    Raises:
        InputError: As in `find_class`.
        CheckpointError: The class cannot be made without arguments.
    """
    kind = find_class(network)
    required = _required_arguments(kind)
    if required:
        raise CheckpointError(
            f"{network} needs arguments ({', '.join(required)}), expected a class that is made "
            "without any: give each a default"
        )
    try:
        return kind()
    except Exception as error:
        raise CheckpointError(
            f"{network} cannot be made: {_where(error, source_file(kind))}{_kind_and_text(error)}"
        ) from error


def describe(network: str) -> dict[str, Any]:
    """Return the class, its file's name and that file's SHA-256, in JSON's types.

    Args:
        network: As in `find_class`.

    Raises:
        InputError: As in `find_class`.
    """
    kind: Any = find_class(network)
    return dict(_describe(kind))


@functools.cache
def _describe(kind: Any) -> dict[str, Any]:
    """Describe a class; a file may change after it was imported, so this is done at once."""
    file = source_file(kind)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else None
    return {"class": kind.__qualname__, "file": file.name if file else None, "sha256": sha256}


def source_file(kind: type) -> Path | None:
    """Return the file that defines a class; None where that is not known."""
    try:
        found = inspect.getsourcefile(kind)
    except TypeError:
        return None
    return Path(found) if found else None


def line_in(error: BaseException, file: Path | None) -> str:
    """Return where in a file an exception arose, such as ``line 12 (x = y)``; "" elsewhere."""
    lines = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if file is not None and Path(frame.filename) == file
    ]
    if not lines:
        return ""
    code = f" ({lines[-1].line})" if lines[-1].line else ""
    return f"line {lines[-1].lineno}{code}"


def _where(error: BaseException, file: Path | None) -> str:
    line = line_in(error, file)
    return f"{line}: " if line else ""


def _kind_and_text(error: BaseException) -> str:
    name, text = type(error).__name__, one_line(error)
    return name if text == name else f"{name}: {text}"


def _required_arguments(kind: type) -> list[str]:
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}, expected a Python file with the network's class")
    if path.suffix != ".py":
        raise InputError(f"{path} is no Python file: expected path/to/file.py:Class")
    return _run_file(path.resolve(), str(path))


@functools.cache
def _run_file(path: Path, shown: str) -> ModuleType:
    """Import a file once; `shown` names it in messages."""
    name = f"own_network_{len(sys.modules)}"  # of no module that is loaded already
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{shown} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importing_from(path.parent, shown, path):
            spec.loader.exec_module(module)
    except InputError:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> ModuleType:
    with _importing_from(Path.cwd(), name, None):
        return importlib.import_module(name)


@contextmanager
def _importing_from(folder: Path, shown: str, file: Path | None) -> Iterator[None]:
    """Let imports find a folder first; turn what they raise into one line."""
    sys.path.insert(0, str(folder))
    try:
        yield
    except SyntaxError as error:
        raise InputError(f"{shown} cannot be imported: line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        where = _where(error, file)
        raise InputError(f"{shown} cannot be imported: {where}{_kind_and_text(error)}") from error
    finally:
        sys.path.remove(str(folder))
