"""Scoped-token signatures: which headers prove that a request comes from the holder of a token.

Rule 1: what is signed is the request target exactly as it goes over the wire (path and query string) and
the body byte for byte; a client that lets a library re-quote the query signs something else.
Rule 2: the secret is base64 text; the HMAC key is what it decodes to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

SKEW_MS: Final = 30_000  # the venue refuses timestamps further away from its clock than this


@dataclass(frozen=True, slots=True)
class Token:
    """A scoped API token: its id, and its secret as base64 text."""

    token_id: str
    secret: str = field(repr=False)


def signature(secret: str, timestamp: str, method: str, target: str, body: bytes = b"") -> str:
    """Base64 HMAC-SHA256 over timestamp, method, target and body, one per line.

    Raises ValueError when ``secret`` is not base64.
    """
    try:
        key = base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise ValueError("the HMAC secret must be base64 text") from None
    message = f"{timestamp}\n{method.upper()}\n{target}\n".encode() + body
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode("ascii")


def signed_headers(token: Token, now_ms: int, method: str, target: str, body: bytes = b"") -> dict[str, str]:
    """The three headers of a signed request; ``target`` is path plus query string, without the host."""
    timestamp = iso_ms(now_ms)
    return {
        "lmts-api-key": token.token_id,
        "lmts-timestamp": timestamp,
        "lmts-signature": signature(token.secret, timestamp, method, target, body),
    }


def iso_ms(at_ms: int) -> str:
    """UTC time with milliseconds and a Z: ``2026-01-15T12:34:56.789Z``."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def parse_iso_ms(text: str) -> int:
    """Milliseconds of an ISO 8601 time (UTC when it names no zone). Raises ValueError."""
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)
