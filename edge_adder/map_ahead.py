"""`map` on threads: in order, and only so far ahead as there are threads."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result], items: Iterator[Item], workers: int
) -> Iterator[Result]:
    """Call a function for each item and yield the results in order.

    The items are taken by the caller's thread, as results are. A single item, or a single worker,
    needs no thread.

    Args:
        function: Is called on several threads at once.
        items: At most `workers` + 1 of them are taken before the result of the first is.
        workers: How many threads.

    Yields:
        The result for each item.

    Raises:
        Exception: Whatever `function` or `items` raise, where it occurred.
    """
    if workers == 1:
        yield from map(function, items)
        return
    first = list(itertools.islice(items, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  only for much work

    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="edge-adder") as pool:
        try:
            for item in itertools.chain(first, items):
                pending.append(pool.submit(function, item))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
