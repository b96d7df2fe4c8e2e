"""The routes: the page, `/v1/predict`, the Open Inference Protocol and the metrics."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any, NamedTuple, get_args

import numpy as np
import python_multipart  # noqa: F401  Starlette misses it only when the first form comes
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edge_adder import __version__
from edge_adder.contract import DIGITS, FULL_INK
from edge_adder.environment import allowed_cores
from edge_adder.errors import FileAccessError, InputError
from edge_adder.prediction import Outputs, Prediction, check_answers
from edge_adder.predictor import EdgeAdder
from edge_adder.preprocessing.decode import encode_png
from edge_adder.preprocessing.polarity import Ink
from edge_adder.preprocessing.prepare import Inspection, Unread, inspect
from edge_adder.serve import inference_protocol as protocol
from edge_adder.serve.guard import Guard
from edge_adder.serve.journal import UNANSWERED, Journal
from edge_adder.serve.problems import Problem, handle
from edge_adder.serve.settings import MODEL_NAME, MODEL_VERSION, Settings
from edge_adder.serve.workers import Workers

Handler = Callable[[Request], Awaitable[Response]]
"""What answers requests."""

PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/drawing.js": ("drawing.js", "text/javascript"),
    "/bars.js": ("bars.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Files of the page by path, with their types."""

_INK_COLOUR = (225, 29, 92)
"""Colour of the ink that is laid over a picture; seen on white, on black and on blue pens."""


class Question(NamedTuple):
    """What `/v1/predict` is asked.

    Attributes:
        picture: The encoded file.
        number: 0 to 9.
        ink: Whether the ink is lighter or darker than its background.
        each: Read each digit instead of one.
        distributions: Add the probability of every digit and every sum.
        explain: Add the picture, its ink and the network's input as images.
    """

    picture: bytes
    number: int
    ink: Ink = "auto"
    each: bool = False
    distributions: bool = False
    explain: bool = False


def create_app(
    adder: EdgeAdder, settings: Settings, *, log: Callable[[str], object] = print
) -> ASGIApp:
    """Return the server as an ASGI application.

    Args:
        adder: The model that all requests share.
        settings: What is accepted, and from whom.
        log: Takes a line of JSON for each request.
    """
    workers = Workers(allowed_cores(), settings.queue)

    async def _metrics(_: Request) -> Response:
        return Response(journal.metrics(), media_type="text/plain; version=0.0.4")

    routes = [
        *(Route(path, _file(*facts, settings)) for path, facts in PAGE.items()),
        Route("/openapi.json", _constant(_openapi())),
        Route("/v1/predict", partial(_predict, adder, workers), methods=["POST"]),
        Route("/metrics", _metrics),
        *_inference_routes(adder, workers),
    ]
    handled = (Problem, InputError, FileAccessError, HTTPException, Exception)
    handlers: dict[Any, Any] = dict.fromkeys(handled, handle) | {ClientDisconnect: _leave}
    app: ASGIApp = Starlette(routes=routes, exception_handlers=handlers)
    if settings.origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", protocol.HEADER_LENGTH],
            expose_headers=["Server-Timing", protocol.HEADER_LENGTH],
        )
    journal = Journal(Guard(app, settings), log=log, pending=lambda: workers.pending)
    return journal


def _file(name: str, media_type: str, settings: Settings) -> Handler:
    """Return a handler that answers with a file of the page."""
    content = (files(__package__) / "page" / name).read_bytes()
    content = content.replace(b"{{max_body_bytes}}", str(settings.max_body_bytes).encode())

    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return answer


def _constant(value: object) -> Handler:
    """Return a handler that answers with a value as JSON."""

    async def answer(_: Request) -> Response:
        return JSONResponse(value)

    return answer


async def _leave(_: Request, __: Exception) -> Response:
    """Answer a client that went away; only the journal sees it."""
    return Response(status_code=UNANSWERED)


def _openapi() -> Any:
    """Return the description of the interface, with this version."""
    description = json.loads((files(__package__) / "openapi.json").read_text("utf-8"))
    description["info"]["version"] = __version__
    return description


async def _predict(adder: EdgeAdder, workers: Workers, request: Request) -> Response:
    """Answer `/v1/predict`."""
    question = await _read_question(request)
    answer, timing = await workers.run(partial(_answer, adder, question))
    return JSONResponse(answer, headers={"Server-Timing": timing})


async def _read_question(request: Request) -> Question:
    """Read a picture and its parameters, from the query and from the fields of a form.

    Raises:
        Problem: Something is missing, unknown, or named twice.
    """
    fields = request.query_params.multi_items()
    if request.headers.get("content-type", "").partition(";")[0].lower() == "multipart/form-data":
        picture, more = await _read_form(request)
        fields += more
    else:
        picture = await request.body()
    named = dict(fields)
    if len(named) < len(fields):
        raise Problem(HTTPStatus.BAD_REQUEST, "a parameter is given twice")
    unknown = named.keys() - set(Question._fields[1:])
    if unknown:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"expected the parameters {', '.join(Question._fields[1:])}, got {min(unknown)[:50]!r}",
        )
    number, ink = named.pop("number", None), named.pop("ink", "auto")
    if number is None or len(number) != 1 or number not in "0123456789":
        got = "nothing" if number is None else repr(number[:50])
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"number must be an integer from 0 to {DIGITS - 1}, got {got}"
        )
    if ink not in get_args(Ink):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"ink must be one of {', '.join(get_args(Ink))}, got {ink[:50]!r}",
        )
    flags = {name: _flag(name, text) for name, text in named.items()}
    return Question(picture, int(number), ink, **flags)  # type: ignore[arg-type]  # checked above


async def _read_form(request: Request) -> tuple[bytes, list[tuple[str, str]]]:
    """Read a form of one file, of whatever name, and of fields; nothing is written to disk."""
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=10)
    parser.spool_max_size = 2**62  # the guard bounds the body
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        reason = getattr(error, "message", "it names no boundary")
        raise Problem(HTTPStatus.BAD_REQUEST, f"the form cannot be read: {reason[:200]}") from error
    fields: list[tuple[str, str]] = []
    picture = None
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.append((name, value))
        else:
            picture = await value.read()
    await form.close()
    if picture is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "the form has no file: add the picture")
    return picture, fields


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} must be true or false, got {text[:50]!r}")
    return text == "true"


def _answer(adder: EdgeAdder, question: Question) -> tuple[dict[str, Any], str]:
    """Read a picture; return the answer in JSON's types, and the value of ``Server-Timing``.

    Raises:
        EdgeAdderError: As `EdgeAdder.predict`.
    """
    began = time.perf_counter()
    inspection = inspect(question.picture, ink=question.ink, each=question.each)
    inspection.check(question.picture)
    prepared = time.perf_counter()
    found: list[Prediction | Unread] = []
    if question.each:
        found += adder.predict_inspected(inspection, question.number)
    else:
        found.append(adder.predict_prepared(*inspection.digits[0], question.number))
    ended = time.perf_counter()
    inputs = {preparation.box: image for image, preparation in inspection.digits}
    answers = []
    for each in found:
        if isinstance(each, Unread):
            answers.append(each.to_dict())
            continue
        answers.append(each.to_dict(distributions=question.distributions))
        image = inputs.get(each.preparation.box)  # none of half of what touched
        if question.explain and image is not None:
            answers[-1]["input"] = _data_url(encode_png(image))
    result = answers[0]
    if question.each:
        result = {
            "predictions": [{"index": i} | answer for i, answer in enumerate(answers, start=1)]
        }
    if question.explain:
        result |= {
            "picture": _data_url(encode_png(_searched(inspection))),
            "ink": _data_url(encode_png(_ink_layer(inspection))),
        }
    timing = f"prepare;dur={1000 * (prepared - began):.3f}, "
    timing += f"network;dur={1000 * (ended - prepared):.3f}"
    return result, timing


def _searched(inspection: Inspection) -> NDArray[np.uint8]:
    """Return the picture in the size that was searched, in which its ink is known."""
    found = inspection.segmentation
    return inspection.pixels if found is None else found.picture


def _ink_layer(inspection: Inspection) -> NDArray[np.uint8]:
    """Return the ink to lay over a picture: uint8 (height, width, 4), clear where there is none."""
    found = inspection.segmentation
    ink = inspection.pixels >= FULL_INK // 2
    if found is not None:
        ink = np.logical_or.reduce(found.masks)
    layer = np.zeros((*ink.shape, 4), np.uint8)
    layer[ink] = (*_INK_COLOUR, FULL_INK)
    return layer


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _inference_routes(adder: EdgeAdder, workers: Workers) -> list[Route]:
    """Return the routes of the Open Inference Protocol."""
    metadata = protocol.model_metadata(adder.batch)
    model = "/v2/models/{model}"
    ready = {"name": MODEL_NAME, "ready": True}
    infer = partial(_infer, adder, workers)
    routes = [
        Route("/v2", _constant(protocol.server_metadata())),
        Route("/v2/health/live", _constant({"live": True})),
        Route("/v2/health/ready", _constant({"ready": True})),
    ]
    for prefix in (model, model + "/versions/{version}"):
        routes += [
            Route(prefix, _of_model(_constant(metadata))),
            Route(f"{prefix}/ready", _of_model(_constant(ready))),
            Route(f"{prefix}/infer", infer, methods=["POST"]),
        ]
    return routes


def _check_model(request: Request) -> None:
    """Refuse another model's name or version."""
    name = request.path_params["model"]
    version = request.path_params.get("version", MODEL_VERSION)
    if (name, version) != (MODEL_NAME, MODEL_VERSION):
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"expected model {MODEL_NAME}, version {MODEL_VERSION}, got "
            f"{name[:50]!r}, version {version[:50]!r}",
        )


def _of_model(handler: Handler) -> Handler:
    """Return a handler that refuses other models."""

    async def checked(request: Request) -> Response:
        _check_model(request)
        return await handler(request)

    return checked


async def _infer(adder: EdgeAdder, workers: Workers, request: Request) -> Response:
    """Answer a request for inference."""
    _check_model(request)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "compressed requests are not supported")
    body = await request.body()
    header_length = request.headers.get(protocol.HEADER_LENGTH)
    content, length = await workers.run(partial(_run, adder, body, header_length))
    if length is None:
        return Response(content, media_type="application/json")
    headers = {protocol.HEADER_LENGTH: str(length)}
    return Response(content, media_type="application/octet-stream", headers=headers)


def _run(adder: EdgeAdder, body: bytes, header_length: str | None) -> tuple[bytes, int | None]:
    """Run the network on a request for inference; return what `write_response` does.

    Raises:
        Problem: The request does not keep the protocol.
        EdgeAdderError: As `EdgeAdder.run`, or an answer is no log-probability.
    """
    asked = protocol.read_request(body, header_length)
    outputs: Outputs = adder.run(asked.images, asked.numbers)
    for each in outputs:
        check_answers(each.max(1))
    return protocol.write_response(asked, outputs)
