"""One shape for everything that goes wrong.

Rule 1: the body is always ``{"error": <Vanta's sentence>, "code": <stable word>, "request_id": <id>}``.
Rule 2: nothing of the inside of the server is ever in it: no exception text, no path, no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from journal.entry import UnavailableError
from rest_server import request_ids

_log = structlog.get_logger()

UNAUTHORIZED: Final = "Unauthorized access"

TEXTS: Final[dict[int, tuple[str, str]]] = {
    400: ("bad_request", "Bad request"),
    401: ("unauthorized", UNAUTHORIZED),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Resource not found"),
    405: ("method_not_allowed", "Method not allowed"),
    406: ("not_acceptable", "Not acceptable"),
    408: ("request_timeout", "The request did not arrive in time"),
    409: ("conflict", "Conflict with what is there already"),
    410: ("gone", "These entries are gone"),
    413: ("body_too_large", "Request body too large"),
    414: ("uri_too_long", "Request address too long"),
    415: ("unsupported_media_type", "Content-Type must be application/json"),
    429: ("rate_limited", "Too many requests"),
    431: ("headers_too_large", "Request headers too large"),
    500: ("internal_error", "Internal server error"),
    501: ("not_implemented", "Not implemented"),
    503: ("unavailable", "Service temporarily unavailable"),
}


class Problem(Exception):
    """An answer that is not the one that was asked for. ``extra`` joins the body beside ``error``."""

    def __init__(
        self,
        status: int,
        error: str | None = None,
        code: str | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        default_code, default_error = TEXTS[status]
        super().__init__(error or default_error)
        self.status = status
        self.error = error or default_error
        self.code = code or default_code
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


def body_of(error: str, code: str, request_id: str, extra: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of an error body."""
    return orjson.dumps({"error": error, "code": code, "request_id": request_id, **(extra or {})})


def unauthorized() -> Problem:
    """No key, a wrong key and a revoked key look exactly alike."""
    return Problem(401, headers={"WWW-Authenticate": 'Bearer realm="vanta"'})


def register(app: Flask) -> None:
    """Answer every failure of ``app`` in the one shape."""
    app.register_error_handler(Problem, _answer_problem)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(UnavailableError, _answer_unavailable)
    app.register_error_handler(500, _answer_crash)


def _answer_problem(problem: Problem) -> Response:
    body = body_of(problem.error, problem.code, request_ids.current(), problem.extra)
    return Response(body, problem.status, problem.headers, mimetype="application/json")


def _answer_http(error: HTTPException) -> Response:
    status = error.code if error.code in TEXTS else 400
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return _answer_problem(Problem(status or 400, headers=headers))


def _answer_unavailable(error: UnavailableError) -> Response:
    """The journal takes nothing now (full disk, replica): nothing was written, the client may try again."""
    _log.warning("the journal is not available", problem=str(error), request_id=request_ids.current())
    return _answer_problem(Problem(503, _own_sentence(503), headers={"Retry-After": "1"}))


def _answer_crash(error: Exception) -> Response:
    """Flask has logged the exception with its traceback; the client learns only the request's id."""
    return _answer_problem(Problem(500, _own_sentence(500)))


def _own_sentence(status: int) -> str | None:
    """What the present route says instead of the usual sentence, if it has one (``operation.says``)."""
    sentences: dict[int, str] = g.get("sentences", {})
    return sentences.get(status)
