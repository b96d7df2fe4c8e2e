"""`map` that does its heavy work on threads: in order, and only a little ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")


THREAD_NAME = "edge-adder"
"""What the names of the threads begin with."""


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    is_heavy: Callable[[Item], bool],
) -> Generator[Result]:
    """Call a function for each item and yield the results in order.

    The caller's thread takes the items and yields the results. It does the light work itself, and
    heavy work whenever it would otherwise wait.

    Args:
        function: May be called on several threads at once.
        items: At most twice `workers` of them are taken before the result of an earlier one is, so
            that a free thread finds work waiting.
        workers: Number of threads, the caller's among them; with 1 nothing is done ahead.
        is_heavy: Whether an item is worth handing to a thread.

    Raises:
        Exception: Whatever `function` or `items` raise, after the results before it.
    """
    if workers == 1:
        yield from map(function, items)
        return
    pool: ThreadPoolExecutor | None = None
    tasks: deque[tuple[Item, Future[Result]]] = deque()
    failures: list[Exception] = []
    try:
        for item in _until_failure(items, failures):
            if is_heavy(item):
                pool = pool or _new_pool(workers - 1)
                tasks.append((item, pool.submit(function, item)))
            elif tasks:
                tasks.append((item, _call(function, item)))
            else:
                yield function(item)
            while tasks and (len(tasks) > 2 * workers or tasks[0][1].done()):
                yield _first(tasks, function)
        while tasks:
            yield _first(tasks, function)
        for failure in failures:
            raise failure
    finally:
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)  # this may be the garbage collector


def working_threads() -> int:
    """Return how many threads do such work, the caller's among them."""
    return 1 + sum(each.name.startswith(THREAD_NAME) for each in threading.enumerate())


def _until_failure(items: Iterable[Item], failures: list[Exception]) -> Iterator[Item]:
    """Yield all items; an exception of theirs ends it and is kept instead of raised."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001  raised after the results before it
        failures.append(error)


def _new_pool(threads: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  only for heavy work

    return ThreadPoolExecutor(threads, thread_name_prefix=THREAD_NAME)


def _call(function: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Call the function on this thread; its exception is raised where the result is taken."""
    from concurrent.futures import Future  # noqa: PLC0415  only for heavy work

    future: Future[Result] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:  # noqa: BLE001
        future.set_exception(error)
    return future


def _first(tasks: deque[tuple[Item, Future[Result]]], function: Callable[[Item], Result]) -> Result:
    """Remove the first task and return its result; meanwhile do tasks that no thread has begun."""
    for index, (item, future) in enumerate(list(tasks)):
        if tasks[0][1].done():
            break
        if future.cancel():
            tasks[index] = item, _call(function, item)
    return tasks.popleft()[1].result()
