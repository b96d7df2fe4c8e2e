"""The errors that edge-adder raises on purpose, and the exit codes of its command line.

    EdgeAdderError                      1  internal fault
    ├── InputError (ValueError)         2  usage or bad input
    │   └── ImageError                  2  no digit can be read from this image
    ├── ModelError                      3  model refused
    │   ├── ContractError               3  the model's tensors or metadata differ from the contract
    │   ├── CheckpointError             3  checkpoint refused
    │   └── ParityError                 3  the exported file does not compute what PyTorch computes
    ├── ProviderError                   4  execution provider unavailable
    └── FileAccessError                 5  cannot read or write a file

A message is one line: what arrived, what was expected, what to do. Standard library only.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of the command line."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    MODEL = 3
    PROVIDER = 4
    FILE = 5
    ATTENTION = 6
    """Finished, with something to look at: some inputs failed, or a comparison regressed."""


class EdgeAdderError(Exception):
    """Any error that edge-adder raises on purpose."""

    exit_code = ExitCode.INTERNAL


class InputError(EdgeAdderError, ValueError):
    """An argument, an option or an input that cannot be used."""

    exit_code = ExitCode.USAGE


class ImageError(InputError):
    """No digit can be read from this image: not an image, damaged, too large or blank."""


class ModelError(EdgeAdderError):
    """A model that cannot be loaded."""

    exit_code = ExitCode.MODEL


class ContractError(ModelError):
    """A model whose tensors or metadata differ from the contract."""


class CheckpointError(ModelError):
    """A checkpoint that is missing, damaged or made for another network."""


class ParityError(ModelError):
    """An exported file that does not compute what PyTorch computes."""


class ProviderError(EdgeAdderError):
    """A requested execution provider that cannot run."""

    exit_code = ExitCode.PROVIDER


class FileAccessError(EdgeAdderError):
    """A file or folder that cannot be read or written."""

    exit_code = ExitCode.FILE


def one_line(error: BaseException, limit: int = 200) -> str:
    """Return an exception's text as one line, or its type's name if it has no text.

    Args:
        error: The exception.
        limit: Maximum length, in characters.
    """
    return (" ".join(str(error).split()) or type(error).__name__)[:limit]
