"""Peers that run in this process: PyTorch's ways, OpenVINO, onnxruntime, edge-adder."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_adder import EdgeAdder
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM

Images: TypeAlias = NDArray[np.uint8]
Numbers: TypeAlias = NDArray[np.int64]
Call: TypeAlias = Callable[[], Any]
Peer: TypeAlias = Callable[[Images, Numbers], Call]
"""Returns a call without arguments that answers these images: digit and sum."""


def peers(adder: EdgeAdder, network: nn.Module) -> dict[str, Peer]:
    """Return all peers by name and version."""
    onnxruntime = f"onnxruntime {_version('onnxruntime')}"
    pytorch = f"PyTorch {_version('torch')}"
    return {
        "edge-adder": lambda images, numbers: partial(adder.run, images, numbers),
        f"raw {onnxruntime}": partial(_onnxruntime, adder),
        f"OpenVINO {_version('openvino')}": partial(_openvino, adder),
        f"{pytorch} eager": partial(_pytorch, network),
        f"{pytorch} torch.compile": lambda i, n: _pytorch(_compiled(network), i, n),
        f"{pytorch} TorchScript": lambda i, n: _pytorch(script(network, i, n), i, n),
    }


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Give PyTorch as many threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _onnxruntime(adder: EdgeAdder, images: Images, numbers: Numbers) -> Call:
    feeds = {IMAGE.name: images, NUMBER.name: numbers}
    return partial(adder.session.run, [DIGIT.name, SUM.name], feeds)


def _openvino(adder: EdgeAdder, images: Images, numbers: Numbers) -> Call:
    import openvino as ov  # noqa: PLC0415  of the extra `bench`

    core = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": adder.threads, "PERFORMANCE_HINT": "LATENCY"}
    settings["INFERENCE_PRECISION_HINT"] = "f32"  # as all others compute
    model = core.read_model(adder.model_bytes)
    model.reshape({IMAGE.name: images.shape, NUMBER.name: numbers.shape})  # compilers get it too
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    for name, array in ((IMAGE.name, images), (NUMBER.name, numbers)):
        request.set_tensor(name, ov.Tensor(array, shared_memory=True))
    digit, total = (request.get_tensor(name).data for name in (DIGIT.name, SUM.name))

    def call() -> tuple[Any, Any]:  # all is bound beforehand: the least Python that it allows
        request.infer(share_inputs=True, share_outputs=True)
        return digit, total

    return call


def _pytorch(network: Callable[..., Any], images: Images, numbers: Numbers) -> Call:
    image, number = torch.from_numpy(images), torch.from_numpy(numbers)
    with torch.inference_mode():
        network(image, number)  # compiles where there is a compiler

    @torch.inference_mode()
    def call() -> tuple[Any, Any]:
        digit, total = network(image, number)
        return digit, total

    return call


def _compiled(network: nn.Module) -> Callable[..., Any]:
    torch.compiler.reset()
    return torch.compile(network, mode="default", dynamic=False)


def script(network: nn.Module, images: Images, numbers: Numbers) -> Any:
    """Return the network as TorchScript, frozen for these shapes."""
    example = torch.from_numpy(images), torch.from_numpy(numbers)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        return torch.jit.freeze(traced)


def _version(name: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version(name).partition("+")[0].partition("-")[0]
    return "(not installed)"
