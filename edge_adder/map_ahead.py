"""`map` that does its long work on threads: in order, and only a little ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    is_long: Callable[[Item], bool],
) -> Iterator[Result]:
    """Call a function for each item and yield the results in order.

    The caller's thread takes the items, as it takes the results, and does the short ones itself.

    Args:
        function: May be called on several threads at once.
        items: At most `workers` of them are taken before the result of an earlier one is.
        workers: How many threads; with one nothing is done ahead.
        is_long: Whether an item is worth handing to a thread.

    Yields:
        The result for each item.

    Raises:
        Exception: Whatever `function` or `items` raise, after the results before it.
    """
    if workers == 1:
        yield from map(function, items)
        return
    pool: ThreadPoolExecutor | None = None
    pending: deque[Future[Result] | _Done[Result]] = deque()
    failure: Exception | None = None
    items = iter(items)
    try:
        while failure is None:
            try:
                item = next(items)
                if is_long(item):
                    pool = pool or _new_pool(workers)
                    pending.append(pool.submit(function, item))
                else:
                    pending.append(_Done(function(item)))
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001  raised after the results before it
                failure = error
            while pending and (len(pending) > workers or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        if failure is not None:
            raise failure
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _new_pool(workers: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  only for long work

    return ThreadPoolExecutor(workers, thread_name_prefix="edge-adder")


class _Done(Generic[Result]):
    """The result of a short item, in the place of a future."""

    __slots__ = ("_value",)

    def __init__(self, value: Result) -> None:
        self._value = value

    def done(self) -> bool:
        return True

    def result(self) -> Result:
        return self._value
