"""Reading what a server says: one tolerant shape for every frame."""

from __future__ import annotations

from typing import Any

import msgspec

from vanta_api.client_frames import FrameError, plain_reason


class ServerFrame(msgspec.Struct, frozen=True, kw_only=True):
    """Any frame a server may send, read tolerantly: what a frame does not carry is None.

    ``data`` stays undecoded JSON; ``messages`` are a batch's frames.
    """

    type: str | None = None
    status: str | None = None
    message: str | None = None
    code: str | None = None
    sequence: int | None = None
    prev_sequence: int | None = None
    stream: str | None = None
    stream_sequence: int | None = None
    timestamp: int | float | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    messages: tuple[ServerFrame, ...] = ()
    current_sequence: int | None = None
    oldest_sequence: int | None = None
    tier: float | None = None
    epoch: str | None = None
    recovered: bool | None = None
    reason: str | None = None
    protocol: int | None = None
    heartbeat_ms: int | None = None
    snapshot_url: str | None = None
    heads: dict[str, int] | None = None
    client_timestamp: int | float | None = None
    server_timestamp: int | float | None = None
    action: str | None = None
    in_ms: int | None = None
    reconnect_after_ms: int | None = None
    retry_after_ms: int | None = None
    expected_sequence: int | None = None

    @property
    def is_data(self) -> bool:
        """True for the frame of an entry (of any stream)."""
        return self.type is None and (self.sequence is not None or self.stream_sequence is not None)


_server_frame = msgspec.json.Decoder(ServerFrame)


def decode_server_frame(raw: bytes | str) -> ServerFrame:
    """Read a server's frame. Raises FrameError; keys that are not known are ignored."""
    try:
        return _server_frame.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise FrameError("INVALID_FRAME", plain_reason(fault)) from None


def loads(raw: msgspec.Raw | bytes) -> Any:
    """The plain Python value of a frame's ``data``."""
    return msgspec.json.decode(raw)
