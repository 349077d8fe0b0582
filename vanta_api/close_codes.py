"""Why a connection was closed, and whether to come back: the table both ends read.

Rule: a code's meaning and advice never change; a new meaning takes a new number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Retry = Literal["never", "jitter", "backoff", "hint"]
"""``never``: the same request will be refused again. ``jitter``: come back soon, at a random moment.
``backoff``: come back, each time later. ``hint``: come back when the frame before the close said."""


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One close code. ``resumes`` says that ``last_sequence`` makes the next connection lossless."""

    code: int
    name: str
    meaning: str
    retry: Retry
    resumes: bool = True


NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
RESTART: Final = 1012
OVERLOADED: Final = 1013
AUTH_TIMEOUT: Final = 4001
BAD_AUTH_MESSAGE: Final = 4002
INVALID_KEY: Final = 4003
INSUFFICIENT_TIER: Final = 4004
KEY_REVOKED: Final = 4005
REPLACED: Final = 4006
RATE_LIMITED: Final = 4007
SLOW_CONSUMER: Final = 4008
IDLE: Final = 4009
RESYNC_REQUIRED: Final = 4010

_TABLE: Final = (
    CloseCode(NORMAL, "normal", "the conversation is over", "jitter"),
    CloseCode(GOING_AWAY, "going_away", "the server process is leaving", "jitter"),
    CloseCode(PROTOCOL_ERROR, "protocol_error", "a frame broke the WebSocket protocol", "backoff"),
    CloseCode(INVALID_DATA, "invalid_data", "a text frame was not valid UTF-8", "backoff"),
    CloseCode(POLICY, "policy", "refused by the server's policy", "backoff"),
    CloseCode(TOO_BIG, "too_big", "a frame was longer than the server reads", "backoff"),
    CloseCode(INTERNAL_ERROR, "internal_error", "the server failed; it is not the client's fault", "backoff"),
    CloseCode(RESTART, "restart", "planned restart; server_shutdown said when to come back", "hint"),
    CloseCode(OVERLOADED, "overloaded", "too busy; the error frame says when to come back", "hint"),
    CloseCode(AUTH_TIMEOUT, "auth_timeout", "no authentication within the deadline", "backoff"),
    CloseCode(BAD_AUTH_MESSAGE, "bad_auth_message", "the first frame was not an authentication", "backoff"),
    CloseCode(INVALID_KEY, "invalid_key", "the API key is not known", "never"),
    CloseCode(INSUFFICIENT_TIER, "insufficient_tier", "the key's tier does not include streaming", "never"),
    CloseCode(KEY_REVOKED, "key_revoked", "the key was revoked, expired or downgraded", "never"),
    CloseCode(REPLACED, "replaced", "a newer connection of the same key took the place", "backoff"),
    CloseCode(RATE_LIMITED, "rate_limited", "the client sent too many frames", "hint"),
    CloseCode(SLOW_CONSUMER, "slow_consumer", "the client read too slowly", "jitter"),
    CloseCode(IDLE, "idle", "no sign of life from the client", "jitter"),
    CloseCode(
        RESYNC_REQUIRED,
        "resync_required",
        "the stream cannot go on from here; take a snapshot",
        "jitter",
        False,
    ),
)

CLOSE_CODES: Final[dict[int, CloseCode]] = {row.code: row for row in _TABLE}


def advice(code: int | None) -> Retry:
    """What to do after a close with ``code`` (None or unknown: the connection broke)."""
    row = CLOSE_CODES.get(code) if code is not None else None
    return row.retry if row else "backoff"
