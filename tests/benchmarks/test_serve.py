"""The server under load, briefly: the same as `python -m benchmarks.serve`, without its times."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="the server needs the extra `serve`")
pytest.importorskip("starlette", reason="the server needs the extra `serve`")

from benchmarks import serve
from edge_adder import EdgeAdder
from edge_adder.errors import EdgeAdderError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures Linux's memory")


@pytest.fixture(scope="module")
def asked(adder: EdgeAdder) -> list[serve.Question]:
    return serve.questions(adder, 20)


@pytest.fixture
def server() -> Iterator[serve.Server]:
    with serve.serving() as started:
        yield started


def test_a_wrong_answer_is_seen(server: serve.Server, asked: list[serve.Question]) -> None:
    wrong = [question._replace(sum=17) for question in asked if question.sum != 17]
    load = serve.run_load(server, wrong, 50, 0.5)
    assert load.wrong == len(load.milliseconds) > 0
    assert not load.is_clean


def test_a_server_that_is_gone_is_seen(server: serve.Server, asked: list[serve.Question]) -> None:
    server.process.terminate()
    server.process.wait(30)
    load = serve.run_load(server, asked, 50, 0.5)
    assert load.unanswered > 0
    assert not load.is_clean
    with pytest.raises(EdgeAdderError, match="not even 50 requests"):
        serve.highest_rate(server, asked, 0.1)


def test_under_load_nothing_is_wrong_and_memory_is_flat(
    server: serve.Server, asked: list[serve.Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "BROKEN_SHARE", 0.1)
    load, growth = serve.soak(server, asked, 60, 6)
    assert load.is_clean
    assert load.statuses.keys() == {200, 422}
    assert load.statuses[422] > 5
    assert growth < 0.25  # the bound of a tenth is for ten minutes


def test_sigterm_under_load_loses_no_accepted_request(
    server: serve.Server, asked: list[serve.Question]
) -> None:
    assert serve.end_under_load(server, asked, 100, 3) == 0


def test_a_thousand_slow_connections_do_not_stop_others(
    server: serve.Server, asked: list[serve.Question]
) -> None:
    alone, beside = serve.beside_slow_connections(server, asked, 30, 2)
    assert alone.is_clean
    assert beside.is_clean
    assert beside.statuses[200] > 20


def test_a_request_has_a_cost(server: serve.Server, adder: EdgeAdder) -> None:
    found = serve.cost(server, adder, 20)
    assert found["request_us"] > found["predict_us"] > 0
    assert found["ratio"] > 1
