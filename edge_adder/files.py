"""Files that are complete or absent: write beside, fsync, rename. Standard library only."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from edge_adder.errors import FileAccessError


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that its name never stands for half of it, also after a crash.

    A link is followed. A new file gets the permissions that the umask leaves.

    Args:
        path: The file to make or to replace; its folder must exist.
        data: All of its content.

    Raises:
        FileAccessError: The file cannot be written; the old one, if any, is untouched.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise FileAccessError(f"cannot write {path}: it is not a regular file")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise FileAccessError(f"cannot write {path}: {error.strerror or error}") from error


def check_writable(path: str | Path) -> None:
    """Find out before long work whether `write_atomically` can write its result.

    Raises:
        FileAccessError: It cannot, as far as can be seen now.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise FileAccessError(f"cannot write {path}: it is not a regular file")
    if not target.parent.is_dir():
        raise FileAccessError(f"cannot write {path}: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise FileAccessError(f"cannot write {path}: its folder is read-only")


def make_folder(path: str | Path) -> None:
    """Make a folder and its parents, unless it exists.

    Raises:
        FileAccessError: The folder cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileAccessError(f"cannot make folder {path}: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
