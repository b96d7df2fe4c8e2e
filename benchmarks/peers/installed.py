"""What a package takes on disk: python installed.py NAME. Runs in any environment, by itself."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path


def installed(name: str) -> tuple[int, int]:
    """Return the size of a package and all it depends on, in bytes, and how many packages that is.

    Packages that only its extras need, or another platform, do not count.
    """
    sizes: dict[str, int] = {}
    waiting = [name]
    while waiting:
        try:
            package = distribution(waiting.pop())
        except PackageNotFoundError:
            continue
        if package.name not in sizes:
            sizes[package.name] = _size(package)
            waiting += _requirements(package)
    return sum(sizes.values()), len(sizes)


def _size(package: Distribution) -> int:
    paths = (Path(str(package.locate_file(each))) for each in package.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def _requirements(package: Distribution) -> list[str]:
    lines = [each for each in package.requires or () if "extra ==" not in each]
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]


if __name__ == "__main__":
    print(json.dumps(installed(sys.argv[1])))
