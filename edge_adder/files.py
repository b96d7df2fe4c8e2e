"""Files that are complete or absent: write beside, fsync, rename. Standard library only.

A process that is killed leaves what it had begun, ``.NAME.XXXXXXXX.tmp``; the next one that writes
NAME removes it. It is told from the work of a live process by the lock that the live one holds, and
that the system takes from whoever dies. Where files cannot be locked, as on Windows, leavings stay.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_adder.errors import EdgeAdderError, FileAccessError, InputError

if sys.platform != "win32":
    import fcntl

_PIECE_BYTES = 2**16


def read_file(
    path: str | os.PathLike[str],
    *,
    limit: int,
    what: str = "a file",
    hint: str = "",
    error: type[EdgeAdderError] = InputError,
    name: str | None = None,
) -> bytes:
    """Read a file.

    Args:
        path: The file.
        limit: Largest size that is expected, in bytes; of a larger file one byte more is read, so
            that the caller sees it.
        what: Kind of file, for the message about a folder.
        hint: What to do where there is no such file; the end of that message.
        error: What to raise where there is no such file.
        name: Stands for the file in messages; its path if None.

    Raises:
        EdgeAdderError: `error`: there is no such file, it is a folder, or its name cannot be one.
        FileAccessError: It exists and cannot be read.
    """
    name = name or os.fspath(path)
    pieces: list[bytes] = []
    size = 0
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  a Path takes as long again
            # In pieces: asking for the limit at once would set that much memory aside.
            while size <= limit and (piece := file.read(min(_PIECE_BYTES, limit + 1 - size))):
                pieces.append(piece)
                size += len(piece)
    except FileNotFoundError as cause:
        raise error(f"{name}: no such file{hint}") from cause
    except IsADirectoryError as cause:
        raise error(f"{name}: is a folder, expected {what}") from cause
    except OSError as cause:
        raise FileAccessError(f"{name}: cannot be read: {cause.strerror or cause}") from cause
    except ValueError as cause:  # a NUL in the name
        raise error(f"{name!r}: not a file name: {cause}") from cause
    return b"".join(pieces)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that its name never stands for half of it, also after a crash.

    A link is followed. A new file gets the permissions that the umask leaves. Of several processes
    that write the same file, the last one to finish wins.

    Args:
        path: The file to make or to replace; its folder must exist.
        data: All of its content.

    Raises:
        FileAccessError: The file cannot be written; the old one, if any, is untouched.
    """
    write_together({path: data})


def write_together(files: Mapping[str | Path, bytes] | Mapping[Path, bytes]) -> None:
    """As `write_atomically`, for files that belong together.

    All are on disk before the first takes its name, so that a full disk leaves all old ones. A kill
    between two names, which follow each other at once, leaves the first new and the second old.

    Args:
        files: What to write where, in the order in which the names are taken.

    Raises:
        FileAccessError: One of them cannot be written.
    """
    path: str | Path = ""
    try:
        with contextlib.ExitStack() as stack:
            begun: list[tuple[str | Path, Path, Path]] = []
            for path, data in files.items():
                target = _target(path)
                _remove_leavings(target)
                temporary = stack.enter_context(_temporary_beside(target))
                with temporary.open("r+b") as file:  # it is there, and locked
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                begun.append((path, temporary, target))
            for folder in sorted({target.parent for _, _, target in begun}):
                stack.enter_context(_renaming_in(folder))
            for path, temporary, target in begun:  # noqa: B007  the error names it
                temporary.replace(target)
    except OSError as error:
        raise FileAccessError(f"cannot write {path}: {error.strerror or error}") from error


def _target(path: str | Path) -> Path:
    """The file behind a path, which may not exist yet."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise FileAccessError(f"cannot write {path}: it is not a regular file")
    return target


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """An empty file that no other process takes for a leaving; what is left of it is removed."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if sys.platform == "win32":  # which renames no open file
            os.close(descriptor)
            break
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # another process was quicker to lock it, and removed it
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        if sys.platform != "win32":
            os.close(descriptor)


def _remove_leavings(target: Path) -> None:
    """Remove what killed processes left of `target`."""
    if sys.platform == "win32":
        return
    leaving = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.tmp")
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            if leaving.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    _remove_unless_locked(path)


def _remove_unless_locked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def check_writable(path: str | Path) -> None:
    """Find out before long work whether `write_atomically` can write its result.

    Raises:
        FileAccessError: It cannot, as far as can be seen now.
    """
    target = _target(path)
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


@contextlib.contextmanager
def _renaming_in(folder: Path) -> Iterator[None]:
    """One process at a time gives names; at the end they are on disk, where a folder can be opened.

    So files that belong together are of one process, of however many that write them.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
