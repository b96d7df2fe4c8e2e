"""The session: its settings, and models in forked or spawned processes, where nothing hangs.

Each test runs a script of its own: what hangs there is ended by the clock, here nothing hangs.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, ProviderError
from edge_adder.session import ort

SEVEN = Path(__file__).parents[2] / "examples" / "seven.png"
HANGS_AFTER_S = 100
"""No script takes a tenth of it."""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

START = f"""
import multiprocessing, os, signal, sys, threading, time
import numpy as np
from edge_adder import EdgeAdder, InputError

SEVEN = {str(SEVEN)!r}
THREADS = int(sys.argv[1])
ADDER = EdgeAdder(threads=THREADS)
BATCH = np.zeros((256, 1, 28, 28), np.uint8), np.zeros(256, np.int64)
SQUARES = np.zeros((5000, 28, 28), np.uint8)
SQUARES[:, 4:24, 4:24] = 255

def wait_for(child, polls=2000):
    # one that hangs is killed after a number of polls: a clock would also run on while the whole
    # machine is paused
    for _ in range(polls):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
"""Each script begins with it; its argument is the number of the model's threads."""


@pytest.fixture
def run(in_a_session: Callable, tmp_path: Path) -> Callable[..., str]:
    """Runs a script and gives what it printed."""

    def run_script(script: str, *arguments: object, **environment: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(START + script)
        command = sys.executable, path, *map(str, arguments)
        done = in_a_session(*command, timeout=HANGS_AFTER_S, **environment)
        assert done.returncode == 0
        return done.stdout

    return run_script


POOL = """
def ask(given, number):
    ADDER.run(*BATCH)
    return ADDER.predict(SEVEN, number).sum, given.predict(SEVEN, number).sum

def keep_busy(stop):
    while not stop.is_set():
        ADDER.run(*BATCH)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    stop = threading.Event()
    threading.Thread(target=keep_busy, args=[stop]).start()
    tasks = [(ADDER, count % 10) for count in range(int(sys.argv[3]))]
    with context.Pool(2, maxtasksperchild=1) as pool:
        print(pool.starmap(ask, tasks, chunksize=1))
    stop.set()
"""


@pytest.mark.parametrize(
    ("threads", "method", "count"), [(1, "fork", 50), (2, "fork", 50), (2, "spawn", 4)]
)
def test_processes_answer_while_their_parent_is_busy(
    run: Callable[..., str], threads: int, method: str, count: int
) -> None:
    """Each with the model that it was forked with, or loads, and with one that was pickled."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    answers = [(7 + index % 10,) * 2 for index in range(count)]
    assert run(POOL, threads, method, count) == f"{answers}\n"


WHILE_ANOTHER_THREAD_PREDICTS = """
stop = threading.Event()

def keep_busy():
    while not stop.is_set():
        for _ in ADDER.predict_many(SQUARES[:600], 1):
            ADDER.predict(SQUARES[0], 1)

busy = threading.Thread(target=keep_busy)
busy.start()
for _ in range(50):
    if not (child := os.fork()):
        ADDER.predict(SQUARES[0], 1)
        os._exit(len(list(ADDER.predict_many(SQUARES[:600], 1))) != 600)
    print(wait_for(child), end="", flush=True)
stop.set()
busy.join()
"""


@needs_fork
@pytest.mark.parametrize("core", ["Haswell", None])
def test_50_processes_that_are_forked_while_another_thread_predicts_answer(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, core: str | None
) -> None:
    """Also where OpenBLAS, which numpy brings, would use locks and threads for these kernels."""
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    environment = {} if core is None else {"OPENBLAS_CORETYPE": core}
    assert run(WHILE_ANOTHER_THREAD_PREDICTS, 1, **environment) == "0" * 50


ENDS = """
ADDER.run(*BATCH)
for uses_it in (False, True) * 5:
    if child := os.fork():
        print(wait_for(child), end=" ")
    else:
        if uses_it:
            ADDER.run(*BATCH)
            if not (grandchild := os.fork()):
                ADDER.run(*BATCH)
                sys.exit(3)
            sys.exit(wait_for(grandchild))
        del ADDER  # with a session whose threads are not here
        sys.exit(2)
"""


@needs_fork
def test_a_forked_process_ends_whether_it_used_the_model_or_not(run: Callable[..., str]) -> None:
    assert run(ENDS, 2).split() == ["2", "3"] * 5


ANSWERS = """
for _ in range(5):
    answers = ADDER.predict_many(SQUARES, 1, workers=4)
    next(answers)
    if child := os.fork():
        list(answers)
        print(wait_for(child))
        continue
    try:
        list(answers)
    except InputError as error:
        print(error, flush=True)
        many = ADDER.predict_many(SQUARES, 1)
        print(ADDER.predict(SEVEN, 5).sum, len(list(many)), flush=True)
    os._exit(0)
"""


@needs_fork
def test_answers_that_threads_of_the_parent_work_on_are_refused(run: Callable[..., str]) -> None:
    refusal = "these answers belong to the process that this one was forked from: call"
    assert run(ANSWERS, 1).splitlines() == [f"{refusal} predict_many again", "12 5000", "0"] * 5


def test_a_pickled_model_is_the_same(tmp_path: Path, seven: np.ndarray) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(EdgeAdder().model_bytes)
    adder = EdgeAdder(path, provider="auto", threads=2, spinning=True)
    path.unlink()
    copy = pickle.loads(pickle.dumps(adder))  # noqa: S301
    assert copy.describe() == adder.describe()
    assert copy.predict(seven, 5) == adder.predict(seven, 5)


def test_a_model_on_cuda_says_that_it_cannot_be_forked() -> None:
    adder = EdgeAdder()
    adder._session.provider = "cuda"
    adder._session._reset_after_fork()
    for use in (lambda: adder.predict(SEVEN, 5), lambda: adder.session):
        with pytest.raises(ProviderError, match=r"cuda cannot run in a process that was forked .*"):
            use()


def test_one_thread_that_does_not_spin_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = ort.InferenceSession

    def session(data: bytes, *, sess_options: object, **others: object) -> object:
        spinning = sess_options.get_session_config_entry("session.intra_op.allow_spinning")
        seen.append((sess_options.intra_op_num_threads, spinning))
        return real(data, sess_options=sess_options, **others)

    monkeypatch.setattr(ort, "InferenceSession", session)
    EdgeAdder()
    EdgeAdder(threads=2)
    EdgeAdder(threads=2, spinning=True)
    assert seen == [(1, "0"), (2, "0"), (2, "1")]
