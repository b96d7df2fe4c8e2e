"""The onnxruntime session: its settings, its provider, what becomes of it after a fork.

The only module that imports onnxruntime.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from edge_adder.binding import BoundRun
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.errors import ContractError, ModelError, ProviderError, one_line
from edge_adder.model_file import describe_load_error
from edge_adder.providers import (
    EXECUTION_PROVIDERS,
    Provider,
    candidates,
    check_active,
    cuda_failure,
    installed_runtimes,
    missing_runtime,
)

try:
    import onnxruntime as ort

    _ = ort.InferenceSession  # missing where another wheel was uninstalled from over this one
except (ImportError, AttributeError) as error:
    raise missing_runtime(error) from error

ONNXRUNTIME_VERSION: str = ort.__version__
"""Version of the onnxruntime that is imported, whatever pip says of it."""

Run = Callable[[Sequence[str], Mapping[str, NDArray[Any]]], Any]
"""``run(output names, inputs by name)``: the outputs in the order of the names."""

RunOne = Callable[[NDArray[np.uint8], int], NDArray[np.float32]]
"""``run_one(image, number)``, as `edge_adder.binding.BoundRun` is called."""

_ORT_TYPES = {"tensor(uint8)": "uint8", "tensor(int64)": "int64", "tensor(float)": "float32"}


@final
class Session:
    """A loaded model on one provider, shared by all threads of a process.

    A fork copies an onnxruntime session without its threads and with its locks as they were, so
    that running it, and even freeing it, may wait for ever. A forked process therefore abandons the
    session that it inherited and opens a new one on first use; on CUDA it cannot.

    Args:
        model: Content of the ONNX file.
        name: Stands for the model in messages.
        provider: As in `edge_adder.EdgeAdder`.
        threads: Number of onnxruntime's threads for a run.
        spinning: Whether idle threads wait in a busy loop.

    Raises:
        ModelError: onnxruntime cannot load the model.
        ProviderError: The provider cannot run here.
        InputError: `provider` is unknown.
    """

    __slots__ = (
        "__weakref__",
        "_inference_session",
        "_model",
        "name",
        "provider",
        "requested_provider",
        "run",
        "run_one",
        "spinning",
        "threads",
    )

    run: Run  # an attribute rather than a method, so that a run costs no further call
    run_one: RunOne

    def __init__(
        self,
        model: bytes,
        *,
        name: str = "bytes",
        provider: Provider = "cpu",
        threads: int = 1,
        spinning: bool = False,
    ) -> None:
        self._model = model
        self.name, self.requested_provider = name, provider
        self.threads, self.spinning = threads, spinning
        self._inference_session: ort.InferenceSession | None
        self._inference_session, self.provider = _open_first(
            model, provider, threads, name=name, spinning=spinning
        )
        self.run = _runner(self._inference_session, self.provider)
        self.run_one = self._bind_and_run_one
        _sessions.add(self)

    @property
    def inference_session(self) -> ort.InferenceSession:
        """Onnxruntime's own session.

        Raises:
            ProviderError: This process was forked after the model was loaded on CUDA.
        """
        return self._inference_session or self._reopen()

    def describe_failure(self, error: Exception) -> ModelError | ProviderError:
        """Return what to raise for an exception of `run`; onnxruntime's share no base class."""
        reason = f"{self.provider} cannot run {self.name}: {describe_load_error(error)}"
        if self.provider != "cpu":
            return ProviderError(f"provider {reason}")
        return ModelError(f"onnxruntime {ONNXRUNTIME_VERSION} on {reason}")

    def read_metadata(self) -> dict[str, str]:
        """Return the model's `metadata_props`.

        Raises:
            ContractError: They are not text.
        """
        try:
            return dict(self.inference_session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise ContractError(f"{self.name}: its metadata is not UTF-8: {error}") from error

    def read_tensors(self) -> dict[str, dict[str, list[Any]]]:
        """Return dtype and shape of each tensor, by ``inputs`` or ``outputs`` and name."""
        session = self.inference_session
        sides = {"inputs": session.get_inputs(), "outputs": session.get_outputs()}
        return {
            side: {each.name: [_ORT_TYPES.get(each.type, each.type), *each.shape] for each in nodes}
            for side, nodes in sides.items()
        }

    def _reset_after_fork(self) -> None:
        for abandoned in (self._inference_session, self.run_one):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(abandoned))  # never freed
        self._inference_session = None
        self.run = self._reopen_and_run
        self.run_one = self._bind_and_run_one

    def _reopen(self) -> ort.InferenceSession:
        if self.provider != "cpu":
            raise ProviderError(
                f"provider {self.provider} cannot run in a process that was forked after the "
                "model was loaded: start processes with multiprocessing's method spawn"
            )
        session = open_session(
            self._model, self.provider, self.threads, name=self.name, spinning=self.spinning
        )
        self._inference_session = session
        self.run = _runner(session, self.provider)
        return session

    def _reopen_and_run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> Any:
        self._reopen()
        return self.run(names, feeds)

    def _bind_and_run_one(self, image: NDArray[np.uint8], number: int) -> NDArray[np.float32]:
        """Bind the tensors of a digit model, which another model has not, and run it."""
        session = self.inference_session
        self.run_one = BoundRun(session) if self.provider == "cpu" else self._run_one_unbound
        return self.run_one(image, number)

    def _run_one_unbound(self, image: NDArray[np.uint8], number: int) -> NDArray[np.float32]:
        added = np.array([number], np.int64)
        feeds: dict[str, NDArray[Any]] = {IMAGE.name: image[None, None], NUMBER.name: added}
        digit, total = self.run((DIGIT.name, SUM.name), feeds)
        return np.concatenate((digit[0], total[0]))


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _reset_all_after_fork() -> None:
    for session in list(_sessions):
        session._reset_after_fork()  # noqa: SLF001  the same module


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_reset_all_after_fork)


def available_providers() -> list[str]:
    """Return the providers that onnxruntime was compiled with, by its names; they need not load."""
    return list(ort.get_available_providers())


def session_options(
    threads: int = 1, optimization: str = "enable_all", *, spinning: bool = False
) -> ort.SessionOptions:
    """Return the settings of `open_session`, for callers that need one more, such as a profile.

    Args:
        threads: As in `open_session`.
        optimization: As in `open_session`.
        spinning: As in `open_session`.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(
        ort.GraphOptimizationLevel, f"ORT_{optimization.upper()}"
    )
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # failures are raised, in one line
    # A fork may happen while a thread holds the arena's lock; the child would wait for it for ever.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not ORT's own format
    return options


def open_session(
    data: bytes,
    provider: str = "cpu",
    threads: int = 1,
    *,
    name: str = "bytes",
    optimization: str = "enable_all",
    spinning: bool = False,
) -> ort.InferenceSession:
    """Open an onnxruntime session with the settings that every `EdgeAdder` has, for any ONNX model.

    Args:
        data: Content of the file.
        provider: ``cpu`` or ``cuda``.
        threads: Number of onnxruntime's threads for a run.
        name: Stands for the model in messages.
        optimization: Level of graph optimisation: ``disable_all``, ``enable_basic``,
            ``enable_extended`` or ``enable_all``.
        spinning: Whether idle threads wait in a busy loop.

    Raises:
        ModelError: onnxruntime cannot load the model.
        ProviderError: The provider cannot run here.
    """
    options = session_options(threads, optimization, spinning=spinning)
    if provider == "cuda":
        return _open_on_cuda(data, name, options)
    try:
        session = _new_session(data, options, EXECUTION_PROVIDERS[provider])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ModelError(
            f"onnxruntime {ONNXRUNTIME_VERSION} cannot load {name}: {describe_load_error(error)}"
        ) from error
    check_active(provider, session.get_providers())
    return session


def _open_first(
    data: bytes, provider: Provider, threads: int, *, name: str, spinning: bool
) -> tuple[ort.InferenceSession, str]:
    """Open a session on the first provider that works; return it with that provider's name."""
    tried = candidates(provider, available_providers())
    for candidate in tried[:-1]:
        try:
            session = open_session(data, candidate, threads, name=name, spinning=spinning)
        except ProviderError:
            continue
        return session, candidate
    return open_session(data, tried[-1], threads, name=name, spinning=spinning), tried[-1]


def _open_on_cuda(data: bytes, name: str, options: ort.SessionOptions) -> ort.InferenceSession:
    """Open a session on CUDA and nothing else; an error says what fixes it."""
    from edge_adder import cuda  # noqa: PLC0415  the CPU needs nothing of it

    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        with cuda.loading(ort):
            session = _new_session(data, options, (EXECUTION_PROVIDERS["cuda"], cuda.OPTIONS))
        check_active("cuda", session.get_providers())
    except Exception as error:  # as in `open_session`
        open_session(data, name=name)  # raises where the model is at fault
        load_error = cuda.load_error(Path(ort.__file__).parent)
        reason = one_line(error, limit=2000)
        raise cuda_failure(name, reason, load_error, installed_runtimes()) from error
    return session


def _new_session(data: bytes, options: ort.SessionOptions, provider: Any) -> ort.InferenceSession:
    """Open a session on one provider; without `enable_fallback=0` onnxruntime would try others."""
    return ort.InferenceSession(data, sess_options=options, providers=[provider], enable_fallback=0)


def _runner(session: ort.InferenceSession, provider: str) -> Run:
    """Return what runs a session: its own method, or on CUDA one with preallocated buffers."""
    if provider != "cuda":
        return session.run  # type: ignore[no-any-return]
    from edge_adder.cuda import BoundRun  # noqa: PLC0415  the CPU needs nothing of it

    return BoundRun(session, ort.OrtValue)
