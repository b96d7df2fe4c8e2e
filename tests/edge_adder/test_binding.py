"""One image through bound memory: the session's answers, whoever else calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from edge_adder import EdgeAdder
from edge_adder.binding import BoundRun

NAMES = ["digit", "sum"]


def raw(adder: EdgeAdder, image: np.ndarray, number: int) -> np.ndarray:
    feeds = {"image": image[None, None], "number": np.array([number])}
    return np.concatenate(adder.session.run(NAMES, feeds), axis=1)[0]


def test_it_gives_the_answers_of_the_session(adder: EdgeAdder, vectors: dict) -> None:
    run = BoundRun(adder.session)
    for image, number in zip(vectors["image"][:, 0], vectors["number"].tolist(), strict=True):
        assert np.array_equal(run(image, number), raw(adder, image, number))


def test_a_view_with_any_strides_is_read_as_it_is(adder: EdgeAdder, seven: np.ndarray) -> None:
    view = np.repeat(seven[:, ::-1].T, 2, axis=1)[:, ::2].T[:, ::-1]
    assert not view.flags.c_contiguous
    assert np.array_equal(BoundRun(adder.session)(view, 3), raw(adder, seven, 3))


def test_answers_belong_to_the_caller(adder: EdgeAdder, seven: np.ndarray) -> None:
    first = adder.run(seven[None, None], np.array([5]))
    kept = [output.copy() for output in first]
    blank = adder.run(np.zeros_like(seven)[None, None], np.array([0]))
    assert all(map(np.array_equal, first, kept))
    first.digit[:] = first.sum[:] = 0
    again = adder.run(np.zeros_like(seven)[None, None], np.array([0]))
    assert all(map(np.array_equal, again, blank))
    assert all(output.flags.writeable and output.flags.c_contiguous for output in again)


def test_threads_do_not_see_each_others_images(adder: EdgeAdder, vectors: dict) -> None:
    images, numbers = vectors["image"][:32, 0], vectors["number"][:32].tolist()
    expected = [raw(adder, *pair) for pair in zip(images, numbers, strict=True)]
    run = BoundRun(adder.session)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            assert all(map(np.array_equal, pool.map(run, images, numbers), expected))


class Interrupted:
    """A session during each of whose runs another image is answered, as a signal handler may."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.io_binding = session.io_binding
        self.interrupt: Any = None

    def run_with_iobinding(self, binding: Any) -> None:
        if self.interrupt is not None:
            interrupt, self.interrupt = self.interrupt, None
            interrupt()
        self._session.run_with_iobinding(binding)


def test_a_call_within_a_call_leaves_it_alone(adder: EdgeAdder, seven: np.ndarray) -> None:
    session = Interrupted(adder.session)
    run = BoundRun(session)
    session.interrupt = lambda: run(np.zeros_like(seven), 9)
    assert np.array_equal(run(seven, 5), raw(adder, seven, 5))


def test_buffers_of_a_call_that_failed_are_not_used_again(
    adder: EdgeAdder, seven: np.ndarray
) -> None:
    session = Interrupted(adder.session)
    run = BoundRun(session)

    def fail() -> None:
        raise RuntimeError("out of memory")

    session.interrupt = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        run(seven, 5)
    assert np.array_equal(run(seven, 5), raw(adder, seven, 5))
