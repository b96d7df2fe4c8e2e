"""Refusals as answers: RFC 9457's problem details, or the inference protocol's ``error``."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_adder.errors import EdgeAdderError, FileAccessError, ImageError, InputError

RETRY_SECONDS = 1
"""When to come again if the server is busy: what is waiting takes less."""

INTERNAL = "internal fault: the server's log has more"

_STATUS = {
    ImageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    InputError: HTTPStatus.BAD_REQUEST,
    FileAccessError: HTTPStatus.SERVICE_UNAVAILABLE,  # memory does not suffice for a picture
}


class Problem(Exception):  # noqa: N818  the RFC's word
    """A request that is refused.

    Args:
        status: The HTTP status.
        detail: What arrived, what was expected, what to do: one line.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = HTTPStatus(status), detail


def problem_of(error: Exception) -> Problem:
    """Return what is answered for an exception; of a fault nothing but that it is one."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):  # Starlette's: no such path, or another method
        return Problem(error.status_code, error.detail)
    if isinstance(error, EdgeAdderError):
        for kind, status in _STATUS.items():
            if isinstance(error, kind):
                return Problem(status, str(error))
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL)


def answer_problem(path: str, error: Exception) -> JSONResponse:
    """Return the answer for an exception, in the form that the path's protocol has."""
    problem = problem_of(error)
    headers = dict(getattr(error, "headers", None) or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_SECONDS)
    elif problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if path == "/v2" or path.startswith("/v2/"):
        return JSONResponse({"error": problem.detail}, problem.status, headers)
    content = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": int(problem.status),
        "detail": problem.detail,
    }
    return JSONResponse(content, problem.status, headers, "application/problem+json")


async def handle(request: Request, error: Exception) -> JSONResponse:
    """Answer an exception that a route raised."""
    return answer_problem(request.url.path, error)
