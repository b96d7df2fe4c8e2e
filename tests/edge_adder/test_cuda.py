"""What CUDA needs, with the CPU in its place, and with libraries that do not load."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from edge_adder import EdgeAdder, cuda, session
from edge_adder.cuda import MAX_BUFFERS, BoundRun, load_error, loading
from edge_adder.session import ort

NAMES = ["digit", "sum"]


@pytest.fixture
def values() -> Mock:
    """`onnxruntime.OrtValue`, whose calls are counted."""
    return Mock(wraps=ort.OrtValue)


@pytest.fixture
def bound(adder: EdgeAdder, values: Mock) -> BoundRun:
    """The bundled model through buffers, here in the CPU's memory."""
    return BoundRun(adder.session, values, "cpu")


def feeds(vectors: dict, start: int, count: int, step: int = 1) -> dict[str, np.ndarray]:
    return {name: vectors[name][start::step][:count] for name in ("image", "number")}


def test_buffers_give_the_answers_of_the_session(
    adder: EdgeAdder, bound: BoundRun, vectors: dict
) -> None:
    for part in ((0, 1), (5, 1), (0, 64), (64, 64), (7, 3), (20, 5, -2)):  # not contiguous
        given = feeds(vectors, *part)
        expected = adder.session.run(NAMES, given)
        assert all(map(np.array_equal, bound(NAMES, given), expected))


def test_buffers_are_made_once_for_each_of_the_latest_batch_sizes(
    bound: BoundRun, values: Mock, vectors: dict
) -> None:
    def made_after(*counts: int) -> float:
        for count in counts:
            bound(NAMES, feeds(vectors, count, count))
        return values.ortvalue_from_shape_and_type.call_count / 4

    assert made_after(*range(1, MAX_BUFFERS + 1), 1, MAX_BUFFERS) == MAX_BUFFERS
    # one more takes the place of 2, the longest unused
    assert made_after(MAX_BUFFERS + 1, 1) == MAX_BUFFERS + 1
    assert made_after(2) == MAX_BUFFERS + 2


def test_answers_are_the_callers_own_also_where_threads_share_the_buffers(
    bound: BoundRun, vectors: dict
) -> None:
    def ask(row: int) -> np.ndarray:
        return bound(NAMES, feeds(vectors, row, 1))[0]

    rows = [row % 300 for row in range(2000)]
    serial = [ask(row).tobytes() for row in rows]
    with ThreadPoolExecutor(8) as pool:
        assert [answer.tobytes() for answer in list(pool.map(ask, rows))] == serial


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
