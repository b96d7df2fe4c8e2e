"""Sets of handwriting from their original sources: downloaded, checked, then put into place."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import zipfile
from pathlib import Path

from torchvision.datasets.utils import download_url

from edge_adder.errors import EdgeAdderError, FileAccessError, InputError, one_line
from edge_adder.files import make_folder

from .sets import HandwritingSet, read_checked

_ARCHIVE = "archive.zip"


def missing_parts(wanted: HandwritingSet, folder: Path) -> list[str]:
    """Return the files or folders of a set that are not there, or are not what was published."""
    missing = []
    for part in wanted.sha256:
        try:
            read_checked(wanted, part, folder)
        except EdgeAdderError:
            missing.append(part)
    return missing


def download(wanted: HandwritingSet, folder: Path) -> None:
    """Download a set, and put the parts that are missing into its folder once they are checked.

    Args:
        wanted: The set.
        folder: The folder of all sets.

    Raises:
        FileAccessError: The download failed, or the folder cannot be written.
        InputError: What arrived is not what was published, or a damaged part is in the way.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as staging:
            staged = Path(staging)
            with contextlib.redirect_stdout(sys.stderr):  # torchvision prints its progress
                download_url(wanted.url, staging, _ARCHIVE)
            _unpack(wanted, staged)
            for part in missing_parts(wanted, folder):
                read_checked(wanted, part, staged)
                _put(staged / wanted.name / part, folder / wanted.name / part)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise FileAccessError(f"cannot download {wanted.url}: {one_line(error)}") from error


def _unpack(wanted: HandwritingSet, staged: Path) -> None:
    """Unpack the parts of a set from its archive, as the set's folder."""
    prefix = f"{wanted.members}/" if wanted.members else ""
    with zipfile.ZipFile(staged / _ARCHIVE) as archive:
        for name in archive.namelist():
            inner = name.removeprefix(prefix)
            if not name.startswith(prefix) or name.endswith("/"):
                continue
            if inner.split("/")[0] in wanted.sha256:
                member = archive.getinfo(name)
                member.filename = f"{wanted.name}/{inner}"
                archive.extract(member, staged)


def _put(source: Path, place: Path) -> None:
    if place.exists():
        raise InputError(f"{place} is not what was published: delete it and download again")
    make_folder(place.parent)
    os.rename(source, place)  # noqa: PTH104  the same file system: whole or not at all
