"""The development tools, whose packages are not among the dependencies of the runtime."""

from __future__ import annotations

import importlib
from typing import Any

from edge_adder.errors import InputError, one_line


def load_tools(command: str, module: str, extra: str = "export") -> Any:
    """Import a module of the development tools.

    Args:
        command: The command that needs it, for the message.
        module: Name of the module: one of `edge_adder.export`, or of a checkout's ``benchmarks``.
        extra: The extra of pyproject.toml that has its packages.

    Raises:
        InputError: It is missing or does not load; the message says what to install.
    """
    in_the_wheel = module.startswith("edge_adder.")
    install = f"'edge-adder[{extra}]'`" if in_the_wheel else f"-e '.[{extra}]'` in a checkout"
    remedy = f"run `pip install {install}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"edge-adder {command} needs the development tools: {remedy} "
            f"(module {error.name} not found)"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:  # PyTorch and its libraries do not match
        reason = one_line(error)
        raise InputError(
            f"edge-adder {command} cannot load its packages ({reason}): {remedy}"
        ) from error
