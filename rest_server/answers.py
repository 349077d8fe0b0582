"""Good answers: small values encoded on the spot, and documents of the state with their validators.

Rule 1: JSON is strict: no NaN, no Infinity.
Rule 2: a state answer carries a weak entity tag made of the epoch and the content, the same in every coding;
whoever has it already gets 304 before any body is made.
Rule 3: HEAD has the headers of GET and no body at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from io import BytesIO
from typing import Any, Final

import msgspec
from flask import Response, request
from werkzeug.wsgi import wrap_file

from rest_server.audience import Audience
from rest_server.documents import COMPRESS_FROM, Document, document
from rest_server.negotiation import choose_encoding, has_current
from rest_server.published import Published

WRAP_FROM: Final = 32 * 1024  # bytes; larger bodies are handed to the server as a file: no copy, no waiting
JSON: Final = "application/json"

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Small:
    """A value to be encoded as JSON (or text given as bytes, of another media type)."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class OfState:
    """A document of the state as one reader may see it; ``changed_ms``: time of its newest visible fact."""

    document: Document
    epoch: str
    sequence: int
    changed_ms: int | None


Answer = Small | OfState


def of_state(made: Document, published: Published, audience: Audience) -> OfState:
    """The document as the answer to this audience."""
    standing = published.standing_of(audience)
    return OfState(made, published.epoch, standing.sequence, standing.changed_ms)


def json_of_state(value: Any, published: Published, audience: Audience) -> OfState:
    """A small value of the state, with the same validators as a large one."""
    return of_state(document(_encoder.encode(value)), published, audience)


def respond(answer: Answer) -> Response:
    """Turn an answer into the response to the present request."""
    if isinstance(answer, OfState):
        return _respond_state(answer)
    body = answer.value if isinstance(answer.value, bytes) else _encoder.encode(answer.value)
    return Response(body, answer.status, dict(answer.headers), content_type=answer.media_type)


def _respond_state(answer: OfState) -> Response:
    etag = f'W/"{answer.epoch}-{answer.document.tag}"'
    headers = {
        "ETag": etag,
        "X-Epoch": answer.epoch,
        "X-Sequence": str(answer.sequence),
        "Accept-Ranges": "none",
    }
    if answer.changed_ms is not None:
        headers["Last-Modified"] = formatdate(answer.changed_ms / 1000, usegmt=True)
    if has_current(request.environ.get("HTTP_IF_NONE_MATCH"), etag):
        return Response(status=304, headers=headers)
    return _with_body(answer.document, headers)


def _with_body(document: Document, headers: dict[str, str]) -> Response:
    is_small = document.size < COMPRESS_FROM
    encoding = "identity" if is_small else choose_encoding(request.environ.get("HTTP_ACCEPT_ENCODING"))
    body = document.body(encoding)
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    if len(body) < WRAP_FROM:
        return Response(body, 200, headers, content_type=JSON)
    headers["Content-Length"] = str(len(body))
    content = wrap_file(request.environ, BytesIO(body), WRAP_FROM)
    return Response(content, 200, headers, content_type=JSON, direct_passthrough=True)
