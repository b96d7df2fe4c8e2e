"""The Open Inference Protocol, asked by Triton's own client and by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from edge_adder import CONTRACT, EdgeAdder, __version__

from .running import EXAMPLES, Server


@pytest.fixture(scope="session")
def triton():
    """Triton's client."""
    return pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")


@pytest.fixture
def client(server: Server, triton):
    with triton.InferenceServerClient(f"{server.host}:{server.port}") as connected:
        yield connected


def inputs(triton, images: np.ndarray, numbers: np.ndarray, *, binary: bool = True) -> list[Any]:
    names = {np.uint8: "UINT8", np.int64: "INT64", np.int32: "INT32", np.float32: "FP32"}
    made = []
    for name, array in (("image", images), ("number", numbers)):
        tensor = triton.InferInput(name, list(array.shape), names[array.dtype.type])
        made.append(tensor.set_data_from_numpy(array, binary_data=binary))
    return made


def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(count)
    images = generator.integers(0, 256, (count, 1, 28, 28), np.uint8)
    return images, generator.integers(0, 10, count, np.int64)


def test_health_and_metadata(client) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("edge")
    assert client.is_model_ready("edge", "1")
    assert client.get_server_metadata() == {
        "name": "edge-adder",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    }
    metadata = client.get_model_metadata("edge", "1")
    assert metadata["versions"] == ["1"]
    for side, specs in (("inputs", CONTRACT.inputs), ("outputs", CONTRACT.outputs)):
        assert [tensor["name"] for tensor in metadata[side]] == [spec.name for spec in specs]
        for tensor, spec in zip(metadata[side], specs, strict=True):
            assert tensor["shape"] == [-1, *spec.shape[1:]]
            assert tensor["datatype"].lower().replace("fp", "float") == spec.dtype


@pytest.mark.parametrize("count", [1, 64])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("column", [True, False])
def test_infer_gives_what_the_library_gives(
    client, triton, adder: EdgeAdder, count: int, *, binary: bool, column: bool
) -> None:
    images, numbers = digits(count)
    expected = adder.run(images, numbers)
    given = inputs(triton, images, numbers[:, None] if column else numbers, binary=binary)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("sum", "digit")]
    result = client.infer("edge", given, outputs=wanted, request_id="mine")
    assert result.get_response()["id"] == "mine"
    assert [each["name"] for each in result.get_response()["outputs"]] == ["sum", "digit"]
    for name in ("digit", "sum"):
        found = result.as_numpy(name)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, getattr(expected, name), rtol=0, atol=1e-4)


def test_without_named_outputs_both_come_in_binary(client, triton) -> None:
    result = client.infer("edge", inputs(triton, *digits(2)))
    assert result.as_numpy("digit").shape == (2, 10)
    assert result.as_numpy("sum").shape == (2, 19)
    assert all("data" not in each for each in result.get_response()["outputs"])


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda i, n: (i.astype(np.float32), n), "image must be UINT8, got 'FP32'"),
        (lambda i, n: (i, n.astype(np.int32)), "number must be INT64, got 'INT32'"),
        (lambda i, n: (i[:, 0], n), "image must have shape"),
        (lambda i, n: (i, n.reshape(1, -1)), "number must have shape"),
        (lambda i, n: (i, n[:1]), "as many numbers as images"),
        (lambda i, n: (i, n + 10), "number must be an integer from 0 to 9"),
        (lambda i, n: (np.repeat(i, 200, 0), np.repeat(n, 200)), "1 to 256 images, got 400"),
    ],
)
def test_what_breaks_the_contract_is_refused(client, triton, binary, change, word) -> None:
    exceptions = pytest.importorskip("tritonclient.utils")
    with pytest.raises(exceptions.InferenceServerException, match=r"(?s).+") as refused:
        client.infer("edge", inputs(triton, *change(*digits(2)), binary=binary))
    assert word in str(refused.value)
    assert refused.value.status() == "400"


@pytest.mark.parametrize(("model", "version"), [("other", ""), ("edge", "2")])
def test_an_unknown_model_is_refused(client, triton, model: str, version: str) -> None:
    exceptions = pytest.importorskip("tritonclient.utils")
    assert not client.is_model_ready(model, version)
    for ask in (
        lambda: client.get_model_metadata(model, version),
        lambda: client.infer(model, inputs(triton, *digits(64)), model_version=version),
    ):
        with pytest.raises(exceptions.InferenceServerException) as refused:
            ask()
        assert "expected model edge, version 1" in str(refused.value)
        assert refused.value.status() == "404"


IMAGE = {"name": "image", "shape": [1, 1, 28, 28], "datatype": "UINT8", "data": [0] * 784}
NUMBER = {"name": "number", "shape": [1], "datatype": "INT64", "data": [5]}


def infer(server: Server, request: object, **headers: str):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return server.ask("/v2/models/edge/infer", body, **headers)


def test_nested_and_flat_json_are_the_same(server: Server) -> None:
    nested = IMAGE | {"data": np.zeros((1, 1, 28, 28), int).tolist()}
    flat = infer(server, {"inputs": [IMAGE, NUMBER]})
    assert flat.status == 200
    assert infer(server, {"inputs": [NUMBER, nested]}).json == flat.json
    assert [len(each["data"]) for each in flat.json["outputs"]] == [10, 19]


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "JSON object"),
        ({}, "got none"),
        ({"inputs": 5}, "inputs must be a list"),
        ({"inputs": [IMAGE]}, "got image"),
        ({"inputs": [IMAGE, IMAGE, NUMBER]}, "once each, got 'image'"),
        ({"inputs": [IMAGE, NUMBER, NUMBER | {"name": "more"}]}, "'more'"),
        ({"inputs": [IMAGE, NUMBER | {"data": [5.5]}]}, "integers of INT64"),
        ({"inputs": [IMAGE, NUMBER | {"data": [True]}]}, "integers of INT64"),
        ({"inputs": [IMAGE, NUMBER | {"data": ["5"]}]}, "integers of INT64"),
        ({"inputs": [IMAGE, NUMBER | {"data": [10**30]}]}, "integers of INT64"),
        ({"inputs": [IMAGE | {"data": [256] * 784}, NUMBER]}, "integers of UINT8"),
        ({"inputs": [IMAGE | {"data": [-1] * 784}, NUMBER]}, "integers of UINT8"),
        ({"inputs": [IMAGE | {"data": [[0], [0, 0]]}, NUMBER]}, "different lengths"),
        ({"inputs": [IMAGE | {"data": [0] * 783}, NUMBER]}, "783 values"),
        ({"inputs": [IMAGE | {"shape": [-1, 1, 28, 28]}, NUMBER]}, "shape"),
        ({"inputs": [IMAGE | {"shape": [0, 1, 28, 28], "data": []}, NUMBER]}, "1 to 256"),
        ({"inputs": [IMAGE | {"shape": [10**40, 1, 28, 28]}, NUMBER]}, "1 to 256"),
        ({"inputs": [IMAGE | {"shape": None}, NUMBER]}, "shape"),
        ({"inputs": [IMAGE | {"parameters": {"binary_data_size": 784}}, NUMBER]}, "not fit"),
        ({"inputs": [IMAGE | {"parameters": {"binary_data_size": -1}}, NUMBER]}, "not fit"),
        ({"inputs": [IMAGE | {"parameters": 1}, NUMBER]}, "parameters"),
        ({"inputs": [IMAGE, NUMBER], "id": 5}, "id must be a string"),
        ({"inputs": [IMAGE, NUMBER], "outputs": [{"name": "total"}]}, "'total'"),
        (
            {
                "inputs": [IMAGE, NUMBER],
                "outputs": [{"name": "sum", "parameters": {"classification": 3}}],
            },
            "classification is not supported",
        ),
    ],
)
def test_a_broken_request_is_refused(server: Server, request_: object, word: str) -> None:
    answer = infer(server, request_)
    assert answer.status == 400, answer.body
    assert list(answer.json) == ["error"]
    assert word in answer.json["error"]


@pytest.mark.parametrize("length", ["5000", "-1", "one", "²", "9" * 30])
def test_a_wrong_length_of_the_json_is_refused(server: Server, length: str) -> None:
    header = {"Inference_Header_Content_Length": length.encode().decode("latin-1")}
    assert infer(server, {"inputs": [IMAGE, NUMBER]}, **header).status == 400


def test_what_follows_the_last_tensor_is_refused(server: Server) -> None:
    text = json.dumps({"inputs": [IMAGE, NUMBER]}).encode()
    answer = infer(server, text + b"x", Inference_Header_Content_Length=str(len(text)))
    assert (answer.status, answer.json["error"]) == (400, "1 bytes follow the last tensor")


def test_long_json_is_refused_and_says_what_to_do(server: Server) -> None:
    answer = infer(server, b" " * (4 * 2**20 + 1))
    assert answer.status == 413
    assert "send binary tensors" in answer.json["error"]


def test_compressed_requests_are_refused(server: Server) -> None:
    answer = infer(server, {"inputs": [IMAGE, NUMBER]}, Content_Encoding="gzip")
    assert answer.status == 415


@pytest.mark.usefixtures("triton")
def test_the_example_asks_and_prints(server: Server) -> None:
    address = f"{server.host}:{server.port}"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "client.py", EXAMPLES / "seven.png", "5", address],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "7 + 5 = 12\n"


NAN = """
from edge_adder.prediction import Outputs
from edge_adder.predictor import EdgeAdder
real = EdgeAdder.run
EdgeAdder.run = lambda *given: Outputs(*(output * float("nan") for output in real(*given)))
"""


@pytest.mark.parametrize("binary", [True, False])
def test_nan_is_an_error_and_never_an_answer(serve, binary: bool) -> None:
    request = {"inputs": [IMAGE, NUMBER], "parameters": {"binary_data_output": binary}}
    with serve(prelude=NAN) as server:
        answer = infer(server, request)
        assert (answer.status, [*answer.json]) == (500, ["error"])
        (fault,) = [each for each in server.logged(2) if "traceback" in each]
        assert "the model answered nan" in fault["traceback"]
