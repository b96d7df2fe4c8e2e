"""Other ways to run the same network, side by side: python -m benchmarks.peers.

PyTorch runs the checkpoint, all others the file that was exported from it. They are timed
interleaved, with the same number of threads, and each must give the same answers before that. A
peer that is not installed or fails is listed as absent.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, TypeAlias

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import nn

from edge_adder import EdgeAdder
from edge_adder.bench.timing import CallLatency, time_interleaved
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.errors import CheckpointError, one_line
from edge_adder.parity import COMPARED_ABOVE, bundled_vectors
from export import checkpoint as checkpoints

BATCHES = (1, 64)

TOLERANCE = 1e-3
"""Largest difference of a log-probability between peers, in nats. Ten times the parity bound, since
compilers are free to reorder the arithmetic."""

Images: TypeAlias = NDArray[np.uint8]
Numbers: TypeAlias = NDArray[np.int64]
Call: TypeAlias = Callable[[], Any]
Peer: TypeAlias = Callable[[Images, Numbers], Call]
"""Returns a call without arguments that answers these images: digit and sum."""


def compare_peers(adder: EdgeAdder, network: nn.Module, calls: int) -> dict[str, Any]:
    """Time all peers on the same images.

    Args:
        adder: The bundled runtime; every peer gets as many threads.
        network: The PyTorch network that its file was exported from.
        calls: Counted calls of each peer at batch 1; at batch 64 a tenth of them.

    Returns:
        ``threads``; ``batches``: by batch size and peer, the figures of
        `edge_adder.bench.timing.CallLatency` with the ratio to edge-adder; ``absent``: by peer, the
        reason.

    Raises:
        CheckpointError: A peer's answers differ from the file's by more than `TOLERANCE`.
    """
    vectors = bundled_vectors()
    absent: dict[str, str] = {}
    batches: dict[str, Any] = {}
    with _torch_threads(adder.threads):
        for size in BATCHES:
            images = np.resize(vectors[IMAGE.name], (size, 1, 28, 28))
            numbers = np.resize(vectors[NUMBER.name], size)
            ready, failed = _prepare_peers(adder, network, images, numbers)
            absent |= failed
            count = calls if size == 1 else max(20, calls // 10)
            with torch.inference_mode():
                times = time_interleaved(ready, count, warmup=max(10, count // 20))
            batches[str(size)] = {
                name: CallLatency.from_times(each, times["edge-adder"]).to_dict()
                for name, each in times.items()
            }
    return {"threads": adder.threads, "batches": batches, "absent": absent}


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
        f"{pytorch} TorchScript": lambda i, n: _pytorch(_script(network, i, n), i, n),
    }


def _prepare_peers(
    adder: EdgeAdder, network: nn.Module, images: Images, numbers: Numbers
) -> tuple[dict[str, Call], dict[str, str]]:
    """Make a call of each peer and check its answers.

    Returns:
        The calls by peer, and the reasons by absent peer.
    """
    expected = adder.run(images, numbers)
    ready: dict[str, Call] = {}
    absent: dict[str, str] = {}
    for name, peer in peers(adder, network).items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # compilers' notes to their own developers
                call = peer(images, numbers)
                answers = call()
        except Exception as error:  # noqa: BLE001  a compiler may fail in any way
            absent[name] = one_line(error, 120)
            continue
        for found, wanted in zip(answers, expected, strict=True):
            difference = np.abs(np.asarray(found) - wanted)[wanted > COMPARED_ABOVE].max()
            if not difference <= TOLERANCE:
                raise CheckpointError(f"{name} differs from the file by {difference:.2g}")
        ready[name] = call
    return ready, absent


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
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


def _script(network: nn.Module, images: Images, numbers: Numbers) -> Callable[..., Any]:
    example = torch.from_numpy(images), torch.from_numpy(numbers)
    with torch.no_grad():
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    return torch.jit.freeze(traced)  # type: ignore[no-any-return]


def _version(name: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version(name).partition("+")[0].partition("-")[0]
    return "(not installed)"


def main(
    network: Annotated[str, typer.Option(help="The network.")] = "edge",
    calls: Annotated[int, typer.Option(min=20, help="Counted calls of each peer.")] = 5000,
) -> None:
    """Print the median time of each peer at batch 1 and 64."""
    from export.to_onnx import to_onnx  # noqa: PLC0415  only here

    loaded = checkpoints.load(checkpoints.committed(network))
    module = loaded.build()
    found = compare_peers(EdgeAdder(to_onnx(module, loaded)), module, calls)
    for size, rows in found["batches"].items():
        print(f"batch {size}, {found['threads']} thread(s), p50 in µs")
        for name, row in rows.items():
            print(f"  {name:32}{row['p50']:10,.1f}")
    for name, reason in found["absent"].items():
        print(f"  {name:32} absent: {reason}")


if __name__ == "__main__":
    typer.run(main)
