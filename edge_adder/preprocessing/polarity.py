"""Whether ink is lighter or darker than its background."""

from __future__ import annotations

from typing import Literal, get_args

Ink = Literal["auto", "light", "dark"]
INKS: tuple[Ink, ...] = get_args(Ink)
Polarity = Literal["light", "dark"]
