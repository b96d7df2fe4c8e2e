"""What CUDA needs and the CPU does not: options, quiet loading, the loader's word, own buffers.

`onnxruntime` itself is imported by `predictor` alone and comes in as an argument.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGIT, NUMBER, SUM

OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
    "use_tf32": "0",
}
"""For a network of some microseconds (onnxruntime.ai/docs/execution-providers): the default search
times every algorithm of each convolution anew for each batch size; the memory would grow by powers
of two; TF32 rounds to 10 bits of mantissa, which is coarser than the bound of parity.
"""

MOST_BUFFERS = 8
"""Batch sizes whose buffers are kept: `predict_many` has two, its whole batch and the rest."""

_FATAL, _WARNING = 4, 2
"""Of onnxruntime's severities; it begins with the second."""

_OUTPUTS = {spec.name: spec for spec in (DIGIT, SUM)}


@contextlib.contextmanager
def loading(ort: Any) -> Iterator[None]:
    """Load CUDA's libraries, and stay silent while a session is made.

    What fails is raised, as one line. Else onnxruntime would print it to standard output and write
    it to standard error as well.

    Args:
        ort: The module `onnxruntime`.
    """
    ort.set_default_logger_severity(_FATAL)
    try:
        if hasattr(ort, "preload_dlls"):  # since 1.21
            with contextlib.redirect_stdout(io.StringIO()):
                ort.preload_dlls()
        yield
    finally:
        ort.set_default_logger_severity(_WARNING)


def load_error(runtime: Path) -> str | None:
    """Why the library of the CUDA provider does not load, in the words of the system's loader.

    To be asked only after onnxruntime tried to load it: the library takes what it needs of
    onnxruntime at that moment.

    Args:
        runtime: Folder of the package `onnxruntime`.

    Returns:
        None where it loads, or is not there.
    """
    for library in (runtime / "capi").glob("*onnxruntime_providers_cuda.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return " ".join(str(error).split())
    return None


class BoundRun:
    """Does what `session.run` does, through buffers on the device that are made once.

    One set for each of the last `MOST_BUFFERS` batch sizes. Safe to share between threads, which
    take turns.

    Args:
        session: An `onnxruntime.InferenceSession` of a model that keeps the contract.
        values: The class `onnxruntime.OrtValue`.
        device: Where the buffers lie, as onnxruntime names it.
    """

    def __init__(self, session: Any, values: Any, device: str = "cuda") -> None:
        self._session, self._values, self._device = session, values, device
        self._buffers: dict[int, _Buffers] = {}
        self._lock = threading.Lock()

    def __call__(
        self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[Any]]:
        """Copy the inputs in, run, copy the outputs out.

        Args:
            names: Of the outputs, in the order of the result.
            feeds: The inputs by name, as in the contract.
        """
        count = len(feeds[NUMBER.name])
        with self._lock:
            buffers = self._buffers.pop(count, None) or _Buffers(
                self._session, self._values, self._device, feeds
            )
            self._buffers[count] = buffers  # the latest stands last
            if len(self._buffers) > MOST_BUFFERS:
                del self._buffers[next(iter(self._buffers))]
            return buffers.run(names, feeds)


class _Buffers:
    """The device's memory for one batch size, bound to the session's tensors."""

    def __init__(
        self, session: Any, values: Any, device: str, feeds: Mapping[str, NDArray[Any]]
    ) -> None:
        def buffer(shape: tuple[int, ...], dtype: object) -> Any:
            return values.ortvalue_from_shape_and_type(shape, dtype, device, 0)

        count = len(feeds[NUMBER.name])
        self._session = session
        self._inputs = {name: buffer(feed.shape, feed.dtype.type) for name, feed in feeds.items()}
        self._outputs = {
            name: buffer((count, *map(int, spec.shape[1:])), np.dtype(spec.dtype).type)
            for name, spec in _OUTPUTS.items()
        }
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """As `BoundRun`; the result's arrays are the caller's own."""
        for name, feed in feeds.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(feed))  # 1.20 reads on in memory
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        return [np.array(self._outputs[name].numpy()) for name in names]
