"""The protocol of one connection as a state machine without I/O: bytes in, actions out.

Rule 1: before a good key arrives nothing is answered but an error, and only one frame is read.
Rule 2: after a Close nothing else is ever asked for.
Rule 3: any bytes are answered by actions; nothing is raised.
Rule 4: time is the injected clock's.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

import msgspec

from journal.entry import POSITIONS
from runtime.api_keys import ApiKey
from runtime.clock import Clock
from runtime.settings import WebSocketSettings
from vanta_api import close_codes, messages
from vanta_api.messages import FrameError, Ping, Subscribe, Unsubscribe
from ws_server.actions import Action, Admit, Close, Follow, Pause, Send
from ws_server.limits import TokenBucket
from ws_server.resume import Horizon, Plan, plan
from ws_server.view import STREAM_TIERS, ForbiddenStream, may_see, view_of

STREAMING_TIER: Final = 100
SCOPE: Final = "ws"


class State(Enum):
    """Where the conversation stands."""

    AWAITING_KEY = "awaiting_key"
    OPEN = "open"
    CLOSED = "closed"


class Session:
    """One client's conversation. ``find_key`` and ``horizon`` are asked at the moment they are needed."""

    def __init__(
        self,
        settings: WebSocketSettings,
        clock: Clock,
        find_key: Callable[[str], ApiKey | None],
        horizon: Callable[[], Horizon],
    ) -> None:
        self._settings, self._clock = settings, clock
        self._find_key, self._horizon = find_key, horizon
        self._bucket = TokenBucket(settings.messages_per_s, settings.messages_burst, clock)
        self._deadline = clock.monotonic() + settings.auth_timeout_s
        self._start: int | None = None  # where the first subscribe begins: what the auth reply promised
        self.state = State.AWAITING_KEY
        self.is_subscribed = False
        self.key: ApiKey | None = None

    def receive(self, raw: bytes | str) -> list[Action]:
        """Answer one message of the client."""
        if self.state is State.CLOSED:
            return []
        if self.state is State.AWAITING_KEY:
            return self._authenticate(raw)
        if not self._bucket.take():
            return self._too_many()
        return self._answer(raw)

    def tick(self) -> list[Action]:
        """Look at the clock: a client that never authenticated is closed."""
        if self.state is State.AWAITING_KEY and self._clock.monotonic() >= self._deadline:
            return self._close(close_codes.AUTH_TIMEOUT)
        return []

    def shut(self) -> None:
        """The connection is being closed for a reason that is not the session's."""
        self.state = State.CLOSED

    # --- authentication -----------------------------------------------------------------------------

    def _authenticate(self, raw: bytes | str) -> list[Action]:
        try:
            auth = messages.decode_auth(raw)
        except FrameError as fault:
            frame = messages.error(fault.message, fault.code)
            code = fault.close_code or close_codes.BAD_AUTH_MESSAGE
            return self._close(code, frame if _is_json(raw) else None)  # Vanta is silent to what is not JSON
        key = self._find_key(auth.api_key)
        if key is None:
            frame, code = messages.invalid_key()
            return self._close(code, frame)
        if key.tier < STREAMING_TIER:
            frame, code = messages.insufficient_tier()
            return self._close(code, frame)
        if not key.allows(SCOPE):
            frame = messages.error("This API key may not be used for streaming.", "SCOPE_MISSING")
            return self._close(close_codes.INSUFFICIENT_TIER, frame)
        return self._welcome(key, auth)

    def _welcome(self, key: ApiKey, auth: messages.Auth) -> list[Action]:
        horizon = self._horizon()
        chosen = plan(horizon, POSITIONS, auth.last_sequence, auth.epoch)
        self.state, self.key, self._start = State.OPEN, key, chosen.cursor
        reply = messages.auth_reply(
            current_sequence=max(horizon.position(POSITIONS), chosen.cursor),
            tier=key.tier,
            epoch=horizon.epoch.id,
            oldest_sequence=horizon.oldest_of(POSITIONS),
            recovered=chosen.recovered,
            reason=chosen.reason,
            heartbeat_ms=self._settings.heartbeat_ms,
            snapshot_url=None if chosen.recovered else self._settings.snapshot_url,
            heads={
                s: horizon.position(s) for s in STREAM_TIERS if may_see(s, key) and s in horizon.positions
            },
        )
        return [Admit(key, chosen.cursor), Send(reply)]

    # --- after authentication -----------------------------------------------------------------------

    def _answer(self, raw: bytes | str) -> list[Action]:
        try:
            request = messages.decode_request(raw)
        except FrameError as fault:
            return self._complain(raw, fault)
        if isinstance(request, Ping):
            return [Send(messages.pong(request.timestamp, self._clock.now_ms()))]
        if isinstance(request, Unsubscribe):
            return self._unsubscribe(request)
        return self._subscribe(request)

    def _complain(self, raw: bytes | str, fault: FrameError) -> list[Action]:
        frame = messages.error(fault.message, fault.code)
        if fault.close_code is not None:
            return self._close(fault.close_code, frame)
        # Like Vanta: silence for what is not JSON, has an unknown type, or subscribes to nothing.
        is_ours = fault.code == "INVALID_FRAME" and _is_json(raw)
        return [Send(frame)] if is_ours else []

    def _subscribe(self, request: Subscribe) -> list[Action]:
        assert self.key is not None
        try:
            view = view_of(request, self.key)
        except ForbiddenStream as refusal:
            return [Send(messages.error(str(refusal), "FORBIDDEN_STREAM"))]
        horizon = self._horizon()
        cursors: dict[str, int] = {}
        notices: list[Action] = []
        for stream, last in (request.cursors or {}).items():
            if stream in view.streams:
                chosen = plan(horizon, stream, last)
                cursors[stream] = chosen.cursor
                notices.extend(_notices(horizon, stream, last, chosen))
        if self._start is not None and POSITIONS in view.streams:
            cursors.setdefault(POSITIONS, self._start)
            self._start = None
        self.is_subscribed = True
        status = messages.subscription_status(request, self._clock.now_ms())
        return [Send(status), *notices, Follow(view, cursors)]

    def _unsubscribe(self, request: Unsubscribe) -> list[Action]:
        if not self.is_subscribed:
            return []
        self.is_subscribed = False
        return [Pause(), Send(messages.subscription_status(request, self._clock.now_ms()))]

    def _too_many(self) -> list[Action]:
        frame = messages.error(
            "Too many messages.", "RATE_LIMITED", retry_after_ms=round(1000 * self._bucket.wait_s())
        )
        return self._close(close_codes.RATE_LIMITED, frame)

    def _close(self, code: int, frame: bytes | None = None) -> list[Action]:
        self.state = State.CLOSED
        return [Close(code)] if frame is None else [Send(frame), Close(code)]


def _notices(horizon: Horizon, stream: str, last: int, chosen: Plan) -> list[Action]:
    if chosen.reason is None:
        return []
    return [Send(messages.resync_required(chosen.reason, last + 1, horizon.position(stream), stream=stream))]


def _is_json(raw: bytes | str) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
