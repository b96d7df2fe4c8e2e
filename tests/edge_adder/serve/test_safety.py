"""Who may ask, how much and how long; what is logged; how the server ends."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from edge_adder.predictor import BUNDLED_MODEL

from .conftest import PACKAGES
from .running import EXAMPLES, SEVEN, Answer, Server, form

SHORT = """
import functools
from edge_adder.cli import serve
serve.Settings = functools.partial(serve.Settings, header_seconds=1.0, body_seconds=1.0)
"""
"""Shortens the times that a request may take to arrive."""

SLOW = """
import time
from edge_adder.serve import app
app.allowed_cores = lambda: 1
answer = app._answer
app._answer = lambda *arguments: (time.sleep({seconds}), answer(*arguments))[1]
"""
"""Makes every prediction take long, on one thread."""

PREDICT = "/v1/predict?number=5"
HEAD = b"POST /v1/predict?number=5 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    pieces = []
    with connection, contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def raw(server: Server, *parts: bytes) -> socket.socket:
    connection = socket.create_connection((server.host, server.port), timeout=30)
    for part in parts:
        connection.sendall(part)
    return connection


def wait_for_pending(server: Server, count: int) -> None:
    """Wait until as many requests are with the threads or wait for one."""
    until = time.monotonic() + 20
    while f"edge_adder_pending {count}.0" not in server.ask("/metrics").body.decode():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--host", "0.0.0.0"), "other machines can reach 0.0.0.0: add --token TEXT, or --no-auth"),  # noqa: S104
        (("--host", "::"), "add --token"),
        (("--host", "example.org"), "add --token"),
        (("--token", "a", "--no-auth"), "got both"),
        (("--token", ""), "printable"),
        (("--token", "two words"), "printable"),
        (("--token", "ä"), "printable"),
        (("--port", "65536"), "0 to 65535"),
        (("--port", "-1"), "0 to 65535"),
        (("--max-body-mib", "0"), "--max-body-mib"),
        (("--max-body-mib", "nan"), "--max-body-mib"),
        (("--queue", "-1"), "queue"),
        (("--grace", "nan"), "grace"),
        (("--cors", "*"), "origin"),
        (("--cors", "https://example.org/"), "origin"),
    ],
)
def test_bad_options_end_in_one_line(edge_adder, options: tuple[str, ...], word: str) -> None:
    done = edge_adder("serve", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_without_the_extra_it_says_what_to_install(
    edge_adder, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    if find_spec(package) is not None:
        loaded = ("edge_adder.serve.", f"{package}.")
        for name in [name for name in sys.modules if name.startswith(loaded)]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
    done = edge_adder("serve")
    assert done.returncode == 2
    assert "pip install 'edge-adder[serve]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_address_in_use_ends_in_one_line(server: Server, edge_adder) -> None:
    done = edge_adder("serve", "--port", str(server.port))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot listen at 127.0.0.1 port {server.port}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_listens_on_this_machine_alone(server: Server) -> None:
    assert server.host == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with contextlib.suppress(OSError):
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks for our own address
        own = probe.getsockname()[0]
    if own in {"0.0.0.0", "127.0.0.1"}:  # noqa: S104
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((own, server.port), timeout=3)


def test_the_token_is_asked_for_where_something_is_answered(serve) -> None:
    with serve("--token", "secret") as server:
        for path in ("/v1/predict?number=5", "/v2", "/v2/models/edge/infer", "/metrics"):
            body = SEVEN if "predict" in path or "infer" in path else None
            for given in ("", "Bearer wrong", "Bearer secrets", "secret", "Bearer \xe4"):
                refused = server.ask(path, body, Authorization=given)
                assert refused.status == 401, path
                assert refused.headers["WWW-Authenticate"] == "Bearer"
                assert "secret" not in refused.body.decode()
            assert server.ask(path, body, Authorization="Bearer secret").status != 401
        for path in ("/", "/page.js", "/v2/health/live", "/v2/health/ready", "/openapi.json"):
            assert server.ask(path).status == 200


def test_the_token_may_stand_in_the_environment(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_ADDER_TOKEN", "secret")
    with serve("--host", "0.0.0.0") as server:  # noqa: S104
        assert server.ask("/v2").status == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("192.0.2.7", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_only_its_own_names_are_answered(server: Server, host: str, status: int) -> None:
    answer = server.ask("/v2/health/live", Host=host)
    assert answer.status == status


def test_further_names_are_named(serve) -> None:
    with serve("--allow-host", "digits.example") as server:
        assert server.ask("/v2", Host="Digits.example:8000").status == 200
        assert server.ask("/v2", Host="example").status == 421


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://["]
)
def test_pages_of_other_sites_are_refused(server: Server, origin: str) -> None:
    answer = server.ask(PREDICT, SEVEN, Origin=origin)
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    own = server.ask(PREDICT, SEVEN, Origin=server.address.rstrip("/"))
    assert own.status == 200
    assert "Access-Control-Allow-Origin" not in own.headers


def test_a_named_origin_may_ask(serve) -> None:
    origin = "https://friend.example"
    with serve("--cors", origin, "--token", "secret") as server:
        preflight = server.ask(
            PREDICT,
            method="OPTIONS",
            Origin=origin,
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="authorization",
        )
        assert preflight.status == 200
        answer = server.ask(PREDICT, SEVEN, Origin=origin, Authorization="Bearer secret")
        for each in (preflight, answer):
            assert each.headers["Access-Control-Allow-Origin"] == origin
        assert answer.json["sum"] == 12
        assert server.ask(PREDICT, SEVEN, Origin="https://evil.example").status == 403


def test_every_answer_has_the_security_headers(server: Server) -> None:
    for path in ("/", "/page.js", "/v2", "/nothing", "/metrics"):
        headers = server.ask(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in headers
    assert server.ask(PREDICT, SEVEN).headers["Cache-Control"] == "no-store"


def test_the_page_names_no_foreign_host(server: Server) -> None:
    for path in ("/", "/page.js", "/drawing.js", "/bars.js", "/page.css", "/icon.svg"):
        content = server.ask(path).body.decode()
        assert set(re.findall(r"https?://[^\"'\s)]+", content)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", [PREDICT, "/v2/models/edge/infer"])
def test_a_large_body_is_refused(serve, path: str, chunked: bool) -> None:
    body = bytes(200_000)
    with serve("--max-body-mib", "0.1") as server, contextlib.closing(server.connect()) as client:
        content = iter([body[:50_000]] * 4) if chunked else body
        client.request("POST", path, content, encode_chunked=chunked)
        response = client.getresponse()
        detail = json.loads(response.read())
        assert response.status == 413
        assert response.headers["Connection"] != "close"  # the rest was dropped
        assert "at most 104858 bytes" in detail.get("detail", detail.get("error"))
        client.request("POST", PREDICT, SEVEN)
        assert client.getresponse().status == 200


def test_an_announced_large_body_is_not_waited_for(serve) -> None:
    with serve() as server:
        connection = raw(server, HEAD % 10**12, b"\r\n")
        began = time.monotonic()
        assert b"413" in read_all(connection)
        assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\nGET / H",
    ],
)
def test_a_head_that_does_not_arrive_ends_its_connection(serve, sent: bytes) -> None:
    with serve(prelude=SHORT) as server:
        connection = raw(server, sent)
        stopped = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while sent and not stopped.wait(0.2):
                    connection.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        received = read_all(connection)  # ends only if the server closes
        stopped.set()
        dripping.join()
        assert received.count(b"HTTP/1.1 200") == sent.count(b"/v2")


def test_a_body_that_does_not_arrive_is_answered_408(serve) -> None:
    with serve(prelude=SHORT) as server:
        connection = raw(server, HEAD % 1000, b"\r\n", b"part")
        received = read_all(connection)
        assert received.startswith(b"HTTP/1.1 408")
        assert b"did not arrive within 1 s" in received


def test_a_body_in_time_is_not_cut_off(serve) -> None:
    slow = SHORT + SLOW.format(seconds=2)
    with serve(prelude=slow) as server:
        assert server.ask(PREDICT, SEVEN).json["sum"] == 12


def test_more_than_may_wait_is_answered_503(serve) -> None:
    with (
        serve("--queue", "2", prelude=SLOW.format(seconds=1)) as server,
        ThreadPoolExecutor(3) as threads,
    ):
        accepted = [threads.submit(server.ask, PREDICT, SEVEN) for _ in range(3)]
        wait_for_pending(server, 3)
        refused = server.ask(PREDICT, SEVEN)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json["detail"].endswith("come again later")
        assert server.ask("/v2/health/ready").status == 200
        assert [each.result().status for each in accepted] == [200, 200, 200]
        assert server.ask(PREDICT, SEVEN).status == 200


def test_all_bodies_together_are_bounded(serve) -> None:
    with serve("--max-body-mib", "0.001") as server:
        waiting = [raw(server, HEAD % 1000, b"\r\n", bytes(999)) for _ in range(18)]
        until = time.monotonic() + 20
        while (answer := server.ask(PREDICT, SEVEN)).status != 503:
            assert time.monotonic() < until
        assert answer.headers["Retry-After"] == "1"
        for connection in waiting:
            connection.close()
        while server.ask(PREDICT, SEVEN).status != 200:
            assert time.monotonic() < until


def test_a_fault_tells_nothing_but_that_it_is_one(serve) -> None:
    broken = "from edge_adder.serve import app\ndef broken(*_):\n raise OSError('/etc/x')\n"
    with serve(prelude=f"{broken}app._answer = app._run = broken") as server:
        for path in (PREDICT, "/v2/models/edge/infer"):
            answer = server.ask(path, SEVEN)
            assert answer.status == 500
            assert b"internal fault" in answer.body
            assert b"/etc" not in answer.body
        faults = [each for each in server.logged(4) if "traceback" in each]
        assert len(faults) == 2
        assert "/etc/x" in faults[0]["traceback"]


def test_no_answer_has_a_path_of_the_server(serve, tmp_path) -> None:
    folder = tmp_path / "hidden"
    folder.mkdir()
    shutil.copy(BUNDLED_MODEL, folder / "model.onnx")
    page = (EXAMPLES / "page.jpg").read_bytes()
    with serve("--model", str(folder / "model.onnx")) as server:
        answers: list[Answer] = [
            server.ask(PREDICT, SEVEN),
            server.ask(PREDICT, page),
            server.ask(PREDICT, b"broken"),
            server.ask("/v2"),
            server.ask("/v2/models/edge"),
            server.ask("/v2/models/edge/infer", b"{}"),
            server.ask("/nothing"),
            server.ask("/../../etc/passwd"),
            server.ask("/metrics"),
        ]
    for answer in answers:
        assert b"hidden" not in answer.body
        assert b"site-packages" not in answer.body


def test_the_log_has_a_line_for_each_request_without_the_picture(serve) -> None:
    with serve() as server:
        body, content_type = form(SEVEN, number=5)
        server.ask("/v1/predict", body, Content_Type=content_type)
        server.ask("/nothing?secret=1")
        answered, refused = server.logged(2)
        assert (answered["status"], refused["status"]) == (200, 404)
        assert answered["body_bytes"] == len(body)
        assert answered["path"] == "/v1/predict"
        assert answered["ms"] > 0
        keys = ["time", "client", "method", "path", "status", "ms", "body_bytes"]
        assert [*answered] == [*refused] == keys
        assert "secret" not in json.dumps(refused)


def test_the_metrics_count_requests_by_route_and_status(serve) -> None:
    with serve() as server:
        for path, body in ((PREDICT, SEVEN), (PREDICT, b""), ("/a", None), ("/b", None)):
            server.ask(path, body)
        server.logged(4)
        text = server.ask("/metrics").body.decode()
    assert 'edge_adder_requests_total{path="/v1/predict",status="200"} 1.0' in text
    assert 'edge_adder_requests_total{path="/v1/predict",status="422"} 1.0' in text
    assert 'edge_adder_requests_total{path="other",status="404"} 2.0' in text
    assert 'edge_adder_request_seconds_count{path="/v1/predict"} 2.0' in text


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")


@needs_signals
def test_sigterm_finishes_what_is_running_and_ends_with_0(serve) -> None:
    with (
        serve(prelude=SLOW.format(seconds=1)) as server,
        ThreadPoolExecutor(3) as threads,
    ):
        running = [threads.submit(server.ask, PREDICT, SEVEN) for _ in range(3)]
        wait_for_pending(server, 3)
        assert server.stop() == 0
        assert [each.result().json["sum"] for each in running] == [12, 12, 12]


@needs_signals
def test_after_the_grace_time_nothing_more_is_begun(serve) -> None:
    with (
        serve("--grace", "0.5", prelude=SLOW.format(seconds=3)) as server,
        ThreadPoolExecutor(6) as threads,
    ):
        for _ in range(6):
            threads.submit(server.ask, PREDICT, SEVEN)
        wait_for_pending(server, 6)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 12  # of 18 s


@needs_signals
def test_ctrl_c_ends_with_130_in_silence(serve) -> None:
    with serve() as server:
        server.ask("/v2")
        (line,) = server.logged(1)
        assert line["status"] == 200
        assert server.stop(signal.SIGINT) == 130
        assert server.log == [line]
        assert server.process.stdout.read() == ""
