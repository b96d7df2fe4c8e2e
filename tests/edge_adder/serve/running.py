"""A server in a process of its own, as its users start it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

EXAMPLES = Path(__file__).parents[3] / "examples"
SEVEN = (EXAMPLES / "seven.png").read_bytes()

PROGRAM = """
import sys
sys.argv = ["edge-adder", "serve", *sys.argv[2:]]
exec({prelude!r})
from edge_adder.__main__ import run
run()
"""
"""Runs the command after a prelude, which may shorten times that no option sets."""


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running server; `log` is what it has written to stderr."""

    def __init__(self, process: subprocess.Popen[str], address: str, log: Path) -> None:
        self.process, self.address, self._log = process, address, log
        self.host, self.port = urlsplit(address).hostname or "", urlsplit(address).port or 0

    @property
    def log(self) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, count: int) -> list[dict[str, Any]]:
        """The last lines of the log, once there are as many; the answer comes before its line."""
        until = time.monotonic() + 10
        while len(self.log) < count and time.monotonic() < until:
            time.sleep(0.02)
        return self.log[-count:]

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(
        self, path: str, body: bytes | None = None, method: str | None = None, **headers: str
    ) -> Answer:
        """Send one request; underscores in the names of headers stand for hyphens."""
        with contextlib.closing(self.connect()) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextlib.contextmanager
def serving(folder: Path, *options: str, prelude: str = "", port: int = 0) -> Iterator[Server]:
    """Start a server on a free port, and end it at last.

    Args:
        folder: Where it writes its log.
        options: Options of the command line.
        prelude: Code that is run first.
        port: The port; 0 for a free one.
    """
    log = folder / f"{time.monotonic_ns()}.log"
    program = PROGRAM.format(prelude=prelude)
    command = [sys.executable, "-c", program, "serve", "--port", str(port), *options]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            assert re.fullmatch(r"http://\S+:\d+/\n", line), (line, log.read_text())
            yield Server(process, line.strip(), log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                finally:
                    process.kill()


def form(picture: bytes, **fields: object) -> tuple[bytes, str]:
    """Encode a form of a file and fields; return it with its content type."""
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="image"; filename="a"\r\nContent-Type: image/*'
    parts += [f"--limit\r\n{head}\r\n\r\n".encode(), picture, b"\r\n--limit--\r\n"]
    return b"".join(parts), "multipart/form-data; boundary=limit"
