"""What a server bears: python -m benchmarks.serve.

The load is Poisson's: requests come at random moments, whether or not earlier ones are answered. A
request's time counts from the moment at which it was to be sent, so that a queue cannot hide. The
server is a process of its own on loopback; the load is made in this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import typer
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.errors import EdgeAdderError
from edge_adder.predictor import BUNDLED_MODEL
from edge_adder.serve.server import raise_file_limit

P99_MS = 20.0
"""What the highest rate keeps."""

MAX_WAITING = 500
"""Requests that may wait at once; a load with more is given up: the server does not keep up."""

MAX_CONNECTIONS = 64
"""Connections of a load."""

IDLE_SECONDS = 2.0
"""How long a connection may be idle before it is used again; the server closes it after 5 s."""

BROKEN_SHARE = 0.01
SLOW_CONNECTIONS = 1000

BROKEN = b"\x89PNG\r\n\x1a\n and nothing more"
"""A body that is refused."""


class Question(NamedTuple):
    """A request, with what must be answered.

    Attributes:
        content: The whole request.
        status: The status of its answer.
        sum: The sum in it; None for a refusal.
    """

    content: bytes
    status: int
    sum: int | None


@dataclass
class Load:
    """What came of a load.

    Attributes:
        milliseconds: Time of each request that was answered.
        statuses: How many answers had each status.
        wrong: Answers with another status or sum than they must have.
        unanswered: Requests whose connection was refused or closed before an answer.
        given_up: Whether more than `MAX_WAITING` waited.
    """

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    unanswered: int = 0
    given_up: bool = False

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the times."""
        return float(np.percentile(self.milliseconds, 99)) if self.milliseconds else float("inf")

    @property
    def is_clean(self) -> bool:
        """Whether every request was answered as it must be."""
        return not (self.given_up or self.wrong or self.unanswered or not self.milliseconds)


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self._log = process, log
        assert process.stdout is not None  # noqa: S101  it was started with a pipe
        self.address = process.stdout.readline().strip()
        self.port = urlsplit(self.address).port

    def resident_bytes(self) -> float:
        """Return the memory that the process has."""
        text = urlopen(f"{self.address}metrics").read().decode()  # noqa: S310  our own address
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
        return float(lines["process_resident_memory_bytes"])

    def logged(self, status: int) -> int:
        """Return how many predictions were logged with a status."""
        entries = map(json.loads, self._log.read_text().splitlines())
        return sum((each["path"], each["status"]) == ("/v1/predict", status) for each in entries)


@contextlib.contextmanager
def serving(*options: str) -> Iterator[Server]:
    """Start a server on a free port, and end it at last."""
    command = [sys.executable, "-m", "edge_adder", "serve", "--port", "0", *options]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with (
            log.open("w") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,  # noqa: S603
        ):
            try:
                yield Server(process, log)
            finally:
                process.terminate()


def questions(adder: EdgeAdder, count: int = 100) -> list[Question]:
    """Return requests about digits in MNIST's format, as PNG, with the library's answers."""
    with np.load(BUNDLED_MODEL.with_suffix(".parity.npz"), allow_pickle=False) as stored:
        images = stored["image"][:count].reshape(-1, 28, 28)
    made = []
    for index, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        number = index % 10
        answer = adder.predict(buffer.getvalue(), number)
        made.append(Question(_request(number, buffer.getvalue()), 200, answer.sum))
    return made


def _request(number: int, body: bytes) -> bytes:
    head = (
        f"POST /v1/predict?number={number} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Sends requests at random moments on connections that it keeps.

    Args:
        port: The server's.
        asked: The requests, of which one is taken at random.
        seed: Seed of everything that is random.
    """

    def __init__(self, port: int | None, asked: list[Question], seed: int = 0) -> None:
        self._port, self._asked = port, asked
        self._random = random.Random(seed)  # noqa: S311  no secret
        self._free: list[tuple[float, Connection]] = []
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self.load = Load()

    async def run(self, rate: float, seconds: float, broken: float = 0.0) -> Load:
        """Send `rate` requests a second, of which a share is `broken`; return what came of it."""
        tasks: set[asyncio.Task[None]] = set()
        moment = time.perf_counter()
        end = moment + seconds
        while (moment := moment + self._random.expovariate(rate)) < end:
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            if len(tasks) >= MAX_WAITING:
                self.load.given_up = True
                break
            is_broken = self._random.random() < broken
            question = (
                Question(_request(5, BROKEN), 422, None)
                if is_broken
                else self._random.choice(self._asked)
            )
            task = asyncio.create_task(self._ask(question, moment))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        for _, (_, writer) in self._free:
            writer.close()
        return self.load

    async def _ask(self, question: Question, moment: float) -> None:
        connection: Connection | None = None
        async with self._room:
            try:
                connection = await self._connect()
                status, body, goes_on = await _exchange(connection, question.content)
            except (OSError, asyncio.IncompleteReadError):
                self.load.unanswered += 1
                if connection is not None:
                    connection[1].close()
                return
        self.load.milliseconds.append(1000 * (time.perf_counter() - moment))
        self.load.statuses[status] += 1
        found = json.loads(body).get("sum")
        self.load.wrong += (status, found) != (question.status, question.sum)
        if goes_on:
            self._free.append((time.monotonic(), connection))
        else:
            connection[1].close()

    async def _connect(self) -> Connection:
        """Return a connection that the server does not close meanwhile, as it does idle ones."""
        while self._free:
            last_use, connection = self._free.pop()
            if time.monotonic() - last_use < IDLE_SECONDS and not connection[0].at_eof():
                return connection
            connection[1].close()
        return await asyncio.open_connection("127.0.0.1", self._port)


async def _exchange(connection: Connection, content: bytes) -> tuple[int, bytes, bool]:
    """Send a request; return status and body of its answer, and whether the connection goes on."""
    reader, writer = connection
    writer.write(content)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length), "connection: close" not in head


def run_load(server: Server, asked: list[Question], rate: float, seconds: float) -> Load:
    """Return what comes of a load."""
    return asyncio.run(_run(server, asked, rate, seconds))


async def _run(server: Server, asked: list[Question], rate: float, seconds: float) -> Load:
    return await Client(server.port, asked).run(rate, seconds)


def highest_rate(server: Server, asked: list[Question], seconds: float) -> tuple[float, Load]:
    """Return the highest rate that keeps `P99_MS`, and what came of it.

    It is doubled until it fails, and then halved between the two five times.

    Args:
        server: The server.
        asked: The requests.
        seconds: How long each load lasts.
    """
    low, high, best = 0.0, 50.0, Load()
    while (load := _kept(server, asked, high, seconds)) is not None:
        low, high, best = high, 2 * high, load
    if low == 0:
        raise EdgeAdderError(f"not even {high:g} requests a second keep {P99_MS:g} ms here")
    for _ in range(5):
        middle = (low + high) / 2
        if (load := _kept(server, asked, middle, seconds)) is not None:
            low, best = middle, load
        else:
            high = middle
    return low, best


def _kept(server: Server, asked: list[Question], rate: float, seconds: float) -> Load | None:
    """Return a load that keeps `P99_MS`, of three tries, since others use the machine too."""
    for _ in range(3):
        load = run_load(server, asked, rate, seconds)
        if load.is_clean and load.p99_ms < P99_MS:
            return load
    return None


def cost(server: Server, adder: EdgeAdder, calls: int) -> dict[str, float]:
    """Compare a request on an open connection with `predict` of the same bytes in this process.

    The two alternate, so that a slow spell affects both alike.

    Returns:
        ``request_us`` and ``predict_us``, medians, and the median of their ``ratio``.
    """
    picture = questions(adder, 1)[0].content.partition(b"\r\n\r\n")[2]
    content = _request(5, picture)

    async def measure() -> list[tuple[float, float]]:
        connection = await asyncio.open_connection("127.0.0.1", server.port)
        pairs = []
        for _ in range(calls + 20):
            began = time.perf_counter()
            await _exchange(connection, content)
            between = time.perf_counter()
            adder.predict(picture, 5)
            pairs.append((between - began, time.perf_counter() - between))
        connection[1].close()
        return pairs[20:]

    pairs = asyncio.run(measure())
    request, predict = (1e6 * median(column) for column in zip(*pairs, strict=True))
    ratio = median(a / b for a, b in pairs)
    return {"request_us": request, "predict_us": predict, "ratio": ratio}


def soak(server: Server, asked: list[Question], rate: float, seconds: float) -> tuple[Load, float]:
    """Load a server for long, with broken bodies among the others.

    Returns:
        What came of it, and by what share its memory grew beyond its largest in the first minute,
        or in the first quarter of a shorter time.
    """
    settled = min(60.0, seconds / 4)

    async def run() -> tuple[Load, float]:
        began = time.monotonic()
        samples: list[tuple[float, float]] = []
        load = asyncio.create_task(Client(server.port, asked).run(rate, seconds, BROKEN_SHARE))
        while not load.done():
            size = await asyncio.to_thread(server.resident_bytes)
            samples.append((time.monotonic() - began, size))
            await asyncio.sleep(min(1.0, seconds / 20))
        first = max(size for moment, size in samples if moment <= settled)
        last = max(size for moment, size in samples if moment > settled)
        return load.result(), last / first - 1

    return asyncio.run(run())


def end_under_load(server: Server, asked: list[Question], rate: float, seconds: float) -> int:
    """Send SIGTERM in the middle of a load.

    Returns:
        How many requests the server answered, by its log, whose answer did not arrive.
    """

    async def run() -> Load:
        load = asyncio.create_task(Client(server.port, asked).run(rate, seconds))
        await asyncio.sleep(seconds / 2)
        server.process.send_signal(signal.SIGTERM)
        return await load

    load = asyncio.run(run())
    code = server.process.wait(60)
    if code != 0 or load.wrong or not load.statuses[200]:
        raise EdgeAdderError(f"ended with {code}, {load.wrong} wrong, {load.statuses} answered")
    return server.logged(200) - load.statuses[200]


def beside_slow_connections(
    server: Server, asked: list[Question], rate: float, seconds: float, slow: int = SLOW_CONNECTIONS
) -> tuple[Load, Load]:
    """Return what comes of a load alone, and beside connections that never finish a request."""
    raise_file_limit()

    async def run() -> tuple[Load, Load]:
        alone = await Client(server.port, asked).run(rate, seconds)
        heads = b"POST /v1/predict?number=5 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        waiting = []
        for index in range(slow):
            connection = await asyncio.open_connection("127.0.0.1", server.port)
            connection[1].write(heads + b"\r\npart" if index % 2 else heads)
            waiting.append(connection)
        beside = await Client(server.port, asked).run(rate, seconds)
        for _, writer in waiting:
            writer.close()
        return alone, beside

    return asyncio.run(run())


def measure(
    *, seconds: float, soak_seconds: float, calls: int, rate: float | None = None
) -> dict[str, Any]:
    """Measure everything, and return the figures by name.

    Args:
        seconds: How long each load of a search lasts.
        soak_seconds: How long the load lasts under which memory is watched.
        calls: Requests whose cost is measured.
        rate: The highest rate, if it is known; None to look for it.
    """
    adder = EdgeAdder()
    asked = questions(adder)
    with serving() as server:
        found: dict[str, Any] = {"cost": cost(server, adder, calls)}
        if rate is None:
            rate, load = highest_rate(server, asked, seconds)
            found["highest_rate"] = {"per_second": rate, "p99_ms": load.p99_ms}
    with serving() as server:
        load, growth = soak(server, asked, rate / 2, soak_seconds)
        found["soak"] = {
            "seconds": soak_seconds,
            "per_second": rate / 2,
            "given_up": load.given_up,
            "answers": dict(load.statuses),
            "wrong": load.wrong,
            "unanswered": load.unanswered,
            "p99_ms": load.p99_ms,
            "memory_growth": growth,
        }
    with serving() as server:
        found["lost_at_sigterm"] = end_under_load(server, asked, rate / 2, 2 * seconds)
    with serving() as server:
        alone, beside = beside_slow_connections(server, asked, rate / 4, seconds)
        found["slow_connections"] = {
            "connections": SLOW_CONNECTIONS,
            "alone_p99_ms": alone.p99_ms,
            "beside_p99_ms": beside.p99_ms,
            "beside_clean": beside.is_clean,
        }
    return found


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Measure less, in a minute.")] = False,
    soak_seconds: Annotated[float, typer.Option(help="Time under load.")] = 600.0,
    rate: Annotated[float | None, typer.Option(help="The highest rate, if it is known.")] = None,
) -> None:
    """Print all figures as JSON."""
    if quick:
        found = measure(seconds=2.0, soak_seconds=min(soak_seconds, 20.0), calls=300, rate=rate)
    else:
        found = measure(seconds=10.0, soak_seconds=soak_seconds, calls=2000, rate=rate)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    typer.run(main)
