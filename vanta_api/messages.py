"""WebSocket messages, both ways: what a client may say, and the exact bytes a server answers.

Rule 1: a data frame is a pure function of its entry; live, replay and replica send the same bytes.
Rule 2: only a frame that carries a ``positions`` entry has a key ``sequence``. The published client
takes every frame with that key for data, so heartbeats carry ``current_sequence`` and other streams
``stream_sequence``.
Rule 3: any bytes from a client become one of the frames below or a FrameError; nothing else is raised.

Server to client::

    {"status":"success","message":...,"current_sequence":n,"tier":t,"epoch":e,...}      auth_reply
    {"status":"error","message":...,"code":...}                                          error
    {"sequence":n,"timestamp":ms,"data":{...}}                                           data_frame
    {"stream":s,"stream_sequence":n,"timestamp":ms,"data":{...}}                         stream_frame
    {"type":"batch","messages":[<frames>],"count":k}                                     batch_frame
    {"type":"heartbeat","current_sequence":n,"epoch":e,"timestamp":ms}                   heartbeat
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from vanta_api.client_frames import (
    AUTH_REQUIRED_TEXT,
    MAX_FILTER_ITEMS,
    MAX_FRAME_AFTER_AUTH,
    MAX_FRAME_BEFORE_AUTH,
    Auth,
    FrameError,
    Ping,
    Request,
    Subscribe,
    Unsubscribe,
    decode_auth,
    decode_request,
)
from vanta_api.close_codes import CLOSE_CODES, INSUFFICIENT_TIER, INVALID_KEY, REPLACED, CloseCode
from vanta_api.server_frames import ServerFrame, decode_server_frame

__all__ = [
    "AUTH_REQUIRED_TEXT",
    "CLOSE_CODES",
    "HEARTBEAT_MS",
    "INSUFFICIENT_TIER_TEXT",
    "INVALID_KEY_TEXT",
    "MAX_CONNECTIONS_TEXT",
    "MAX_FILTER_ITEMS",
    "MAX_FRAME_AFTER_AUTH",
    "MAX_FRAME_BEFORE_AUTH",
    "PROTOCOL",
    "Auth",
    "CloseCode",
    "FrameError",
    "Ping",
    "RecoveryReason",
    "Request",
    "ServerFrame",
    "Subscribe",
    "Unsubscribe",
    "auth_reply",
    "batch_frame",
    "data_frame",
    "decode_auth",
    "decode_request",
    "decode_server_frame",
    "error",
    "filtered_frame",
    "filtered_stream_frame",
    "heartbeat",
    "insufficient_tier",
    "invalid_key",
    "pong",
    "replaced",
    "resync_required",
    "server_shutdown",
    "stream_frame",
    "subscription_status",
]

PROTOCOL: Final = 1  # grows only when an old client could misread a frame
HEARTBEAT_MS: Final = 5_000

INVALID_KEY_TEXT: Final = "Invalid API key. Authentication failed."
INSUFFICIENT_TIER_TEXT: Final = "WebSocket connections require tier 100 access. Please upgrade your API key."
MAX_CONNECTIONS_TEXT: Final = "Disconnected due to too many connections for this API key"

RecoveryReason = Literal["epoch_changed", "trimmed", "future_sequence"]

_encode = msgspec.json.Encoder().encode


def data_frame(sequence: int, time_ms: int, body: bytes) -> bytes:
    """The frame of a ``positions`` entry: ``body`` is the entry's JSON, ``time_ms`` its append time."""
    return b'{"sequence":%d,"timestamp":%d,"data":%b}' % (sequence, time_ms, body)


def filtered_frame(sequence: int, time_ms: int, body: bytes, prev_sequence: int) -> bytes:
    """A ``positions`` frame for a filtered subscriber.

    ``prev_sequence`` is the number of the last frame this subscription was sent, or, for its first
    frame, the number it started after: loss stays one comparison.
    """
    head = (sequence, prev_sequence, time_ms, body)
    return b'{"sequence":%d,"prev_sequence":%d,"timestamp":%d,"data":%b}' % head


def stream_frame(stream: str, sequence: int, time_ms: int, body: bytes) -> bytes:
    """The frame of an entry of another stream (``orders``, ``marks``, ...)."""
    head = (stream.encode(), sequence, time_ms, body)
    return b'{"stream":"%b","stream_sequence":%d,"timestamp":%d,"data":%b}' % head


def filtered_stream_frame(stream: str, sequence: int, time_ms: int, body: bytes, prev_sequence: int) -> bytes:
    """``stream_frame`` for a filtered subscriber; see ``filtered_frame``."""
    head = (stream.encode(), sequence, prev_sequence, time_ms, body)
    return b'{"stream":"%b","stream_sequence":%d,"prev_sequence":%d,"timestamp":%d,"data":%b}' % head


def batch_frame(frames: Sequence[bytes]) -> bytes:
    """Several data frames in one; their bytes are unchanged inside."""
    return b'{"type":"batch","messages":[%b],"count":%d}' % (b",".join(frames), len(frames))


# --- server to client: control --------------------------------------------------------------------


def auth_reply(
    *,
    current_sequence: int,
    tier: int,
    epoch: str,
    oldest_sequence: int,
    recovered: bool,
    reason: RecoveryReason | None = None,
    heartbeat_ms: int = HEARTBEAT_MS,
    snapshot_url: str | None = None,
    heads: dict[str, int] | None = None,
) -> bytes:
    """The answer to a good key.

    ``recovered`` True: everything after the client's ``last_sequence`` follows its ``subscribe`` (also
    when it asked for live only). False: ``reason`` says why not and ``snapshot_url`` where to get a
    snapshot; the stream continues live. ``heads`` are the newest numbers of all streams.
    """
    return _encode(
        {
            "status": "success",
            "message": "Authentication successful.",
            "current_sequence": current_sequence,
            "tier": tier,
            "epoch": epoch,
            "oldest_sequence": oldest_sequence,
            "recovered": recovered,
            "reason": reason,
            "protocol": PROTOCOL,
            "heartbeat_ms": heartbeat_ms,
            "max_message_bytes": MAX_FRAME_AFTER_AUTH,
            "snapshot_url": snapshot_url,
            "heads": heads,
        }
    )


def error(message: str, code: str | None = None, *, retry_after_ms: int | None = None) -> bytes:
    """An error in Vanta's shape. ``retry_after_ms`` is a hint for when to come back."""
    frame: dict[str, object] = {"status": "error", "message": message}
    if code is not None:
        frame["code"] = code
    if retry_after_ms is not None:
        frame["retry_after_ms"] = retry_after_ms
    return _encode(frame)


def invalid_key() -> tuple[bytes, int]:
    """Error frame and close code for a key that is not known."""
    return error(INVALID_KEY_TEXT, "INVALID_API_KEY"), INVALID_KEY


def insufficient_tier() -> tuple[bytes, int]:
    """Error frame and close code for a key below tier 100."""
    return error(INSUFFICIENT_TIER_TEXT, "INSUFFICIENT_TIER"), INSUFFICIENT_TIER


def replaced() -> tuple[bytes, int]:
    """Error frame and close code for the oldest connection of a key that has too many."""
    return error(MAX_CONNECTIONS_TEXT, "MAX_CONNECTIONS_EXCEEDED"), REPLACED


def pong(client_timestamp: float | None, server_ms: int) -> bytes:
    """The answer to a ping."""
    frame: dict[str, object] = {"type": "pong", "server_timestamp": server_ms, "timestamp": server_ms}
    if client_timestamp is not None:  # the published client calculates with what is there
        frame["client_timestamp"] = client_timestamp
    return _encode(frame)


def heartbeat(current_sequence: int, epoch: str, server_ms: int) -> bytes:
    """Sign of life.

    ``current_sequence`` is the highest ``positions`` number that was already sent to this subscriber or
    withheld from it by its filter, so a client that has a lower number has lost something. While a
    replay runs that is the replay's own cursor, not the head.
    """
    return _encode(
        {
            "type": "heartbeat",
            "current_sequence": current_sequence,
            "epoch": epoch,
            "timestamp": server_ms,
        }
    )


def subscription_status(request: Subscribe | Unsubscribe, received_ms: int) -> bytes:
    """The answer to subscribe and unsubscribe, in Vanta's shape; filters in force are repeated."""
    frame: dict[str, object] = {
        "type": "subscription_status",
        "status": "success",
        "all": request.all,
        "action": "subscribe" if isinstance(request, Subscribe) else "unsubscribe",
    }
    if request.sender_timestamp is not None:  # the published client calculates with what is there
        frame |= {"sender_timestamp": request.sender_timestamp, "received_timestamp": received_ms}
    if isinstance(request, Subscribe):
        chosen = ("hotkeys", "venues", "trade_pairs", "streams")
        frame.update({name: getattr(request, name) for name in chosen if getattr(request, name)})
    return _encode(frame)


def server_shutdown(in_ms: int, reconnect_after_ms: int, current_sequence: int) -> bytes:
    """Notice before a planned restart (then 1012). ``reconnect_after_ms`` is drawn per connection."""
    return _encode(
        {
            "type": "server_shutdown",
            "in_ms": in_ms,
            "reconnect_after_ms": reconnect_after_ms,
            "current_sequence": current_sequence,
        }
    )


def resync_required(
    reason: str, expected_sequence: int, current_sequence: int, *, stream: str | None = None
) -> bytes:
    """Notice that entries from ``expected_sequence`` on were not sent to this client.

    The numbers are of ``positions``, or of the ``stream`` that is named.
    """
    frame: dict[str, object] = {
        "type": "resync_required",
        "reason": reason,
        "expected_sequence": expected_sequence,
        "current_sequence": current_sequence,
    }
    if stream is not None:
        frame["stream"] = stream
    return _encode(frame)
