"""`parallel_map` yields what `map` yields, whatever is heavy and whatever fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from edge_adder.parallel import parallel_map


def double(item: int) -> int:
    if item == 13:
        raise ValueError("unlucky")
    time.sleep(0.001 * (item % 3))
    return 2 * item


def failing_items() -> Iterator[int]:
    yield from range(7)
    raise ValueError("no more")


def collect(results: Iterator[int]) -> list[int | str]:
    """The results, and the message of the error that ended them."""
    found: list[int | str] = []
    try:
        found.extend(results)
    except ValueError as error:
        found.append(str(error))
    return found


KINDS = {
    "all light": lambda _: False,
    "all heavy": lambda _: True,
    "mixed": lambda item: item % 3 == 0,
    "the first": lambda item: item == 0,
}
ITEMS = [range(0), range(12), range(20), range(9, 20), range(12, 20), range(13, 20)]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("is_heavy", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("make_items", [*(part.__iter__ for part in ITEMS), failing_items])
def test_results_and_errors_are_those_of_map(
    workers: int, is_heavy: Callable[[int], bool], make_items: Callable[[], Iterable[int]]
) -> None:
    found = collect(parallel_map(double, make_items(), workers, is_heavy=is_heavy))
    assert found == collect(map(double, make_items()))


def test_heavy_work_runs_at_once() -> None:
    both = threading.Barrier(2, timeout=20)
    assert len(list(parallel_map(lambda _: both.wait(), range(2), 2, is_heavy=lambda _: True))) == 2


def test_the_caller_works_while_it_would_wait() -> None:
    mine = threading.current_thread()
    busy = threading.Event()
    seen: dict[int, threading.Thread] = {}

    def work(item: int) -> int:
        seen[item] = threading.current_thread()
        if item == 0:  # the only other thread is kept busy until the caller has done the rest
            busy.set()
            while len(seen) < 4:
                time.sleep(0.001)
        return item

    def items() -> Iterator[int]:
        yield 0
        assert busy.wait(20)
        yield from range(1, 4)

    assert list(parallel_map(work, items(), 2, is_heavy=lambda _: True)) == [0, 1, 2, 3]
    assert [seen[item] is mine for item in range(4)] == [False, True, True, True]


def test_it_is_at_most_twice_as_many_items_ahead_as_there_are_workers() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while taken < 100:
            taken += 1
            yield taken

    results = parallel_map(lambda item: item, items(), 3, is_heavy=lambda _: True)
    for given in range(1, 20):
        assert next(results) == given
        assert taken <= given + 6
