"""A model repository for Triton and KServe: a model's folder with its versions and its settings.

`edge-adder serve` answers under the same names, so that clients need not change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edge_adder.contract import CONTRACT, NUMBER, TensorSpec
from edge_adder.files import make_folder, write_atomically
from edge_adder.serve.settings import MAX_BATCH, MODEL_NAME, MODEL_VERSION

QUEUE_DELAY_US = 100
"""How long Triton may hold a request to fill a batch: about four times what the network takes."""

_TYPES = {"uint8": "TYPE_UINT8", "int64": "TYPE_INT64", "float32": "TYPE_FP32"}


@contextlib.contextmanager
def version_folder(repository: Path) -> Iterator[Path]:
    """Make the folder of the model's version; if what is to fill it fails, remove it if empty.

    Args:
        repository: The model repository; it may exist, and hold other models.

    Yields:
        The folder ``MODEL/VERSION``.

    Raises:
        FileAccessError: The folder cannot be created.
    """
    model = repository / MODEL_NAME
    folder = model / MODEL_VERSION
    missing = [each for each in (folder, model, repository) if not each.exists()]
    make_folder(folder)
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # something is in it
            for each in missing:
                each.rmdir()
        raise


def write_config(repository: Path) -> Path:
    """Write the model's ``config.pbtxt``, and return its path.

    Raises:
        FileAccessError: It cannot be written.
    """
    path = repository / MODEL_NAME / "config.pbtxt"
    write_atomically(path, config().encode())
    return path


def config() -> str:
    """Return the settings: Triton's `ModelConfig`, as text of a protobuf message.

    Triton batches along a first axis that its shapes leave out. Of `number` nothing would be left:
    clients send (batch, 1), and Triton hands (batch,) on.
    """
    return "\n".join(
        [
            f'name: "{MODEL_NAME}"',
            'backend: "onnxruntime"',
            'default_model_filename: "model.onnx"',
            f"max_batch_size: {MAX_BATCH}",
            *(_tensor("input", spec) for spec in CONTRACT.inputs),
            *(_tensor("output", spec) for spec in CONTRACT.outputs),
            f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY_US} }}",
            "",
        ]
    )


def _tensor(side: str, spec: TensorSpec) -> str:
    shape = ", ".join(map(str, spec.shape[1:])) or "1"
    reshape = " reshape { shape: [ ] }" if spec is NUMBER else ""
    return (
        f'{side} {{ name: "{spec.name}" data_type: {_TYPES[spec.dtype]} '
        f"dims: [ {shape} ]{reshape} }}"
    )
