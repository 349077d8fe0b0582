"""Requests in the venue's manner: JSON both ways, success and failure told by an envelope.

A failure is an HTTP status with ``{"result": "<CODE>", "details": "<text>"}``; an answer of 200 whose result
is not ``OK`` is one too. Details are repeated in errors, bodies we sent never are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from venues.errors import Broken, Rejected, Retryable
from venues.http import Answer, Http

TOLD_STATUSES: Final = frozenset({400, 401, 404, 412})  # their bodies say what was wrong
NOT_YET: Final = frozenset({"TRADING_IS_NOT_STARTED_YET"})
SHOWN: Final = 160  # characters of the venue's words that are repeated


class NotLoggedIn(Rejected):
    """The session is missing or has expired (401): log in and ask again."""


class _Head(msgspec.Struct):
    result: str | None = None
    details: str | None = None


_head: Final = msgspec.json.Decoder(_Head)


def ask(
    http: Http,
    method: str,
    path: str,
    *,
    body: Any = None,
    params: Mapping[str, Any] | None = None,
    cookie: str | None = None,
) -> Answer:
    """Return a successful answer (204 has no body).

    Raises NotLoggedIn, Rejected with the venue's code, Retryable, or Broken when the body is not JSON.
    """
    headers = {} if cookie is None else {"Cookie": cookie}
    sent = None
    if body is not None:
        sent = msgspec.json.encode(body)
        headers["Content-Type"] = "application/json"
    answer = http.request(method, path, params=params, body=sent, headers=headers, accept=TOLD_STATUSES)
    judge(path, answer)
    return answer


def judge(path: str, answer: Answer) -> None:
    """Raise what a failed answer means."""
    if answer.status == 204:
        return
    if answer.status in TOLD_STATUSES:
        _refuse(path, answer.status, _read_head(answer.body) or _Head())
    head = _read_head(answer.body)
    if head is None:
        raise Broken(path, "JSON", repr(answer.body[:60]))
    if head.result not in (None, "OK"):
        _refuse(path, answer.status, head)


def _read_head(body: bytes) -> _Head | None:
    """The envelope's words; an empty one for JSON that is no envelope, None for what is no JSON."""
    try:
        return _head.decode(body)
    except msgspec.ValidationError:
        return _Head()
    except msgspec.DecodeError:
        return None


def _refuse(path: str, status: int, head: _Head) -> None:
    words = " ".join(part for part in (head.result, head.details) if part)[:SHOWN]
    message = f"{path} answered {status} {words}".rstrip()
    if head.result in NOT_YET:
        raise Retryable(message, after_s=60.0)
    kind = NotLoggedIn if status == 401 else Rejected
    raise kind(message, status=status, code=head.result)
