"""The Open Inference Protocol, version 2, with JSON and binary tensors: bytes ↔ arrays.

Specification: kserve/open-inference-protocol, and `protocol/extension_binary_data.md` of
triton-inference-server/server.
"""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder import __version__
from edge_adder.contract import CONTRACT, IMAGE, NUMBER, TensorSpec
from edge_adder.prediction import Outputs
from edge_adder.serve.problems import Problem
from edge_adder.serve.settings import MAX_BATCH, MODEL_NAME, MODEL_VERSION

MAX_JSON_BYTES = 4 * 2**20
"""Largest JSON of a request: a batch of `MAX_BATCH` needs 1 MB. Python's objects of it take up to
thirty times as much memory."""

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Header with the length of the JSON, if binary tensors follow it."""

DATATYPES = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32"}
"""The protocol's names of numpy's types."""


class InferRequest(NamedTuple):
    """A request for inference.

    Attributes:
        id: What the client calls it; it is answered under the same name.
        images: uint8 (batch, 1, 28, 28).
        numbers: int64 (batch,).
        outputs: For each output that is wanted, in order, whether as binary.
    """

    id: str | None
    images: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    outputs: dict[str, bool]


def server_metadata() -> dict[str, Any]:
    """Return what the server is."""
    return {"name": "edge-adder", "version": __version__, "extensions": ["binary_tensor_data"]}


def model_metadata(batch: int | None) -> dict[str, Any]:
    """Return the model's tensors.

    Args:
        batch: The size that its batch is fixed at; None for any.
    """

    def tensors(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
        return [
            {
                "name": spec.name,
                "datatype": DATATYPES[spec.dtype],
                "shape": [batch or -1, *spec.shape[1:]],
            }
            for spec in specs
        ]

    return {
        "name": MODEL_NAME,
        "versions": [MODEL_VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": tensors(CONTRACT.inputs),
        "outputs": tensors(CONTRACT.outputs),
    }


def read_request(body: bytes, header_length: str | None) -> InferRequest:
    """Read a request for inference.

    Args:
        body: JSON, then the binary tensors in the order of the inputs.
        header_length: Value of the header `HEADER_LENGTH`; None if all is JSON.

    Raises:
        Problem: It does not keep the protocol, or a tensor not the contract.
    """
    length = _json_length(body, header_length)
    request = _parse(body[:length])
    given: dict[str, NDArray[Any]] = {}
    rest = memoryview(body)[length:]
    for tensor in _objects(request, "inputs"):
        spec = next((each for each in CONTRACT.inputs if each.name == tensor.get("name")), None)
        if spec is None or spec.name in given:
            got = tensor.get("name")
            raise _refused(f"expected the inputs image and number, once each, got {got!r}")
        name = spec.name
        shape = _read_shape(spec, tensor)
        size = _parameters(tensor).get("binary_data_size")
        if size is None:
            values = _from_json(spec, tensor.get("data"))
        elif not _is_size(size) or size > len(rest) or size % np.dtype(spec.dtype).itemsize:
            raise _refused(f"{name}: binary_data_size {size!r} does not fit the body")
        else:
            values = np.frombuffer(rest[:size], np.dtype(spec.dtype).newbyteorder("<"))
            rest = rest[size:]
        if values.size != math.prod(shape):
            raise _refused(f"{name} has {values.size} values, its shape {shape} others")
        given[name] = values.astype(spec.dtype, copy=False).reshape(shape)
    if rest:
        raise _refused(f"{len(rest)} bytes follow the last tensor")
    if len(given) != len(CONTRACT.inputs):
        raise _refused(f"expected the inputs image and number, got {', '.join(given) or 'none'}")
    request_id = request.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise _refused("id must be a string")
    images, numbers = given[IMAGE.name], given[NUMBER.name]
    return InferRequest(request_id, images, numbers.reshape(len(numbers)), _wanted(request))


def write_response(request: InferRequest, outputs: Outputs) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON if binary tensors follow."""
    described, binary = [], []
    for name, as_binary in request.outputs.items():
        array: NDArray[np.float32] = getattr(outputs, name)
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": DATATYPES[str(array.dtype)],
            "shape": list(array.shape),
        }
        if as_binary:
            content = array.astype("<f4", copy=False).tobytes()
            tensor["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            tensor["data"] = array.ravel().tolist()
        described.append(tensor)
    answer: dict[str, Any] = {"model_name": MODEL_NAME, "model_version": MODEL_VERSION}
    if request.id is not None:
        answer["id"] = request.id
    text = json.dumps(answer | {"outputs": described}, allow_nan=False).encode()
    return b"".join([text, *binary]), len(text) if binary else None


def _json_length(body: bytes, header_length: str | None) -> int:
    """Return how many of a body's bytes are JSON."""
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 12):
            raise _refused(f"{HEADER_LENGTH} must be a number, got {header_length!r}")
        if int(header_length) > len(body):
            raise _refused(f"{HEADER_LENGTH} is {header_length}, the body has {len(body)} bytes")
    length = len(body) if header_length is None else int(header_length)
    if length > MAX_JSON_BYTES:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"expected at most {MAX_JSON_BYTES} bytes of JSON, got {length}: send binary tensors",
        )
    return length


def _parse(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(f"the request is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _refused("the request must be a JSON object")
    return value


def _objects(parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return a list of objects in a JSON object; an empty one if it is missing."""
    value = parent.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _refused(f"{key} must be a list of objects")
    return value


def _parameters(parent: dict[str, Any]) -> dict[str, Any]:
    value = parent.get("parameters", {})
    if not isinstance(value, dict):
        raise _refused("parameters must be an object")
    return value


def _from_json(spec: TensorSpec, data: object) -> NDArray[Any]:
    """Return the numbers of a tensor that is flat or nested lists."""
    if not isinstance(data, list):
        raise _refused(f"{spec.name} has neither data nor binary_data_size")
    try:
        array = np.array(data)
    except (ValueError, RecursionError) as error:
        raise _refused(f"{spec.name}: its lists have different lengths") from error
    limits = np.iinfo(spec.dtype)
    if array.size and (
        array.dtype.kind not in "iu" or array.min() < limits.min or array.max() > limits.max
    ):
        raise _refused(f"{spec.name}: data must be integers of {DATATYPES[spec.dtype]}")
    return array.astype(spec.dtype)


def _read_shape(spec: TensorSpec, tensor: dict[str, Any]) -> list[int]:
    """Return a tensor's shape if the contract has it; for `number` also (batch, 1), as Triton."""
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    if datatype != DATATYPES[spec.dtype]:
        raise _refused(f"{spec.name} must be {DATATYPES[spec.dtype]}, got {datatype!r}")
    inner = [[1], []] if spec is NUMBER else [list(spec.shape[1:])]
    if not (isinstance(shape, list) and shape and all(map(_is_size, shape)) and shape[1:] in inner):
        wanted = " or ".join(f"[{', '.join(map(str, ['batch', *each]))}]" for each in inner)
        raise _refused(f"{spec.name} must have shape {wanted}, got {shape!r}")
    if not 1 <= shape[0] <= MAX_BATCH:
        raise _refused(f"a batch must have 1 to {MAX_BATCH} images, got {shape[0]}")
    return shape


def _wanted(request: dict[str, Any]) -> dict[str, bool]:
    """Return which outputs are wanted, and whether as binary."""
    as_binary = _parameters(request).get("binary_data_output", False) is True
    names = [spec.name for spec in CONTRACT.outputs]
    wanted = {}
    for output in _objects(request, "outputs"):
        name, parameters = output.get("name"), _parameters(output)
        if name not in names:
            raise _refused(f"expected outputs of {', '.join(names)}, got {name!r}")
        unknown = parameters.keys() - {"binary_data"}
        if unknown:
            raise _refused(f"{name}: {', '.join(sorted(unknown))} is not supported")
        wanted[name] = parameters.get("binary_data", as_binary) is True
    return wanted or dict.fromkeys(names, as_binary)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _refused(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail[:500])
