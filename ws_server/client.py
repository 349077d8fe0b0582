"""One connection as the server knows it, and the judgement whether it may stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime.settings import WebSocketSettings
from vanta_api import close_codes
from ws_server.session import Session, State
from ws_server.subscriber import Subscriber
from ws_server.transport import Link

ABORT: Final = 0  # instead of a close code: the closing handshake takes too long, cut the connection
SLOW_ABORT_S: Final = 0.8  # a client that does not read will not answer a close frame either


@dataclass(eq=False, slots=True)
class Client:
    """``subscriber`` is there from the moment the key was found good.

    Times are monotonic seconds. ``counted`` are the subscriber's (messages, bytes) that metering knows.
    """

    link: Link
    session: Session
    address: str
    is_stranger: bool = True
    subscriber: Subscriber | None = None
    looked_at: float = 0.0
    beat_due: float = 0.0
    pinged_at: float | None = None
    closing_since: float | None = None
    frames_seen: int = 0
    counted: tuple[int, int] = (0, 0)

    @property
    def is_open(self) -> bool:
        """Authenticated and not on the way out."""
        return self.subscriber is not None and self.session.state is State.OPEN


def verdict(client: Client, settings: WebSocketSettings, now: float, now_ms: int) -> int | None:
    """The close code that the client has earned since the last look, or None.

    Sends a ping as a side effect when the client has been silent for long.
    """
    elapsed_s, client.looked_at = now - client.looked_at, now
    if not client.link.is_open:
        return _overdue(client, settings, now)
    if (subscriber := client.subscriber) is not None:
        expires_ms = subscriber.key.expires_ms
        if expires_ms is not None and expires_ms <= now_ms:
            return close_codes.KEY_REVOKED
        if subscriber.full_since is not None and now - subscriber.full_since > settings.slow_limit_s:
            return close_codes.SLOW_CONSUMER
    if client.link.waiting > settings.buffer_limit_bytes:
        return close_codes.SLOW_CONSUMER
    frames, client.frames_seen = client.link.frames_in - client.frames_seen, client.link.frames_in
    if frames > settings.control_frames_per_s * max(elapsed_s, 1.0):
        return close_codes.RATE_LIMITED
    return _silence(client, settings, now)


def _overdue(client: Client, settings: WebSocketSettings, now: float) -> int | None:
    if client.closing_since is None:
        client.closing_since = now
    return ABORT if now - client.closing_since > settings.close_timeout_s else None


def _silence(client: Client, settings: WebSocketSettings, now: float) -> int | None:
    heard_at = client.link.heard_at
    if client.pinged_at is not None and heard_at >= client.pinged_at:
        client.pinged_at = None
    if client.pinged_at is None:
        if now - heard_at > settings.ping_interval_s:
            client.link.ping()
            client.pinged_at = now
        return None
    return close_codes.IDLE if now - client.pinged_at > settings.ping_timeout_s else None
