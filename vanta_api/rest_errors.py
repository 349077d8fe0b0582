"""What can go wrong with a REST request, as exceptions that carry the server's own words.

Rule: an error's text never contains the key; it names the request id wherever the server gave one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import requests


class RestError(Exception):
    """The request failed. ``status`` is None when no answer came at all."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        tail = f" (request {request_id})" if request_id else ""
        super().__init__(f"{status or 'no answer'}: {message}{tail}")
        self.status = status
        self.message = message
        self.code = code
        self.request_id = request_id
        self.body = body or {}


class Unreachable(RestError):
    """No answer came: refused, timed out or broken off."""


class Unauthorized(RestError):
    """The key is missing or not known (401)."""


class Forbidden(RestError):
    """The key's tier does not include this (403)."""


class NotFound(RestError):
    """There is no such thing (404)."""


class Gone(RestError):
    """The entries asked for are no longer (or not yet) here (410); ``reason`` says why."""

    @property
    def reason(self) -> str | None:
        """``trimmed``, ``epoch_changed`` or ``future_sequence``."""
        reason = self.body.get("reason")
        return reason if isinstance(reason, str) else None


class RateLimited(RestError):
    """Too many requests, also after waiting as long as the server asked for (429)."""


_BY_STATUS: Final[dict[int, type[RestError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    410: Gone,
    429: RateLimited,
}


def error_of(response: requests.Response) -> RestError:
    """The exception for an answer that is not a success."""
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        body = None
    fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
    message = fields.get("error") or fields.get("detail") or response.reason or "the request failed"
    return _BY_STATUS.get(response.status_code, RestError)(
        str(message),
        status=response.status_code,
        code=fields.get("code"),
        request_id=fields.get("request_id") or response.headers.get("X-Request-ID"),
        body=fields,
    )
