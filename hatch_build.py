"""Put `export` into the wheel, as `edge_adder.export`; hatchling calls this when it builds one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CHECKPOINT = "edge.safetensors"
"""The one checkpoint in the wheel; the others are in a checkout."""


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the files of `export` to a wheel; an editable install uses the checkout's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each file of `export` that belongs in a wheel, with its place there."""
        if version == "editable":
            return
        root = Path(self.root)
        for path in sorted((root / "export").rglob("*")):
            is_other_checkpoint = path.suffix == ".safetensors" and path.name != CHECKPOINT
            if path.is_file() and "__pycache__" not in path.parts and not is_other_checkpoint:
                place = Path("edge_adder") / path.relative_to(root)
                build_data["force_include"][str(path)] = place.as_posix()
