"""A model file that another program made: checked, and given the contract and a provenance.

Its tensors may have any names; they are known by dtype and shape. Weights in a file beside it are
taken into it. Nothing that it computes is changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnxscript import ir

from edge_adder import EdgeAdder
from edge_adder.contract import BATCH, CONTRACT, CONTRACT_KEY, PROVENANCE_KEY, TensorSpec
from edge_adder.errors import CheckpointError, ContractError, ModelError, one_line
from edge_adder.files import check_writable, read_file, write_together
from edge_adder.model_file import MAX_MODEL_BYTES, check_self_contained
from edge_adder.parity import PARITY_BOUND

from . import networks, to_onnx, verify
from .checkpoint import Checkpoint
from .verify import ParityRow


@dataclass(frozen=True, slots=True)
class AdoptResult:
    """A model file that was taken over.

    Attributes:
        path: The model.
        vectors: The parity vectors; None where no reference was named.
        size_bytes: Size of the model.
        provenance: Provenance in its metadata.
        parity: Differences from the reference, as the gate measured them.
        renamed: Names of tensors before, by their names in the contract, where they differ.
    """

    path: Path
    vectors: Path | None
    size_bytes: int
    provenance: dict[str, Any]
    parity: list[ParityRow]
    renamed: dict[str, str]


def adopt(
    source: Path, out: Path, *, reference: Checkpoint | None = None, data_dir: Path | None = None
) -> AdoptResult:
    """Write a copy of a model that another program made, with the contract and a provenance.

    Args:
        source: The ONNX file.
        out: The file to make or to replace; its folder must exist.
        reference: The PyTorch network that the file should compute the same as.
        data_dir: As in `export.to_onnx.export`.

    Raises:
        ModelError: The file cannot be read or run, or does not answer with log-probabilities.
        ContractError: Its tensors are not those of the contract.
        ParityError: It does not compute what the reference computes, or its answers depend on the
            size of the batch.
        FileAccessError: A file cannot be read or written.
    """
    check_writable(out)
    data = read_file(source, limit=MAX_MODEL_BYTES, what="an ONNX file", error=ModelError)
    model = _load(source)
    renamed = _rename(model.graph, str(source))
    batch = _set_batch(model.graph, str(source))
    images = to_onnx.gate_images(data_dir)
    provenance = _provenance(model, source, data, reference)
    content = _finish(model, str(source), batch, provenance)
    adder = EdgeAdder(content)
    for description, part in images.items():
        verify.check_batches(adder, part, description)
    rows: list[ParityRow] = []
    files = {out: content}
    vectors = None
    if reference is not None:
        network = reference.build()
        networks.probe.check(network, reference.network)
        rows = to_onnx.gate(network, adder, images)
        vectors = out.with_name(f"{out.name.removesuffix('.onnx')}.parity.npz")
        files = {vectors: to_onnx.parity_vectors(network, reference), out: content}
    write_together(files)
    return AdoptResult(out, vectors, len(content), adder.provenance, rows, renamed)


def _load(source: Path) -> ir.Model:
    """Read a model with the weights that lie beside it."""
    try:
        proto = onnx.load_model(source)
        onnx.checker.check_model(proto)
        return ir.from_proto(proto)
    except Exception as error:  # the parser's, the checker's, a missing file of weights
        raise ModelError(f"{source} is not a complete ONNX file: {one_line(error)}") from error


def _rename(graph: ir.Graph, name: str) -> dict[str, str]:
    """Give inputs and outputs the contract's names; return the old ones that differ."""
    inside = {value for node in graph for value in node.outputs}
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    renamed = {}
    for specs, values, side in (
        (CONTRACT.inputs, inputs, "inputs"),
        (CONTRACT.outputs, list(graph.outputs), "outputs"),
    ):
        found = {spec.name: [v for v in values if _fits(v, spec)] for spec in specs}
        if len(values) != 2 or any(len(fitting) != 1 for fitting in found.values()):
            raise ContractError(
                f"{name} has the {side} {', '.join(map(_shown, values)) or 'none'}, expected "
                f"{' and '.join(map(_wanted, specs))}{_advice(values, side)}"
            )
        for new, (value,) in found.items():
            for other in inside | set(values):
                if other is not value and other.name == new:
                    other.name = f"{new}_inside"
            if value.name != new:
                renamed[new] = str(value.name)
                value.name = new
        order = [found[spec.name][0] for spec in specs]
        target = graph.inputs if side == "inputs" else graph.outputs
        target[:] = order
    return renamed


def _fits(value: ir.Value, spec: TensorSpec) -> bool:
    if value.dtype is None or value.shape is None:
        return False
    dtype = value.dtype.name.lower().replace("float", "float32", 1)
    shape = list(value.shape)
    return dtype == spec.dtype and len(shape) == len(spec.shape) and shape[1:] == [*spec.shape[1:]]


def _shown(value: ir.Value) -> str:
    dtype = value.dtype.name.lower() if value.dtype else "unknown"
    dtype = "float32" if dtype == "float" else dtype
    shape = ", ".join(map(str, value.shape)) if value.shape is not None else "?"
    return f"{value.name}: {dtype} ({shape})"


def _wanted(spec: TensorSpec) -> str:
    return f"{spec.dtype} ({', '.join(map(str, spec.shape))})"


def _advice(values: list[ir.Value], side: str) -> str:
    """Return what to change in the network, where that is clear."""
    is_float = any(v.dtype == ir.DataType.FLOAT and len(v.shape or ()) == 4 for v in values)
    if side == "inputs" and is_float:
        return ": begin forward with image = scale_image(image), and export it with a uint8 image"
    return ""


def _set_batch(graph: ir.Graph, name: str) -> int | None:
    """Name the first axis of all four tensors; return its size if it is fixed."""
    tensors = [*graph.inputs, *graph.outputs]
    shapes = [value.shape for value in tensors if value.shape is not None]
    sizes = {shape[0] if isinstance(shape[0], int) else None for shape in shapes}
    if len(sizes) != 1:
        raise ContractError(f"{name} fixes the batch of some tensors only: export it again")
    (batch,) = sizes
    for node in graph:
        for value in node.outputs:
            if value not in graph.outputs:
                value.shape = None  # with another name of the axis
    for value, shape in zip(tensors, shapes, strict=True):
        value.shape = ir.Shape([batch or BATCH, *shape[1:]])
    return batch


def _finish(model: ir.Model, name: str, batch: int | None, provenance: dict[str, Any]) -> bytes:
    """Return the file with contract and provenance as its metadata."""
    to_onnx.strip(model)
    model.metadata_props.clear()
    model.metadata_props[CONTRACT_KEY] = json.dumps(CONTRACT.to_dict(batch or BATCH))
    model.metadata_props[PROVENANCE_KEY] = json.dumps(provenance)
    content = bytes(ir.to_proto(model).SerializeToString(deterministic=True))
    if len(content) > MAX_MODEL_BYTES:
        raise CheckpointError(
            f"{name} has {len(content):,} bytes with its weights, expected at most "
            f"{MAX_MODEL_BYTES:,}"
        )
    check_self_contained(name, content)
    return content


def _provenance(
    model: ir.Model, source: Path, data: bytes, reference: Checkpoint | None
) -> dict[str, Any]:
    """Return where the file comes from: what is known of it, and nothing else."""
    sha256 = hashlib.sha256(data).hexdigest()
    producer = f"{model.producer_name or 'unknown'} {model.producer_version or ''}".strip()
    origin: dict[str, Any] = {"network": source.name, "weights_sha256": sha256}
    parity: dict[str, Any] = {"against": None}
    if reference is not None:
        origin = {**to_onnx.origin(reference), "weights_sha256": reference.sha256}
        parity = {
            "against": "PyTorch",
            "images": f"{to_onnx.GATE_IMAGES:,} drawn digits x 10 numbers",
            "bound": PARITY_BOUND,
            "changed_answers": 0,
        }
    return {
        **origin,
        "adopted": {"file": source.name, "sha256": sha256, "producer": producer},
        "metrics": reference.metrics if reference else {},
        "parity": parity,
        "operators": dict(sorted(Counter(node.op_type for node in model.graph).items())),
    }
