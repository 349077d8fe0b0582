"""Routes whose every call is written down: who did what with an operator's rights.

Rule 1: what is about to be done is on disk before it is done; if it cannot be written, nothing is done.
Rule 2: every call is written, refused ones too, with the status it got.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec

import structlog
from flask import Response, request
from werkzeug.exceptions import HTTPException

from journal.entry import UnavailableError
from rest_server import request_ids
from rest_server.auth import client_address, optional_key
from rest_server.errors import Problem
from rest_server.operation import operation_of
from rest_server.services import services

Arguments = ParamSpec("Arguments")

NOT_AVAILABLE: Final = "Audit log not available"

_log = structlog.get_logger()


def audited(view: Callable[Arguments, Response]) -> Callable[Arguments, Response]:
    """Write down every call of this route with what became of it. Outermost, under the route itself."""
    operation_of(view).fails(503, NOT_AVAILABLE)

    @wraps(view)
    def watched(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        status, error = 500, None
        try:
            response = view(*args, **kwargs)
            status = response.status_code
        except Problem as problem:
            status, error = problem.status, problem.error
            raise
        except HTTPException as problem:
            status = problem.code or 500
            raise
        except UnavailableError:
            status = 503
            raise
        finally:
            _close(status, error)
        return response

    return watched


def intend(action: str, **facts: Any) -> None:
    """Write down what is about to be done. Raises Problem 503 when that is not possible."""
    try:
        services().audit.write("intended", action=action, **_who(), **facts)
    except OSError as error:
        _log.error("the audit log cannot be written", problem=error.strerror)
        raise Problem(503, NOT_AVAILABLE, "audit_unavailable", headers={"Retry-After": "5"}) from None


def _close(status: int, error: str | None) -> None:
    """Write down what became of a call; what is done is done, so a log that fails now is only reported."""
    try:
        services().audit.write("answered", **_who(), status=status, error=error)
    except OSError as problem:
        _log.error("the audit log cannot be written", problem=problem.strerror)


def _who() -> dict[str, Any]:
    key = optional_key()
    return {
        "request_id": request_ids.current(),
        "route": request.url_rule.rule if request.url_rule else None,
        "target": (request.view_args or {}).get("hotkey"),
        "key_id": key.id if key else None,
        "user": key.user if key else None,
        "client": client_address(),
    }
