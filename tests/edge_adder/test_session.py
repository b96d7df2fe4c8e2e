"""The session: its settings, and models in forked or spawned processes, where nothing hangs.

Each test runs a script of its own: what hangs there is ended by the clock, here nothing hangs.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, ProviderError
from edge_adder.session import ort

SEVEN = Path(__file__).parents[2] / "examples" / "seven.png"
HANGS_AFTER_S = 100
"""No script takes a tenth of it."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

POOL = f"""
import multiprocessing, sys, threading
import numpy as np
from edge_adder import EdgeAdder

ADDER = EdgeAdder(threads=int(sys.argv[2]))
MANY = np.zeros((256, 1, 28, 28), np.uint8), np.zeros(256, np.int64)

def ask(given, number):
    ADDER.run(*MANY)
    return ADDER.predict({str(SEVEN)!r}, number), given.predict({str(SEVEN)!r}, number)

def keep_busy(stop):
    while not stop.is_set():
        ADDER.run(*MANY)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    stop = threading.Event()
    threading.Thread(target=keep_busy, args=[stop]).start()
    tasks = [(ADDER, count % 10) for count in range(int(sys.argv[3]))]
    with context.Pool(2, maxtasksperchild=1) as pool:
        answers = pool.starmap(ask, tasks, chunksize=1)
    stop.set()
    print([[one.sum for one in pair] for pair in answers])
"""


@pytest.fixture
def run(in_a_session: Run, tmp_path: Path) -> Callable[..., str]:
    """Runs a script and gives what it printed."""

    def run_script(script: str, *arguments: str, **environment: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(script)
        done = in_a_session(sys.executable, path, *arguments, timeout=HANGS_AFTER_S, **environment)
        assert done.returncode == 0
        return done.stdout

    return run_script


def test_a_command_that_hangs_is_ended_with_what_it_started(
    in_a_session: Run, tmp_path: Path
) -> None:
    script = f"sleep 1000 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        in_a_session("sh", "-c", script, timeout=1)
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    for _ in range(100):
        if not child.exists() or ") Z " in child.read_text():
            return
        time.sleep(0.05)
    pytest.fail("its child still runs")


@pytest.mark.parametrize(
    ("method", "threads", "count"), [("fork", "1", 50), ("fork", "2", 50), ("spawn", "2", 10)]
)
def test_processes_answer_while_their_parent_is_busy(
    run: Callable[..., str], method: str, threads: str, count: int
) -> None:
    """Each with the model that it was forked with, or loads, and with one that was pickled."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    said = run(POOL, method, threads, str(count))
    assert said == str([[7 + index % 10] * 2 for index in range(count)]) + "\n"


DURING_PREDICT_MANY = """
import os, signal, threading
import numpy as np
from edge_adder import EdgeAdder

adder = EdgeAdder()
images = np.zeros((5000, 28, 28), np.uint8)
images[:, 4:24, 4:24] = 255
stop = threading.Event()

def keep_busy():
    while not stop.is_set():
        for _ in adder.predict_many(images, 1):
            pass

busy = threading.Thread(target=keep_busy)
busy.start()
for _ in range(50):
    if not (child := os.fork()):
        signal.alarm(20)  # a child that hangs is killed
        os._exit(len(list(adder.predict_many(images[:600], 1))) != 600)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end="", flush=True)
stop.set()
busy.join()
"""


@needs_fork
@pytest.mark.parametrize("core", ["Haswell", None])
def test_50_processes_that_are_forked_during_predict_many_answer(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, core: str | None
) -> None:
    """Also where OpenBLAS, which numpy brings, would use threads for the kernels of this CPU."""
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    environment = {} if core is None else {"OPENBLAS_CORETYPE": core}
    assert run(DURING_PREDICT_MANY, **environment) == "0" * 50


ENDS = """
import os, sys
import numpy as np
from edge_adder import EdgeAdder

adder = EdgeAdder(threads=2)
many = np.zeros((256, 1, 28, 28), np.uint8), np.zeros(256, np.int64)
adder.run(*many)
for uses_it in (False, True) * 5:
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
    else:
        if uses_it:
            adder.run(*many)
            if not (grandchild := os.fork()):
                adder.run(*many)
                sys.exit(3)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
        del adder  # with a session whose threads are not here
        sys.exit(2)
"""


@needs_fork
def test_a_forked_process_ends_whether_it_used_the_model_or_not(run: Callable[..., str]) -> None:
    assert run(ENDS).split() == ["2", "3"] * 5


ANSWERS = f"""
import os, sys
import numpy as np
from edge_adder import EdgeAdder, InputError

adder = EdgeAdder()
images = np.zeros((5000, 28, 28), np.uint8)
images[:, 4:24, 4:24] = 255
answers = adder.predict_many(images, 1, workers=4)
next(answers)
if child := os.fork():
    list(answers)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    list(answers)
except InputError as error:
    print(error, end="", flush=True)
    print(adder.predict({str(SEVEN)!r}, 5).sum, len(list(adder.predict_many(images, 1))))
"""


@needs_fork
def test_answers_that_threads_of_the_parent_work_on_are_refused(run: Callable[..., str]) -> None:
    for _ in range(5):
        said = run(ANSWERS)
        assert said == (
            "these answers belong to the process that this one was forked from: "
            "call predict_many again12 5000\n"
        )


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
