"""The threads that work off the event loop, and the bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from edge_adder.parallel import THREAD_NAME
from edge_adder.serve.problems import Problem

Result = TypeVar("Result")


class Workers:
    """A pool of threads that refuses work instead of piling it up.

    Args:
        threads: Number of threads.
        queue: How many calls may wait for one.
    """

    def __init__(self, threads: int, queue: int) -> None:
        # By this name decoding counts the threads among which it divides memory.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=THREAD_NAME)
        self._limit = threads + queue
        self.pending = 0

    async def run(self, function: Callable[[], Result]) -> Result:
        """Call a function on a thread; a call that still waits when this is cancelled never begins.

        Raises:
            Problem: As many calls are waiting as may; 503.
        """
        if self.pending >= self._limit:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self.pending} requests are waiting or being answered: come again later",
            )
        self.pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self.pending -= 1
