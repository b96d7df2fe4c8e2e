"""`map` that does its long work on threads: in order, and only a little ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    is_heavy: Callable[[Item], bool],
) -> Generator[Result]:
    """Call a function for each item and yield the results in order.

    The caller's thread takes the items, as it takes the results. It does the short ones itself, and
    a long one whenever it would have to wait.

    Args:
        function: May be called on several threads at once.
        items: At most twice `workers` of them are taken before the result of an earlier one is: a
            thread that is done finds the next one waiting.
        workers: How many threads, the caller's among them; with one nothing is done ahead.
        is_heavy: Whether an item is worth handing to a thread.

    Yields:
        The result for each item.

    Raises:
        Exception: Whatever `function` or `items` raise, after the results before it.
    """
    if workers == 1:
        yield from map(function, items)
        return
    pool: ThreadPoolExecutor | None = None
    tasks: deque[_Task[Result]] = deque()
    failures: list[Exception] = []
    try:
        for item in _until_failure(items, failures):
            if is_heavy(item):
                pool = pool or _new_pool(workers - 1)
                task = _Task(partial(function, item))
                task.future = pool.submit(task.call)
                tasks.append(task)
            elif tasks:
                task = _Task(partial(function, item))
                task.do()
                tasks.append(task)
            else:
                yield function(item)
            while tasks and (len(tasks) > 2 * workers or tasks[0].is_done()):
                yield _first(tasks)
        while tasks:
            yield _first(tasks)
        for failure in failures:
            raise failure
    finally:
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)  # this may be the garbage collector


def _until_failure(items: Iterable[Item], failures: list[Exception]) -> Iterator[Item]:
    """All items; what they raise is kept, not raised."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001  raised after the results before it
        failures.append(error)


def _new_pool(threads: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  only for long work

    return ThreadPoolExecutor(threads, thread_name_prefix="edge-adder")


def _first(tasks: deque[_Task[Result]]) -> Result:
    """Take the first task's result; until it is there, do those that no thread has begun."""
    for task in tasks:
        if tasks[0].is_done():
            break
        if task.future is not None and task.future.cancel():
            task.do()
    return tasks.popleft().result()


class _Task(Generic[Result]):
    """A call that a thread does, or the caller."""

    __slots__ = ("_error", "_value", "call", "future")

    def __init__(self, call: Callable[[], Result]) -> None:
        self.call = call
        self.future: Future[Result] | None = None
        self._error: Exception | None = None

    def do(self) -> None:
        """Do it now, on this thread."""
        self.future = None
        try:
            self._value = self.call()
        except Exception as error:  # noqa: BLE001  raised where the result is taken
            self._error = error

    def is_done(self) -> bool:
        return self.future is None or self.future.done()

    def result(self) -> Result:
        """What it returned; raises what it raised."""
        if self.future is not None:
            return self.future.result()
        if self._error is not None:
            raise self._error
        return self._value
