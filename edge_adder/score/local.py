"""The engine on one machine: processes, since Pillow holds the interpreter's lock.

Each process loads the model, says which row it reads, and answers batch after batch. Where one
dies, another takes its place and its batches. A row at which two have died is not read again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import RawValue
from typing import Any

from edge_adder.errors import EdgeAdderError, FileAccessError
from edge_adder.predictor import EdgeAdder
from edge_adder.score.answers import RUNNING, Batch, Options, answer

LIGHT_BYTES = 2**16
"""Size of a batch up to which a process gets it while it is busy: a pipe holds it."""

AHEAD = 8
"""Batches for each process that are ahead of the first one without an answer."""

TICK_SECONDS = 1.0
"""After so long without an answer the caller gets a turn."""

_DEATHS = 2  # one retry

_context = multiprocessing.get_context("spawn")  # a fork would copy onnxruntime's locks


def run(
    adder: EdgeAdder, batches: Iterable[Batch], options: Options, processes: int
) -> Iterator[Any]:
    """Answer batches on processes.

    Args:
        adder: The model; each process loads a copy.
        batches: Are taken a few ahead of the answers.
        options: As in `answer`.
        processes: Number of processes.

    Yields:
        The table of each batch, in order; None after `TICK_SECONDS` without one.

    Raises:
        EdgeAdderError: The model's answer is not a log-probability, or processes die while they
            run it.
    """
    tasks = map(_Task, batches)
    waiting: deque[_Task] = deque()  # in the order of the answers
    workers = [_Worker(adder, options) for _ in range(processes)]
    try:
        while True:
            for worker in _by_load(workers, len(waiting)):
                task = next(tasks, None)
                if task is None:
                    break
                waiting.append(task)
                worker.give(task)
            if not waiting:
                return
            finished = False
            for worker in _ready(workers):
                finished |= worker.take()
            while waiting and waiting[0].answers is not None:
                yield waiting.popleft().answers
            if not finished:
                yield None
    finally:
        for worker in workers:
            worker.end()


def _by_load(workers: list[_Worker], waiting: int) -> Iterator[_Worker]:
    """Yield a worker for each batch that may be handed out now, idle ones first."""
    room = AHEAD * len(workers) - waiting
    for held in range(2):
        for worker in workers:
            if room > 0 and len(worker.tasks) == held and worker.has_room():
                room -= 1
                yield worker


def _ready(workers: list[_Worker]) -> list[_Worker]:
    """Wait until a busy worker has an answer or has died."""
    busy = {worker.connection: worker for worker in workers if worker.tasks}
    return [busy[each] for each in wait(list(busy), TICK_SECONDS)]  # type: ignore[index]


@dataclass(slots=True)
class _Task:
    """A batch on its way.

    Attributes:
        batch: The batch.
        lost: Errors of the rows that are not to be read again, by index.
        deaths: How many processes died at each row.
        answers: Its table; None until it is there.
    """

    batch: Batch
    lost: dict[int, str] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    answers: Any = None


class _Worker:
    """A process, and the batches that it was given."""

    def __init__(self, adder: EdgeAdder, options: Options) -> None:
        self._adder, self._options = adder, options
        self.tasks: deque[_Task] = deque()
        self._start()

    def _start(self) -> None:
        self._row = RawValue("i", RUNNING)
        self.connection, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_work, args=(theirs, self._row, self._adder, self._options), daemon=True
        )
        with _without_interrupts():
            self._process.start()
        theirs.close()  # so that the pipe ends with the process

    def has_room(self) -> bool:
        """Whether another batch may be given, without waiting for the process to read it."""
        return not self.tasks or all(task.batch.size_bytes < LIGHT_BYTES for task in self.tasks)

    def give(self, task: _Task) -> None:
        """Add a batch to the process's."""
        self.tasks.append(task)
        self._send(task)

    def take(self) -> bool:
        """Take an answer, or replace the process if it has died; return whether it was an answer.

        Raises:
            EdgeAdderError: What the process raised, or it dies while it runs the network.
        """
        try:
            found = self.connection.recv()
        except (EOFError, OSError):
            self._replace()
            return False
        if isinstance(found, EdgeAdderError):
            raise found
        self.tasks.popleft().answers = found
        return True

    def end(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self._process.kill()
        self._process.join()

    def _send(self, task: _Task) -> None:
        try:
            self.connection.send((task.batch.rows, task.lost))
        except OSError:  # it has died, which `take` will see
            return

    def _replace(self) -> None:
        self._process.join()
        task, row = self.tasks[0], self._row.value
        task.deaths[row] += 1
        if task.deaths[row] >= _DEATHS:
            cause = _describe_end(self._process.exitcode or 0)
            if row == RUNNING:
                raise FileAccessError(f"a process that runs the model {cause}, and so did another")
            task.lost[row] = f"the process that read it {cause}, and so did another"
        self.connection.close()
        self._start()
        for each in self.tasks:
            self._send(each)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, which is the first process's affair."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # and so in what it starts
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _describe_end(code: int) -> str:
    """Say how a process has ended, by its exit code."""
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def _work(connection: Connection, row: Any, adder: EdgeAdder, options: Options) -> None:
    """Answer batches until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it cannot be blocked before

    def reading(index: int) -> None:
        row.value = index

    try:
        while True:
            rows, lost = connection.recv()
            try:
                found = answer(adder, rows, options, lost=lost, reading=reading)
            except EdgeAdderError as error:
                found = error
            connection.send(found)
    except (EOFError, OSError):
        return
