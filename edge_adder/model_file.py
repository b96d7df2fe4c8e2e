"""A model file: read, compared with its hash, scanned before onnxruntime sees it, and checked.

onnxruntime accepts more than this project makes: weights in files beside a model (in the current
folder for a model given as bytes), custom operators, and a format of its own. None of it is
accepted here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edge_adder.contract import (
    BATCH,
    CONTRACT,
    CONTRACT_KEY,
    PROVENANCE_KEY,
    Contract,
    differences,
)
from edge_adder.errors import ContractError, InputError, ModelError
from edge_adder.files import read_file

MAX_MODEL_BYTES = 64_000_000
"""Largest model file: more than twice the size of this project's largest network, `wide`."""

MAX_BATCH = 65_536
"""Largest size that a model's batch may be fixed at: its images take 51 MB."""

ONNX_DOMAINS = frozenset({"", "ai.onnx"})
"""Both names of ONNX's standard operators; exported files use no others."""

_AGAIN = "export it again with `edge-adder export`"


_TOO_NEW = {
    "IR version": r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
    "opset": r"Opset (\d+) is under development .* is till opset (\d+)",
}
"""What onnxruntime 1.20 to 1.32 say about a model that is too new: its version, and the newest that
they load."""

_NOISE = r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |/onnxruntime_src/[^)]*\) "
"""Error code and source location in onnxruntime's messages."""


def read_model(
    model: str | os.PathLike[str] | bytes, *, name: str | None = None, sha256: str | None = None
) -> tuple[str, bytes]:
    """Read a model file.

    Args:
        model: Path or content.
        name: Another name than the path, or than ``bytes``.
        sha256: Expected SHA-256 of the content, in hexadecimal; None accepts any.

    Returns:
        The name that stands for the model in messages and results, and its content.

    Raises:
        ModelError: The file does not exist, is empty or too large, or has another SHA-256.
        FileAccessError: The file cannot be read.
        InputError: `sha256` is not a SHA-256.
    """
    if sha256 is not None and not (
        isinstance(sha256, str) and re.fullmatch(r"[0-9a-fA-F]{64}", sha256)
    ):
        raise InputError(f"sha256 must be 64 hexadecimal digits, got {sha256!r}")
    if isinstance(model, bytes):
        name, data = name or "bytes", model
    else:
        name = name or os.fspath(model)
        data = read_file(
            model,
            limit=MAX_MODEL_BYTES,
            what="an ONNX file",
            hint=": make a model with `edge-adder export`",
            error=ModelError,
            name=name,
        )
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


def read_bundled(path: Path) -> bytes:
    """Read a file of the package's folder ``models``, also where the package is in a zip archive.

    Raises:
        ModelError: The file does not exist.
        FileAccessError: The file cannot be read.
    """
    if path.parent.is_dir():
        hint = ": install edge-adder again"
        return read_file(path, limit=MAX_MODEL_BYTES, hint=hint, error=ModelError)
    from importlib import resources  # noqa: PLC0415  milliseconds that an installed package saves

    try:
        return resources.files("edge_adder").joinpath("models", path.name).read_bytes()
    except OSError as cause:
        raise ModelError(f"{path}: no such file: install edge-adder again") from cause


def check_self_contained(name: str, data: bytes) -> None:
    """Refuse a file that is not ONNX, or needs other files or custom operators.

    Args:
        name: Stands for the model in messages.
        data: Content of the file.

    Raises:
        ModelError: The file is refused.
    """
    from edge_adder.onnx_scan import scan  # noqa: PLC0415  not for the bundled model

    try:
        needs = scan(data)
    except ValueError as error:
        if not any(byte < 9 or 13 < byte < 32 for byte in data[:100]):
            raise ModelError(f"{name} is text, expected an ONNX file: {_AGAIN}") from error
        raise ModelError(
            f"{name} is not an ONNX file, or a damaged one: {error}: {_AGAIN}"
        ) from error
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
    """Return onnxruntime's reason for not loading a model, as one readable line.

    Its own messages name lines of its source, and do not say what to do about a version that is too
    new.
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


class Description(NamedTuple):
    """What a model says of itself.

    Attributes:
        batch: The size that its batch is fixed at; None for any.
        contract: The contract in its metadata.
        provenance: Network, weights, accuracies, parity and versions.
    """

    batch: int | None
    contract: dict[str, Any]
    provenance: dict[str, Any]


def check_contract(
    name: str,
    metadata: Mapping[str, str],
    tensors: Mapping[str, Mapping[str, list[Any]]],
    contract: Contract = CONTRACT,
) -> Description:
    """Compare a model's metadata and tensors with the contract.

    Args:
        name: Stands for the model in messages.
        metadata: The model's `metadata_props`.
        tensors: Dtype and shape by side (``inputs``, ``outputs``) and name.
        contract: What they must be.

    Raises:
        ContractError: They differ.
    """
    declared, provenance = (_parse(name, metadata, key) for key in (CONTRACT_KEY, PROVENANCE_KEY))
    if not isinstance(provenance, dict):
        raise ContractError(f"{name}: {PROVENANCE_KEY!r} is not a JSON object")
    try:
        fixed = declared["inputs"][0]["shape"][0]
    except (KeyError, IndexError, TypeError):
        fixed = BATCH
    batch = fixed if type(fixed) is int and fixed > 0 else None
    expected = contract.to_dict(batch or BATCH)
    different = list(differences(declared, expected))
    for side, found in tensors.items():
        wanted = {spec["name"]: [spec["dtype"], *spec["shape"]] for spec in expected[side]}
        different += differences(found, wanted, side)
    if different:
        more = f" (and {len(different) - 3} more)" if len(different) > 3 else ""
        raise ContractError(f"{name} differs from the contract: {'; '.join(different[:3])}{more}")
    if batch is not None and batch > MAX_BATCH:
        raise ContractError(
            f"{name} has a batch fixed at {batch:,}, expected at most {MAX_BATCH:,}"
        )
    return Description(batch, declared, provenance)


def _parse(name: str, metadata: Mapping[str, str], key: str) -> Any:
    """Return the JSON value of a metadata key."""
    if key not in metadata:
        raise ContractError(
            f"{name} has no {key!r} in its metadata: expected a model that `edge-adder export` made"
        )
    try:
        return json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{name}: its metadata is not JSON: {error}") from error
