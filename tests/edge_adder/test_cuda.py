"""What CUDA needs, with the CPU in its place, and with libraries that do not load."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, cuda, session
from edge_adder.cuda import MAX_BUFFERS, BoundRun, load_error, loading
from edge_adder.session import ort

NAMES = ["digit", "sum"]


class CountingValues:
    """`onnxruntime.OrtValue`, counted."""

    def __init__(self) -> None:
        self.made = 0

    def ortvalue_from_shape_and_type(self, *arguments: object) -> object:
        self.made += 1
        return ort.OrtValue.ortvalue_from_shape_and_type(*arguments)


@pytest.fixture
def values() -> CountingValues:
    return CountingValues()


@pytest.fixture
def bound(adder: EdgeAdder, values: CountingValues) -> BoundRun:
    """The bundled model through buffers, here in the CPU's memory."""
    return BoundRun(adder.session, values, "cpu")


def feeds(vectors: dict[str, np.ndarray], start: int, count: int) -> dict[str, np.ndarray]:
    return {name: vectors[name][start : start + count] for name in ("image", "number")}


def test_buffers_give_the_answers_of_the_session(
    adder: EdgeAdder, bound: BoundRun, vectors: dict[str, np.ndarray]
) -> None:
    for start, count in ((0, 1), (5, 1), (0, 64), (64, 64), (7, 3)):
        given = feeds(vectors, start, count)
        expected = adder.session.run(NAMES, given)
        assert all(map(np.array_equal, bound(NAMES, given), expected))


def test_buffers_are_made_once_for_each_of_the_latest_batch_sizes(
    bound: BoundRun, values: CountingValues, vectors: dict[str, np.ndarray]
) -> None:
    for count in (*range(1, MAX_BUFFERS + 1), 1, MAX_BUFFERS):
        bound(NAMES, feeds(vectors, count, count))
    assert values.made == 4 * MAX_BUFFERS
    bound(NAMES, feeds(vectors, 0, MAX_BUFFERS + 1))  # takes the place of 2, the longest unused
    bound(NAMES, feeds(vectors, 0, 1))
    assert values.made == 4 * (MAX_BUFFERS + 1)
    bound(NAMES, feeds(vectors, 0, 2))
    assert values.made == 4 * (MAX_BUFFERS + 2)


def test_answers_are_the_callers_own(bound: BoundRun, vectors: dict[str, np.ndarray]) -> None:
    first = bound(NAMES, feeds(vectors, 0, 1))
    kept = [array.copy() for array in first]
    bound(NAMES, feeds(vectors, 200, 1))
    assert all(map(np.array_equal, first, kept))


def test_threads_may_share_them(bound: BoundRun, vectors: dict[str, np.ndarray]) -> None:
    def ask(row: int) -> bytes:
        return bound(NAMES, feeds(vectors, row, 1))[0].tobytes()

    rows = [row % 300 for row in range(2000)]
    serial = [ask(row) for row in rows]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, rows)) == serial


def test_arrays_need_not_be_contiguous(
    adder: EdgeAdder, bound: BoundRun, vectors: dict[str, np.ndarray]
) -> None:
    given = {name: array[::-2][:5] for name, array in feeds(vectors, 0, 20).items()}
    assert np.array_equal(bound(NAMES, given)[0], adder.session.run(NAMES, given)[0])


def test_a_model_on_cuda_runs_through_buffers_and_one_on_the_cpu_does_not(
    monkeypatch: pytest.MonkeyPatch, adder: EdgeAdder
) -> None:
    monkeypatch.setattr(cuda, "BoundRun", lambda *arguments: arguments)
    assert session._runner(adder.session, "cuda") == (adder.session, ort.OrtValue)
    assert session._runner(adder.session, "cpu") == adder.session.run


def test_the_message_of_the_systems_loader_is_one_line(tmp_path: Path) -> None:
    assert load_error(tmp_path) is None
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").write_text("no library")
    (line,) = load_error(tmp_path).splitlines()
    assert "libonnxruntime_providers_cuda.so" in line


def test_loading_is_silent_and_restores_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    calls: list[object] = []

    class Fake:
        @staticmethod
        def set_default_logger_severity(severity: int) -> None:
            calls.append(severity)

        @staticmethod
        def preload_dlls() -> None:
            calls.append("preload")
            print("Failed to load libcublas.so")

    with contextlib.suppress(KeyError), loading(Fake):
        assert calls == [4, "preload"]
        raise KeyError
    assert calls == [4, "preload", 2]
    assert capfd.readouterr() == ("", "")
