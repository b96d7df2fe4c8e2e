"""Ink checkpoint → ONNX, behind a gate: python -m edge_adder.export.ink.to_onnx runs/ink.

Replaces the bundled ink model, its parity vectors and its committed checkpoint.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import torch
import typer
from numpy.typing import NDArray
from onnxscript import ir

from edge_adder import __version__, ink_model
from edge_adder.contract import (
    BATCH,
    CONTRACT_KEY,
    INK,
    INK_CONTRACT,
    INK_STEP,
    PICTURE,
    PROVENANCE_KEY,
)
from edge_adder.errors import CheckpointError, EdgeAdderError, ParityError
from edge_adder.files import write_together

from .. import checkpoint as checkpoints
from ..checkpoint import WEIGHTS_DIR, Checkpoint
from ..to_onnx import OLDEST_ONNXRUNTIME, OPSET, fold_scale, strip
from ..train import CHECKPOINT_FILE
from .network import InkFinder
from .scenes import compose
from .train import NAME
from .writing import Sources

GATE_SCENES = 24
"""Scenes in the gate, of digits that the synthetic pen draws."""

_VECTOR_SIDE, _VECTORS = 64, 2
"""Size and number of the stored pictures."""

_GATE_SEED, _VECTORS_SEED = 1, 2


def build(checkpoint: Checkpoint) -> InkFinder:
    """Return the network with a checkpoint's weights.

    Raises:
        CheckpointError: They are another network's.
    """
    network = InkFinder()
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint is not of the ink network: {error}") from error
    return network.eval()


def to_onnx(network: InkFinder, checkpoint: Checkpoint) -> bytes:
    """Trace the network into ONNX with contract and provenance in its metadata."""
    model = _trace(network)
    fold_scale(model.graph)
    strip(model)
    model.ir_version = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid(domain, v) for domain, v in model.opset_imports.items()]
    )
    model.producer_name, model.producer_version = "edge-adder", __version__
    model.metadata_props.clear()
    model.metadata_props[CONTRACT_KEY] = json.dumps(INK_CONTRACT.to_dict())
    model.metadata_props[PROVENANCE_KEY] = json.dumps(_provenance(model, checkpoint))
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _trace(network: InkFinder) -> ir.Model:
    sample = torch.zeros(2, 3, 4 * INK_STEP, 6 * INK_STEP, dtype=torch.uint8)
    sides = [INK_STEP * torch.export.Dim(name) for name in ("rows", "columns")]
    shape = {0: torch.export.Dim(BATCH), 2: sides[0], 3: sides[1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, for its own developers
        program = torch.onnx.export(
            network,
            (sample,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[PICTURE.name],
            output_names=[INK.name],
            dynamic_shapes={PICTURE.name: shape},
            verbose=False,
        )
    if program is None:
        raise CheckpointError("PyTorch's exporter returned nothing")
    for value in (*program.model.graph.inputs, *program.model.graph.outputs):
        spec = PICTURE if value.name == PICTURE.name else INK
        value.shape = ir.Shape(list(spec.shape))
    return program.model


def _provenance(model: ir.Model, checkpoint: Checkpoint) -> dict[str, Any]:
    operators = Counter(node.op_type for node in model.graph)
    return {
        "network": NAME,
        "weights_sha256": checkpoint.sha256,
        "metrics": checkpoint.metrics,
        "parity": {
            "against": "PyTorch",
            "images": f"{GATE_SCENES} composed scenes",
            "bound": ink_model.PARITY_BOUND,
            "changed_answers": 0,
        },
        "operators": dict(sorted(operators.items())),
        "opset": OPSET,
        "ir_version": model.ir_version,
        "oldest_onnxruntime": OLDEST_ONNXRUNTIME,
        "versions": {
            name: version(name).partition("+")[0] for name in ("torch", "onnx", "onnxscript")
        },
    }


def pictures(count: int, seed: int) -> NDArray[np.uint8]:
    """Compose scenes of digits from the synthetic pen, uint8 (count, 3, 224, 224)."""
    generator = np.random.default_rng(seed)
    sources = Sources([], [], np.zeros((0, 28, 28), np.uint8))
    found = [compose(sources, generator).picture for _ in range(count)]
    return np.stack(found).transpose(0, 3, 1, 2).copy()


@torch.inference_mode()
def reference(network: InkFinder, found: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return PyTorch's log-odds, float32 (batch, 2, height, width)."""
    log_odds: NDArray[np.float32] = network(torch.from_numpy(found)).numpy()
    return log_odds


def gate(network: InkFinder, content: bytes) -> ink_model.InkParity:
    """Compare PyTorch with the very bytes that ship, in several sizes of picture and batch.

    Raises:
        ParityError: They differ.
    """
    session = ink_model.open_model(content)
    whole = pictures(GATE_SCENES, _GATE_SEED)
    results = [
        ink_model.compare(ink_model.run(session, part), reference(network, part))
        for part in (whole[:1], whole[1:], whole[:, :, :64, :96], np.tile(whole[:2], (1, 1, 2, 2)))
    ]
    worst = max(results, key=lambda each: (each.changed_pixels, each.largest_difference))
    if not worst.passed:
        raise ParityError(
            f"the ink model differs from PyTorch by {worst.largest_difference:g} "
            f"(bound {ink_model.PARITY_BOUND:g}), {worst.changed_pixels} pixels changed"
        )
    return worst


def parity_vectors(network: InkFinder, checkpoint: Checkpoint) -> bytes:
    """Make an ``.npz`` file of pictures with PyTorch's answers."""
    whole = pictures(8 * _VECTORS, _VECTORS_SEED)[::8]
    middle = (whole.shape[2] - _VECTOR_SIDE) // 2
    cut = whole[:, :, middle : middle + _VECTOR_SIDE, middle : middle + _VECTOR_SIDE].copy()
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        PICTURE.name: cut,
        INK.name: reference(network, cut),
        "weights_sha256": np.array(checkpoint.sha256),
    }
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def main(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Replace the bundled ink model by that of a run, if it computes the same."""
    try:
        checkpoint = checkpoints.load(run / CHECKPOINT_FILE)
        network = build(checkpoint)
        content = to_onnx(network, checkpoint)
        found = gate(network, content)
        model = ink_model.INK_MODEL
        line = f"{hashlib.sha256(content).hexdigest()}  {model.name}\n"
        write_together(
            {
                model: content,
                model.with_name(f"{model.name}.sha256"): line.encode(),
                model.with_suffix(".parity.npz"): parity_vectors(network, checkpoint),
            }
        )
        checkpoints.save(checkpoint, WEIGHTS_DIR / f"{NAME}.safetensors")
    except EdgeAdderError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{model}: {len(content):,} bytes, differs by {found.largest_difference:.1e}")


if __name__ == "__main__":
    typer.run(main)
