"""The development tools, which in a checkout lie in the folder ``export`` beside this package.

This file is not in the wheel; there the folder itself is in its place.
"""

from __future__ import annotations

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "export")]
