"""A model file on its way to onnxruntime: read, compared with its hash, and looked into.

onnxruntime opens more than this project makes: files beside a model, also in the working folder for
a model given as bytes, operators of other makers, and a format of its own. None of it is let in.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge_adder.errors import FileAccessError, InputError, ModelError

MAX_MODEL_BYTES = 64_000_000
"""The largest model file: more than twice the largest network of this project, `wide`."""

ONNX_DOMAINS = frozenset({"", "ai.onnx"})
"""Both names of ONNX's own operators; exported files have no others."""

_AGAIN = "export it again with `edge-adder export`"


def read_model(
    model: str | os.PathLike[str] | bytes, *, name: str | None = None, sha256: str | None = None
) -> tuple[str, bytes]:
    """The name that stands for a model in messages and results, and its content.

    Args:
        model: Path or content.
        name: Another name than the path.
        sha256: What the content must hash to, in hexadecimal; None for anything.

    Raises:
        ModelError: There is no such file, or it is empty, too large or another one.
        FileAccessError: It cannot be read.
        InputError: `sha256` is no hash.
    """
    if sha256 is not None and not (
        isinstance(sha256, str) and re.fullmatch(r"[0-9a-fA-F]{64}", sha256)
    ):
        raise InputError(f"sha256 must be 64 hexadecimal digits, got {sha256!r}")
    if isinstance(model, bytes):
        name, data = "bytes", model
    else:
        name = name or os.fspath(model)
        data = _read(model, name)
    if not data:
        raise ModelError(f"{name} is empty, expected an ONNX file: {_AGAIN}")
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"{name} has more than {MAX_MODEL_BYTES:,} bytes, the most for a model")
    if sha256 is not None:
        import hashlib  # noqa: PLC0415  5 ms that a prediction does not need

        found = hashlib.sha256(data).hexdigest()
        if found != sha256.lower():
            raise ModelError(f"{name} has SHA-256 {found}, expected {sha256.lower()}")
    return name, data


def check_self_contained(name: str, data: bytes) -> None:
    """Refuse what is no ONNX file, or needs more than itself and ONNX's own operators.

    Args:
        name: Stands in messages.
        data: The whole file.

    Raises:
        ModelError: It is refused.
    """
    from edge_adder.onnx_scan import scan  # noqa: PLC0415  not for the bundled model

    try:
        needs = scan(data)
    except ValueError as error:
        if not any(byte < 9 or 13 < byte < 32 for byte in data[:100]):
            raise ModelError(f"{name} is text, expected an ONNX file: {_AGAIN}") from error
        raise ModelError(f"{name} is no ONNX file, or a damaged one: {error}: {_AGAIN}") from error
    if needs.external_data:
        raise ModelError(
            f"{name} has weights in another file, expected all in one (external data is not "
            f"read): {_AGAIN}"
        )
    others = sorted(needs.domains - ONNX_DOMAINS)
    if others:
        raise ModelError(
            f"{name} needs operators of {', '.join(map(repr, others[:3]))}, expected none but "
            f"ONNX's own: {_AGAIN}"
        )


def describe_load_error(error: Exception) -> str:
    """What onnxruntime says of a model that it does not load, in one line that a person can read.

    Its own messages name lines of its source; where a version is too new they lack what to do.
    """
    reason = " ".join(str(error).split())
    for what, pattern in _TOO_NEW.items():
        found = re.search(pattern, reason)
        if found:
            return (
                f"it has {what} {found[1]}, and this onnxruntime loads up to {found[2]}: upgrade "
                f"onnxruntime, or {_AGAIN}"
            )
    return re.sub(_NOISE, "", reason)[:300]


_TOO_NEW = {
    "IR version": r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
    "opset": r"Opset (\d+) is under development .* is till opset (\d+)",
}
"""How onnxruntime 1.20 to 1.31 say that a model is too new: what the model has, what they load."""

_NOISE = r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |/onnxruntime_src/[^)]*\) "
"""The code of an error, and the place in onnxruntime's source."""


def _read(path: str | os.PathLike[str], name: str) -> bytes:
    """The content of a file, or one byte more than `MAX_MODEL_BYTES` of it."""
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_MODEL_BYTES + 1)
    except FileNotFoundError as error:
        raise ModelError(f"no model {name}: make one with `edge-adder export`") from error
    except IsADirectoryError as error:
        raise ModelError(f"{name} is a folder, expected an ONNX file") from error
    except OSError as error:
        raise FileAccessError(f"cannot read {name}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise ModelError(f"no model {name!r}: {error}") from error
