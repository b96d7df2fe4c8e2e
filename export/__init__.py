"""Development tools: PyTorch trains a network and exports it to ONNX.

Its name is `edge_adder.export`: in a wheel this folder lies in `edge_adder`. In a checkout it lies
beside it, where `export` is a second name for the same modules.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _SecondName(MetaPathFinder, Loader):
    """Finds ``export.NAME`` as the module ``edge_adder.export.NAME``, which is loaded once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a specification for a module of this package by its second name."""
        del path, target
        return ModuleSpec(fullname, self) if fullname.startswith("export.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module by its own name."""
        module = importlib.import_module(f"edge_adder.{spec.name}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is: it has been loaded, and knows its own name."""
        spec = module.__spec__
        if spec is not None:
            module.__spec__ = spec.loader_state


if __name__ == "export":
    sys.modules["export"] = importlib.import_module("edge_adder.export")
    sys.meta_path.insert(0, _SecondName())
