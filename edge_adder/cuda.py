"""What CUDA needs and the CPU does not: options, loading its libraries, preallocated buffers.

Only `session` imports onnxruntime; here it comes in as an argument.
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
from edge_adder.errors import one_line

OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
    "use_tf32": "0",
}
"""Options for a network of some microseconds (onnxruntime.ai/docs/execution-providers): the default
search times every algorithm of each convolution again for each batch size; memory would grow by
powers of two; TF32 rounds to 10 bits of mantissa, which is coarser than the bound of parity.
"""

MAX_BUFFERS = 8
"""Maximum number of batch sizes with buffers; `predict_many` uses two, full batches and a rest."""

_FATAL, _WARNING = 4, 2  # severities of onnxruntime's log; warning is its default
_OUTPUTS = {spec.name: spec for spec in (DIGIT, SUM)}


@contextlib.contextmanager
def loading(ort: Any) -> Iterator[None]:
    """Load CUDA's libraries, and keep onnxruntime silent while a session is made.

    Failures are raised; onnxruntime would print them to standard output and standard error too.

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
    """Return why the library of the CUDA provider does not load, as the system's loader says it.

    Only meaningful after onnxruntime tried to load it: the library needs symbols of onnxruntime
    that are loaded then.

    Args:
        runtime: Folder of the package `onnxruntime`.

    Returns:
        One line; None if the library loads, or does not exist.
    """
    for library in (runtime / "capi").glob("*onnxruntime_providers_cuda.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return one_line(error, limit=1000)
    return None


class BoundRun:
    """Does what `session.run` does, through preallocated buffers on the device.

    There is one set of buffers for each of the last `MAX_BUFFERS` batch sizes. Threads may share
    it; their runs happen one after the other.

    Args:
        session: An `onnxruntime.InferenceSession` of a model that keeps the contract.
        values: The class `onnxruntime.OrtValue`.
        device: Device of the buffers, as onnxruntime names it.
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
            names: Names of the outputs, in the order of the result.
            feeds: Inputs by name, with shapes and dtypes of the contract.

        Returns:
            The outputs, as arrays that belong to the caller.
        """
        count = len(feeds[NUMBER.name])
        with self._lock:
            buffers = self._buffers.pop(count, None) or _Buffers(
                self._session, self._values, self._device, feeds
            )
            self._buffers[count] = buffers  # the latest is last
            if len(self._buffers) > MAX_BUFFERS:
                del self._buffers[next(iter(self._buffers))]
            return buffers.run(names, feeds)


class _Buffers:
    """Memory on the device for one batch size, bound to the session's tensors."""

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
        """Run as `BoundRun` does."""
        for name, feed in feeds.items():
            # onnxruntime 1.20 ignores strides.
            self._inputs[name].update_inplace(np.ascontiguousarray(feed))
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        return [np.array(self._outputs[name].numpy()) for name in names]
