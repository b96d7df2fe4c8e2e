"""One image at a time through memory that is bound to the model's tensors once.

`session.run` looks up names and wraps arrays at every call, which takes a tenth as long as the
network. A binding does it once, and the call copies in and out of it.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGIT, DIGITS, IMAGE, IMAGE_SIDE, NUMBER, SUM, SUMS, TensorSpec


@final
class BoundRun:
    """Runs a digit model on the CPU on one image.

    Any number of threads may call it at once: each call takes buffers that no other uses, and
    leaves them to later ones. There are as many as there ever were calls at the same time.

    Args:
        session: An `onnxruntime.InferenceSession` on the CPU, whose batch may be 1.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._free: list[_Buffers] = []  # whose methods are atomic

    def __call__(self, image: NDArray[np.uint8], number: int) -> NDArray[np.float32]:
        """Return the log-probabilities of all digits, then of all sums: float32 (29,), a new array.

        Args:
            image: uint8 (28, 28); 0 = background, 255 = full ink.
            number: 0 to 9.
        """
        try:
            buffers = self._free.pop()
        except IndexError:
            buffers = _Buffers(self._session)
        buffers.image[:] = image
        buffers.number[0] = number
        self._session.run_with_iobinding(buffers.binding)
        answer = buffers.answer.copy()
        self._free.append(buffers)
        return answer


@final
class _Buffers:
    """Memory for one image and its answer, bound to the session's tensors."""

    __slots__ = ("answer", "binding", "image", "number")

    def __init__(self, session: Any) -> None:
        self.image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
        self.number = np.zeros(1, np.int64)
        self.answer = np.zeros(DIGITS + SUMS, np.float32)
        digit, total = self.answer[:DIGITS], self.answer[DIGITS:]
        self.binding = session.io_binding()
        self.binding.bind_input(*_tensor(IMAGE, self.image))
        self.binding.bind_input(*_tensor(NUMBER, self.number))
        self.binding.bind_output(*_tensor(DIGIT, digit))
        self.binding.bind_output(*_tensor(SUM, total))


def _tensor(spec: TensorSpec, memory: NDArray[Any]) -> tuple[Any, ...]:
    """Return the arguments of onnxruntime's `bind_input` and `bind_output` for a batch of one."""
    shape = (1, *spec.shape[1:])
    return spec.name, "cpu", 0, memory.dtype.type, shape, memory.ctypes.data
