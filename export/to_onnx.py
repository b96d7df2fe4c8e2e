"""Checkpoint → ONNX: trace, tidy, embed the contract, verify, move into place."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxscript import ir
from torch import nn

from edge_adder import EdgeAdder, __version__
from edge_adder.contract import (
    BATCH,
    CONTRACT,
    CONTRACT_KEY,
    DIGIT,
    IMAGE,
    IMAGE_SIDE,
    NUMBER,
    PROVENANCE_KEY,
    SUM,
)
from edge_adder.errors import CheckpointError, FileAccessError, InputError, ParityError
from edge_adder.evaluation.datasets import cached_mnist, find_data_dir
from edge_adder.evaluation.report import percent
from edge_adder.files import check_writable, is_same_file, write_together
from edge_adder.model_file import MAX_MODEL_BYTES
from edge_adder.parity import PARITY_BOUND, vectors_as_json

from . import networks, verify
from .checkpoint import Checkpoint
from .data import load_mnist, split_indices
from .precision import calibration_images, check_precision, convert, with_provenance
from .synthetic.digits import draw_digits
from .trace_errors import describe_trace_error
from .verify import ParityRow

OPSET = 18
"""Opset that PyTorch's exporter writes without conversion; IR version 8."""

OPSETS = range(18, 22)
"""Opsets on offer: 21 is the newest that the oldest onnxruntime loads."""

OLDEST_ONNXRUNTIME = "1.20.0"
"""Oldest onnxruntime that exported files are tested on (constraints-oldest.txt)."""

MAX_BATCH = 4096
"""Largest batch that can be fixed: beyond it a run only takes more memory, not less time."""

GATE_IMAGES = 1000
"""Images of each kind in the gate, each with all ten numbers."""

VECTORS = 300
"""Synthetic digits whose answers by PyTorch are stored beside the model."""

MAX_CHANGED = 0.002
"""Largest share of the gate's pairs whose answer may change in another precision than float32."""

MAX_ACCURACY_LOSS = 0.0005
"""Largest share of the validation digits that another precision than float32 may lose."""

_GATE_SEED, _VECTORS_SEED = 1, 2


@dataclass(frozen=True, slots=True)
class ExportResult:
    """A file that passed the gate.

    Attributes:
        path: The model.
        vectors: The stored parity vectors.
        size_bytes: Size of the model.
        provenance: Provenance in its metadata.
        parity: Differences from PyTorch, as the gate measured them.
        onnxruntime: Version that ran the file in the gate.
        parity_json: The same vectors as JSON, if they were asked for.
    """

    path: Path
    vectors: Path
    size_bytes: int
    provenance: dict[str, Any]
    parity: list[ParityRow]
    onnxruntime: str
    parity_json: Path | None = None


def export(
    checkpoint: Checkpoint,
    out: Path,
    *,
    opset: int = OPSET,
    batch: int | None = None,
    data_dir: Path | None = None,
    precision: str = "float32",
    max_changed: float = MAX_CHANGED,
    parity_json: Path | None = None,
) -> ExportResult:
    """Write a checkpoint as one ONNX file that describes itself, if it computes the same.

    ``NAME.parity.npz`` is written beside ``NAME.onnx``: synthetic digits with PyTorch's answers, so
    that a device can check itself without PyTorch. A failure leaves the old files as they were.

    Args:
        checkpoint: What to export.
        out: The file to make or to replace; its folder must exist.
        opset: One of `OPSETS`.
        batch: A size to fix the first axis of all tensors at; None leaves it symbolic.
        data_dir: Folder with ``MNIST/raw``, for a thousand test images in the gate; where neither
            it nor `EDGE_ADDER_DATA` nor the cache has them, it runs on synthetic digits alone.
        precision: One of `export.precision.Precision`. Other files than float32 pass the gate by
            their answers: `max_changed`, and `MAX_ACCURACY_LOSS` on validation images where
            MNIST is at hand.
        max_changed: Largest share of the gate's pairs whose answer may change in another precision.
        parity_json: A further file, for the vectors as JSON.

    Raises:
        InputError: `opset`, `batch`, `precision`, `max_changed` or `parity_json` cannot be used.
        CheckpointError: The weights do not fit the network.
        ParityError: The file would not compute what PyTorch computes.
        FileAccessError: A file cannot be written.
    """
    _check_request(out, opset, batch)
    vectors = out.with_name(f"{out.name.removesuffix('.onnx')}.parity.npz")
    if parity_json is not None:
        _check_parity_json(parity_json, (out, vectors))
    check_precision(precision)
    if not 0 <= max_changed < 1:
        raise InputError(f"max_changed must be 0 or more and below 1, got {max_changed}")
    images = gate_images(data_dir)
    network = checkpoint.build()
    networks.probe.check(network, checkpoint.network)
    content = to_onnx(network, checkpoint, opset=opset, batch=batch)
    if precision == "float32":
        adder = EdgeAdder(content)
        rows = gate(network, adder, images)
    else:
        content, rows = _reduce(
            content,
            network,
            images,
            precision=precision,
            max_changed=max_changed,
            batch=batch,
            data_dir=data_dir,
        )
        adder = EdgeAdder(content)
    stored = parity_vectors(network, checkpoint)
    as_json = {} if parity_json is None else {parity_json: vectors_as_json(stored)}
    write_together({vectors: stored, **as_json, out: content})
    facts = adder.describe()
    return ExportResult(
        path=out,
        vectors=vectors,
        size_bytes=facts["size_bytes"],
        provenance=facts["provenance"],
        parity=rows,
        onnxruntime=facts["onnxruntime"],
        parity_json=parity_json,
    )


def _reduce(
    content: bytes,
    network: nn.Module,
    images: dict[str, NDArray[np.uint8]],
    *,
    precision: str,
    max_changed: float,
    batch: int | None,
    data_dir: Path | None,
) -> tuple[bytes, list[ParityRow]]:
    """Convert a float32 model, pass it through the gate of answers, and note what was measured.

    Raises:
        ParityError: Too many answers changed, or too much accuracy was lost.
    """
    source, calibration = calibration_images(data_dir)
    with silence():
        content = convert(content, precision, batch=batch, images=calibration)
    adder = EdgeAdder(content)
    rows = [
        row
        for description, part in images.items()
        for row in verify.compare(network, adder, part, description)
    ]
    verify.check_answers(rows, network, max_changed)
    facts: dict[str, Any] = {
        "precision": precision,
        "parity": {
            "against": "PyTorch",
            "images": ", ".join(f"{description} x 10 numbers" for description in images),
            "batches": list(verify.BATCHES) if batch is None else [batch],
            "max_changed": max_changed,
            "changed_answers": max(row.changed_answers / row.pairs for row in rows),
            "largest_difference": max(row.largest_difference for row in rows),
        },
        "validation": _accuracy(network, adder, data_dir, precision),
    }
    if precision == "int8":
        facts["calibration"] = f"{len(calibration):,} {source}"
    return with_provenance(content, facts), rows


def _accuracy(
    network: nn.Module, adder: EdgeAdder, data_dir: Path | None, precision: str
) -> dict[str, Any] | None:
    """Return the digit accuracy of both on the validation images; None where MNIST is not at hand.

    Raises:
        ParityError: The file is worse by more than `MAX_ACCURACY_LOSS`.
    """
    folder = find_data_dir(data_dir) or cached_mnist()
    if folder is None:
        return None
    mnist = load_mnist(folder, train=True)
    _, held_out = split_indices(len(mnist), "fixed", 0)
    validation = mnist.at(held_out)
    before, after = verify.digit_accuracy(
        network, adder, validation.images.numpy(), validation.labels.numpy()
    )
    if before - after > MAX_ACCURACY_LOSS:
        raise ParityError(
            f"precision lost: {precision} reads {percent(after)} of {len(validation):,} validation "
            f"digits, float32 {percent(before)}; at most {100 * MAX_ACCURACY_LOSS:g} % may be lost"
        )
    return {"images": len(validation), "float32": before, precision: after}


def _check_request(out: Path, opset: int, batch: int | None) -> None:
    """Refuse what cannot be written, before anything is computed."""
    if opset not in OPSETS:
        raise InputError(f"opset must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    if batch is not None and not 1 <= batch <= MAX_BATCH:
        raise InputError(f"batch must be 'dynamic' or 1 to {MAX_BATCH}, got {batch}")
    if out.is_dir():
        raise FileAccessError(f"cannot write {out}: it is a folder, expected a file name")
    check_writable(out)


def _check_parity_json(path: Path, others: tuple[Path, ...]) -> None:
    """Refuse a file for the vectors as JSON that cannot be written, or is one of the others."""
    for other in others:
        if is_same_file(path, other):
            raise InputError(f"--parity-json must name a file of its own, got {other}")
    if path.is_dir():
        raise FileAccessError(f"cannot write {path}: it is a folder, expected a file name")
    check_writable(path)


def gate_images(data_dir: Path | None) -> dict[str, NDArray[np.uint8]]:
    """Return the gate's images: synthetic digits, and test images where they are available.

    Args:
        data_dir: As in `export`. A folder that is named must hold MNIST; the cache may.

    Returns:
        uint8 (count, 1, 28, 28) by description.

    Raises:
        InputError: A folder is named and MNIST is not in it.
    """
    images = [("synthetic digits", draw_digits(GATE_IMAGES, seed=_GATE_SEED)[0])]
    folder = find_data_dir(data_dir) or cached_mnist()
    if folder is not None:
        test = load_mnist(folder, train=False)
        step = max(1, len(test) // GATE_IMAGES)
        images.append(("test images", test.images[::step].numpy()))
    return {f"{len(part):,} {kind}": part for kind, part in images}


def gate(
    network: nn.Module, adder: EdgeAdder, images: dict[str, NDArray[np.uint8]]
) -> list[ParityRow]:
    """Compare PyTorch with the file on every set of images.

    Raises:
        ParityError: They differ.
    """
    rows = [
        row
        for description, part in images.items()
        for row in verify.compare(network, adder, part, description)
    ]
    verify.check(rows, network)
    return rows


def to_onnx(
    network: nn.Module, checkpoint: Checkpoint, *, opset: int = OPSET, batch: int | None = None
) -> bytes:
    """Trace a network into ONNX with the contract and the provenance in its metadata.

    The same checkpoint gives the same bytes, under the same versions of torch, onnx and onnxscript.

    Raises:
        CheckpointError: The traced graph is not valid ONNX.
    """
    model = _trace(network, checkpoint.network, opset, batch)
    _check_inputs(model.graph, checkpoint.network)
    fold_scale(model.graph)
    strip(model)
    model.ir_version = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid(domain, v) for domain, v in model.opset_imports.items()]
    )
    model.producer_name, model.producer_version = "edge-adder", __version__
    model.metadata_props.clear()
    model.metadata_props[CONTRACT_KEY] = json.dumps(CONTRACT.to_dict(batch or BATCH))
    provenance = _provenance(model, checkpoint, opset, batch)
    model.metadata_props[PROVENANCE_KEY] = json.dumps(provenance)
    proto = ir.to_proto(model)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError as error:
        raise CheckpointError(f"{checkpoint.network} does not give valid ONNX: {error}") from error
    content = bytes(proto.SerializeToString(deterministic=True))
    if len(content) > MAX_MODEL_BYTES:
        raise CheckpointError(
            f"{checkpoint.network} gives a file of {len(content):,} bytes, expected at most "
            f"{MAX_MODEL_BYTES:,}: make it smaller"
        )
    return content


def _provenance(
    model: ir.Model, checkpoint: Checkpoint, opset: int, batch: int | None
) -> dict[str, Any]:
    """Return where the file comes from, as it stands in its metadata."""
    operators = Counter(node.op_type for node in model.graph)
    return {
        **origin(checkpoint),
        "weights_sha256": checkpoint.sha256,
        "metrics": checkpoint.metrics,
        "parity": {
            "against": "PyTorch",
            "images": f"{GATE_IMAGES:,} drawn digits x 10 numbers",
            "batches": list(verify.BATCHES) if batch is None else [batch],
            "bound": PARITY_BOUND,
            "changed_answers": 0,
        },
        "operators": dict(sorted(operators.items())),
        "opset": opset,
        "ir_version": model.ir_version,
        "oldest_onnxruntime": OLDEST_ONNXRUNTIME,
        "versions": {
            name: version(name).partition("+")[0] for name in ("torch", "onnx", "onnxscript")
        },
    }


def origin(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the network's name; for one of the user's own, its class and file."""
    if not networks.own.is_own(checkpoint.network):
        return {"network": checkpoint.network}
    source = networks.own.describe(checkpoint.network)
    return {"network": f"{source['file']}:{source['class']}", "source": source}


def parity_vectors(network: nn.Module, checkpoint: Checkpoint) -> bytes:
    """Make an ``.npz`` file of synthetic digits with PyTorch's answers.

    Its arrays: ``image``, ``number``, ``digit`` and ``sum`` as in the contract, and
    ``weights_sha256``, which names the weights that answered.
    """
    images, digits = draw_digits(VECTORS, seed=_VECTORS_SEED)
    numbers = (digits + np.arange(VECTORS) // 10) % 10  # every pair of digit and number, thrice
    outputs = verify.reference(network, images, numbers)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        IMAGE.name: images,
        NUMBER.name: numbers,
        DIGIT.name: outputs.digit,
        SUM.name: outputs.sum,
        "weights_sha256": np.array(checkpoint.sha256),
    }
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _trace(network: nn.Module, name: str, opset: int, batch: int | None) -> ir.Model:
    network = copy.deepcopy(network).cpu().eval()
    count = batch or 2  # torch.export takes a 1 for a constant
    sample = (
        torch.zeros(count, 1, IMAGE_SIDE, IMAGE_SIDE, dtype=torch.uint8),
        torch.zeros(count, dtype=torch.int64),
    )
    axis = None if batch else {0: torch.export.Dim(BATCH)}
    with silence():
        try:
            # alone first: torch.onnx.export tries other ways where this fails, and freezes branches
            torch.export.export(network, sample, dynamic_shapes=(axis, axis))
            program = torch.onnx.export(
                network,
                sample,
                dynamic_shapes=(axis, axis) if axis else None,
                dynamo=True,
                opset_version=opset,
                input_names=[IMAGE.name, NUMBER.name],
                output_names=[DIGIT.name, SUM.name],
                verbose=False,
            )
        except Exception as error:
            raise CheckpointError(f"{name} {describe_trace_error(error, network)}") from error
    if program is None:
        raise CheckpointError("PyTorch's exporter returned nothing")
    return program.model


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what the exporter prints, logs and warns of, for its own developers, off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _check_inputs(graph: ir.Graph, name: str) -> None:
    """Refuse a network whose answers cannot depend on one of its inputs."""
    unused = [value.name for value in graph.inputs if not value.uses()]
    if unused:
        raise CheckpointError(
            f"{name}: forward does not use {unused[0]}, expected answers that depend on it"
        )


def fold_scale(graph: ir.Graph) -> None:
    """Fold Conv(x * scale, weight) to Conv(x, weight * scale): one operator less for each image.

    Exact but for rounding, also with zero padding, since 0 * scale is 0.
    """
    for mul in [node for node in graph if node.op_type == "Mul"]:
        x, factor = mul.inputs
        scale = ir.convenience.get_const_tensor(factor) if factor else None
        users = [use.node for use in mul.outputs[0].uses()]
        if scale is None or scale.size != 1 or [node.op_type for node in users] != ["Conv"]:
            continue
        weight = users[0].inputs[1]
        kernel = ir.convenience.get_const_tensor(weight) if weight else None
        if weight is None or kernel is None or len(weight.uses()) != 1:
            continue
        weight.const_value = ir.tensor(kernel.numpy() * scale.numpy().reshape(()))
        users[0].replace_input_with(0, x)
        graph.remove(mul, safe=True)


def strip(model: ir.Model) -> None:
    """Remove unused constants and the exporter's notes, which name source files."""
    ir.passes.common.RemoveUnusedNodesPass()(model)
    model.graph.metadata_props.clear()
    model.doc_string = None
    model.graph.doc_string = None
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
