"""The sets of handwriting that a network may be trained on beside MNIST, and where they are kept.

Each is kept as it was published, in one folder: `EDGE_ADDER_HANDWRITING` names it, or else it is
in the user's cache. What a file must contain is fixed by its SHA-256, so that a changed or newer
copy is never trained on unnoticed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_adder.errors import InputError
from edge_adder.evaluation.datasets import cache_dir
from edge_adder.files import read_file

HANDWRITING_VARIABLE = "EDGE_ADDER_HANDWRITING"
"""Environment variable with the folder of the sets; `--folder` has precedence."""

_MAX_BYTES = 8_000_000
"""Largest file of a set that is read."""


@dataclass(frozen=True, slots=True)
class HandwritingSet:
    """A published set of handwritten digits.

    Attributes:
        name: Its folder, and its name on the command line.
        title: What its authors call it.
        content: What it holds, in a few words.
        authors: Whom to attribute.
        licence: SPDX identifier.
        page: Where it is described.
        url: The ZIP archive that is downloaded.
        size_bytes: Size of the set's files.
        members: Folder inside the archive that has the set's files.
        sha256: By file or, for a folder, by the list of its files as `sha256sum` prints it with
            names relative to the set, sorted: SHA-256 in hexadecimal.
    """

    name: str
    title: str
    content: str
    authors: str
    licence: str
    page: str
    url: str
    size_bytes: int
    members: str
    sha256: Mapping[str, str]


_COMMIT = "8211aed397f6da43855377a6fcf573ba56ad8cbf"

NUMBERS = HandwritingSet(
    name="numbers",
    title="Numbers",
    content="scans of 8,639 digits by 15 writers, nearly all Swiss",
    authors="Alex Schroeder and contributors",
    licence="CC0-1.0",
    page="https://github.com/kensanata/numbers",
    url=f"https://github.com/braeunlich/anagnostes/archive/{_COMMIT}.zip",
    size_bytes=40_503_452,
    members=f"anagnostes-{_COMMIT}/src/main/resources/numbers",
    sha256={
        "0001_CH4M": "8074d743f70d6be502c2e5b3896b2416271a56d2a8b83ce78f37a9602504844a",
        "0003_CH3M": "d1de0551912e90c9a67aabedda1698a629318e9034d202730bd75c5eb086fb12",
        "0004_CH4M": "6822c052c0b29cca14c2052c9f1fdbf62dc0ae4e80c797ddb0b8795f58b0c29f",
        "0005_CH3M": "0e245406d01e9234527af756a5344537b210dd7f643da15dbfbcc3c4b56be7b5",
        "0006_CH4M": "246c4b55113cc92fe1dcea362b27d69041ef70a99a4fdb20b09d01cc5317f56e",
        "0008_CH3F": "655355df4037ef32a46a7dc774e842b53c6d3eb6b4ac8071a33b321847cd6a3e",
        "0009_CH4M": "1b54917a14dbd1442771e1a1862a16472da716813098e40341acc82c078acc03",
        "0011_CH2F": "7b3f278ff5a317ba65175f84c55fc4512a8e3891a1e0f7c7cf914c94635dbe09",
        "0012_CH3M": "9ce509fa403c5afd186e6df3231ab566cf2a2fdeea445f41cdd42a550d6a6091",
        "0013_CH3M": "e43b7c2d1850de8e15191503b2de5c9e413b5281b340f30ba454686075bf858f",
        "0015_CH2M": "79cd217828303735da9b9868eb6501f8e03c2ac4e27674a1ff680cddb9a1c46c",
        "0016_CH3F": "e120c717ed347ed2a81a0a3bce649277537db34ca5c929ee5d37bdfef9345597",
        "0018_CHXX": "e330f5eae938895d5889bb029ee86ec7e027ab50da4a94668f3b8c20c0cad2b2",
        "0020_CH4M": "456b3aa3a25082a34aa50afbe60859222c4c837cf6533fae485bb4db36304048",
        "0021_CH4M": "d88e3187d6be6fe7f87b564572dea7b0dfb863999a6e1e220b016bfa1d7d6ee2",
    },
)
"""Boxes of about 100×100 pixels, ``<writer>/<digit>/*.png``. A writer's name has the country (CH is
Switzerland), the age group and the gender."""

TRAINING_TRAJECTORIES = "pendigits-orig.tra.Z"
VALIDATION_TRAJECTORIES = "pendigits-orig.tes.Z"

PENDIGITS = HandwritingSet(
    name="pendigits",
    title="Pen-Based Recognition of Handwritten Digits",
    content="pen trajectories of 10,992 digits by 44 writers in Turkey",
    authors="E. Alpaydin and F. Alimoglu, 1998; DOI 10.24432/C5MG6K",
    licence="CC-BY-4.0",
    page="https://archive.ics.uci.edu/dataset/81",
    url="https://archive.ics.uci.edu/static/public/81/pen+based+recognition+of+handwritten+digits.zip",
    size_bytes=1_467_436,
    members="",
    sha256={
        TRAINING_TRAJECTORIES: "ceae25d05f1ccfed4d27ca2e5766370fb32ddd685a647567e84cf7685aa7ac8b",
        VALIDATION_TRAJECTORIES: "55ff1032e789eae273d0a4a1831dd61a2418f36ec5c0647457aa767b36d65960",
    },
)
"""UNIPEN files, compressed by Unix compress; the second has writers that the first has not."""

SETS = (NUMBERS, PENDIGITS)

VALIDATION_WRITERS = ("0004_CH4M", "0013_CH3M", "0015_CH2M")
"""Writers of `NUMBERS` that nothing is trained on."""

TRAINING_WRITERS = tuple(name for name in NUMBERS.sha256 if name not in VALIDATION_WRITERS)


def find_folder(folder: Path | None = None) -> Path:
    """Return the folder of the sets: the named one, `EDGE_ADDER_HANDWRITING`, or in the cache."""
    if folder is None and os.environ.get(HANDWRITING_VARIABLE):
        folder = Path(os.environ[HANDWRITING_VARIABLE])
    return folder if folder is not None else cache_dir() / "handwriting"


def read_checked(wanted: HandwritingSet, part: str, folder: Path) -> dict[str, bytes]:
    """Read a file of a set, or all files in one of its folders, and check what they contain.

    Args:
        wanted: The set.
        part: A key of its `HandwritingSet.sha256`.
        folder: The folder of the sets.

    Returns:
        Content by path relative to the set's folder, sorted.

    Raises:
        InputError: The part is missing, or is not what was published.
        FileAccessError: A file cannot be read.
    """
    root = folder / wanted.name
    place = root / part
    if not place.exists():
        raise InputError(
            f"no {place}: run `edge-adder data --download`, or name the folder of the sets in "
            f"{HANDWRITING_VARIABLE}"
        )
    if place.is_file():
        content = {part: _read(place)}
        found = hashlib.sha256(content[part]).hexdigest()
    else:
        paths = sorted(path.relative_to(root).as_posix() for path in place.rglob("*.png"))
        content = {path: _read(root / path) for path in paths}
        found = digest(content)
    if found != wanted.sha256[part]:
        raise InputError(
            f"{place} is not what was published: expected SHA-256 {wanted.sha256[part]}, "
            f"got {found}; delete it and run `edge-adder data --download`"
        )
    return content


def digest(content: Mapping[str, bytes]) -> str:
    """Return a folder's SHA-256: that of the lines `sha256sum` prints for its sorted files."""
    lines = (f"{hashlib.sha256(content[path]).hexdigest()}  {path}\n" for path in sorted(content))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read(path: Path) -> bytes:
    return read_file(path, limit=_MAX_BYTES, what="handwriting")
