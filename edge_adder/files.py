"""Read files with errors that say what to do; write files that are complete or absent.

A file is written to a temporary beside it, ``.NAME.XXXXXXXX.tmp``, synced and renamed. A process
that is killed leaves a stale temporary, which the next one that writes NAME removes. A live process
holds a lock on its own, which the system releases when the process dies. Where files cannot be
locked, as on Windows, stale temporaries stay. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import stat
import sys
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path

from edge_adder.errors import EdgeAdderError, FileAccessError, InputError

if sys.platform != "win32":
    import fcntl

PIPE_SECONDS = 5.0
"""How long a named pipe may take until a process opens it to write."""

_PIECE_BYTES = 2**16
"""Size of one read: reading up to the limit at once would allocate that much memory."""


def read_file(
    path: str | os.PathLike[str],
    *,
    limit: int,
    what: str = "a file",
    hint: str = "",
    error: type[EdgeAdderError] = InputError,
    name: str | None = None,
) -> bytes:
    """Read a file, or a pipe to its end.

    A pipe that no process opens to write is refused after `PIPE_SECONDS`; devices and sockets are
    refused at once.

    Args:
        path: The file.
        limit: Maximum size, in bytes. Of a larger file one byte more is read, so that the caller
            can refuse it.
        what: Kind of the file, for the message about a folder or a device.
        hint: What to do if there is no such file: the end of that message.
        error: Class to raise if there is no such file.
        name: Name of the file in messages; its path if None.

    Raises:
        EdgeAdderError: `error`: there is no such file, it is a folder, a device or a socket, or no
            file can have its name.
        FileAccessError: The file exists and cannot be read.
    """
    name = name or os.fspath(path)
    pieces: list[bytes] = []
    size = 0
    try:
        # Path.open takes twice as long.
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            kind = _kind(mode)
            if stat.S_ISFIFO(mode):
                pieces.append(_begin_pipe(file, name))
                size = len(pieces[0])
            while (
                not kind
                and size <= limit
                and (piece := file.read(min(_PIECE_BYTES, limit + 1 - size)))
            ):
                pieces.append(piece)
                size += len(piece)
    except FileNotFoundError as cause:
        raise error(f"{name}: no such file{hint}") from cause
    except OSError as cause:
        kind = _kind_at(path)
        if not kind:
            raise FileAccessError(f"{name}: cannot be read: {cause.strerror or cause}") from cause
    except ValueError as cause:  # a NUL in the name
        raise error(f"{name!r}: not a file name: {cause}") from cause
    if kind:
        raise error(f"{name}: is {kind}, expected {what}")
    return b"".join(pieces)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for whoever is at the other end of a pipe or a device."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _begin_pipe(file: FileIO, name: str) -> bytes:
    """Wait for a pipe's writer, and let later reads wait for it; return what was read meanwhile."""
    if sys.platform == "win32":  # where a pipe exists only while a process serves it
        return b""
    waiting = select.poll()
    waiting.register(file, select.POLLIN)
    is_ready = waiting.poll(1000 * PIPE_SECONDS)
    first = file.read(1)  # None: a writer has it open, and has not written yet
    if first == b"" and not is_ready:
        raise FileAccessError(f"{name}: is a pipe that no process has open to write")
    os.set_blocking(file.fileno(), True)
    return first or b""


def _kind(mode: int) -> str:
    """Say what is neither a file nor a pipe, by its mode; nothing for those."""
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device"
    return "a socket" if stat.S_ISSOCK(mode) else ""


def _kind_at(path: str | os.PathLike[str]) -> str:
    """Say what is neither a file nor a pipe at a path; nothing if that cannot be known."""
    try:
        return _kind(os.stat(path).st_mode)  # noqa: PTH116  not slower for a str
    except OSError:
        return ""


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Check whether two names stand for one file, of which neither need exist yet."""
    try:
        return Path(one).samefile(other)  # where the case of letters does not count, too
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that it is never seen incomplete, even after a crash.

    Symbolic links are followed. A new file has the permissions that the umask leaves. If several
    processes write the same file, the last one to finish wins.

    Args:
        path: The file to create or replace; its folder must exist.
        data: The whole content.

    Raises:
        FileAccessError: The file cannot be written; the old one, if any, is untouched.
    """
    write_together({path: data})


def write_together(files: Mapping[str | Path, bytes] | Mapping[Path, bytes]) -> None:
    """Write files that belong together, each as `write_atomically` does.

    All are on disk before the first is renamed, so that a full disk leaves all old ones. A kill
    between two renames, which follow each other at once, leaves the first file new and the second
    old.

    Args:
        files: Content by path, in the order of the renames.

    Raises:
        FileAccessError: One of them cannot be written.
    """
    path: str | Path = ""
    try:
        with contextlib.ExitStack() as stack:
            written: list[tuple[str | Path, Path, Path]] = []
            for path, data in files.items():
                target = _target(path)
                _remove_stale_temporaries(target)
                temporary = stack.enter_context(_temporary_beside(target))
                with temporary.open("r+b") as file:  # it exists, and is locked
                    file.write(data)
                    file.flush()
                    _sync(file.fileno())
                written.append((path, temporary, target))
            for folder in sorted({target.parent for _, _, target in written}):
                stack.enter_context(_renaming_in(folder))
            for path, temporary, target in written:  # noqa: B007  the error names `path`
                temporary.replace(target)
    except OSError as error:
        raise FileAccessError(f"cannot write {path}: {error.strerror or error}") from error


def _sync(descriptor: int) -> None:
    """Wait until a file or folder is on disk."""
    if sys.platform == "darwin":  # where fsync stops at the disk's cache
        with contextlib.suppress(OSError):  # not every file system can
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _target(path: str | Path) -> Path:
    """Return the file that a path leads to, which may not exist yet."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise FileAccessError(f"cannot write {path}: it is not a regular file")
    return target


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """Create an empty temporary that no other process takes for a stale one; remove it at last."""
    while True:
        path = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if sys.platform == "win32":  # which cannot rename an open file
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


def _remove_stale_temporaries(target: Path) -> None:
    """Remove the temporaries of `target` that killed processes left."""
    if sys.platform == "win32":
        return
    temporary = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.tmp")
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            if temporary.fullmatch(path.name):
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
    """Check before long work that `write_atomically` will be able to write its result.

    Raises:
        FileAccessError: It will not, as far as can be known now.
    """
    target = _target(path)
    if not target.parent.is_dir():
        raise FileAccessError(f"cannot write {path}: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise FileAccessError(f"cannot write {path}: its folder is read-only")


def make_folder(path: str | Path) -> None:
    """Create a folder and its parents, unless it exists.

    Raises:
        FileAccessError: The folder cannot be created.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise FileAccessError(f"cannot make folder {path}: a file of that name exists") from error
    except OSError as error:
        raise FileAccessError(f"cannot make folder {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def _renaming_in(folder: Path) -> Iterator[None]:
    """Let one process at a time rename files in a folder; sync the folder at the end.

    Files that belong together are therefore of the same process, of however many write them. Where
    a folder cannot be opened, as on Windows, this does nothing.
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
            _sync(descriptor)
    finally:
        os.close(descriptor)
