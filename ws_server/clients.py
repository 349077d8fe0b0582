"""All connections: what sessions ask for is done here, and here connections end.

Rule 1: a connection that is closed leaves the live stream in the same turn; nothing is enqueued after its
close frame.
Rule 2: a key's new rights hold from the turn in which the key table is swapped.
Rule 3: whoever is closed is told why, in a frame before the close where there is one to tell.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final, Protocol

import structlog

from journal.entry import POSITIONS
from runtime.api_keys import ApiKey
from runtime.clock import Clock
from runtime.settings import WebSocketSettings
from vanta_api import close_codes, messages
from ws_server import metrics
from ws_server.actions import Action, Admit, Close, Follow, Pause, Send, reason_for
from ws_server.broadcaster import Broadcaster
from ws_server.catch_up import CatchUp
from ws_server.client import ABORT, SLOW_ABORT_S, Client, verdict
from ws_server.frames import text_frame
from ws_server.limits import KeyPlaces
from ws_server.metering import Meter
from ws_server.reception import Reception
from ws_server.session import SCOPE, STREAMING_TIER
from ws_server.subscriber import Mode, Subscriber
from ws_server.view import may_see

_log = structlog.get_logger()

REVOKED_TEXT: Final = "This API key was revoked, has expired or no longer includes streaming."
QUOTA_TEXT: Final = "This API key has received all its messages for today."
FLOOD_TEXT: Final = "Too many frames."
SHARES: Final = 10
RECONNECT_MS: Final = (500, 5_000)  # after a restart clients come back spread over this time


class KeyTable(Protocol):
    """The part of ``runtime.api_keys.KeyTable`` that is used here."""

    def find(self, secret: str) -> ApiKey | None: ...

    def get(self, key_id: str) -> ApiKey | None: ...


class Clients:
    """Everybody who is connected."""

    def __init__(
        self,
        settings: WebSocketSettings,
        clock: Clock,
        reception: Reception,
        broadcaster: Broadcaster,
        catch_up: CatchUp,
        meter: Meter,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._reception, self._broadcaster, self._catch_up = reception, broadcaster, catch_up
        self._meter = meter
        self._places: KeyPlaces[Client] = KeyPlaces(settings.connections_per_key)
        self._everyone: dict[Client, None] = {}
        self._of: dict[Subscriber, Client] = {}
        self._beat_s = settings.heartbeat_ms / 1000

    def __len__(self) -> int:
        return len(self._everyone)

    # --- coming and going ---------------------------------------------------------------------------

    def enter(self, client: Client) -> None:
        """A stranger who may try to authenticate."""
        client.looked_at = self._clock.monotonic()
        self._everyone[client] = None

    def left(self, client: Client, code: int | None) -> None:
        """The connection is gone; ``code`` is what the client closed with, if it did."""
        self._forget(client)
        self._everyone.pop(client, None)
        client.link.gone()
        if client.link.closed_with is None:
            metrics.CLOSES.labels("client", str(code or 1006)).inc()

    def perform(self, client: Client, actions: Iterable[Action]) -> None:
        """Do what the session asks for."""
        for action in actions:
            match action:
                case Send(payload):
                    client.link.send(payload)
                case Admit(key, cursor):
                    self._admit(client, key, cursor)
                case Follow(view, cursors):
                    self._follow(client, Follow(view, cursors))
                case Pause():
                    self._pause(client)
                case Close(code):
                    if code == close_codes.INVALID_KEY:
                        self._reception.failed(client.address)
                    self.close(client, code)

    def close(self, client: Client, code: int, frame: bytes | None = None) -> None:
        """Say why, take it out of everything and start the closing handshake, all in this turn."""
        if client.link.is_open:
            key_id = client.subscriber.key.id if client.subscriber else None
            _log.info("connection closed", code=code, key_id=key_id, address=client.address)
            metrics.CLOSES.labels("server", str(code)).inc()
        if frame is not None:
            client.link.send(frame)
        client.session.shut()
        self._forget(client)
        is_slow = code == close_codes.SLOW_CONSUMER
        linger_s = SLOW_ABORT_S if is_slow else self._settings.close_timeout_s
        client.link.close(code, reason_for(code), linger_s)

    def _forget(self, client: Client) -> None:
        if client.is_stranger:
            client.is_stranger = False
            self._reception.known(client.address)
        if (subscriber := client.subscriber) is not None and self._of.pop(subscriber, None) is not None:
            self._broadcaster.leave(subscriber)
            subscriber.pause()
            self._places.leave(subscriber.key.id, client)
            client.counted = self._meter.count(subscriber, client.counted)

    # --- what sessions ask for ----------------------------------------------------------------------

    def _admit(self, client: Client, key: ApiKey, cursor: int) -> None:
        if self._meter.is_exhausted(key):
            self._close_exhausted(client)
            return
        client.is_stranger = False
        self._reception.known(client.address)
        leaver = self._places.enter(key.id, client)
        if leaver is not None:
            frame, code = messages.replaced()
            self.close(leaver, code, frame)
        subscriber = client.subscriber = Subscriber(client.link, key, cursor)
        self._of[subscriber] = client
        client.beat_due = self._clock.monotonic() + self._beat_s
        client.link.allow_message_bytes(messages.MAX_FRAME_AFTER_AUTH)
        client.link.on_writable(lambda: self._catch_up.drained(subscriber))
        _log.info("client authenticated", key_id=key.id, tier=key.tier, address=client.address)

    def _follow(self, client: Client, action: Follow) -> None:
        subscriber = client.subscriber
        if subscriber is None or not client.is_open:
            return
        self._broadcaster.start(subscriber, action.view, action.cursors)
        if not self._broadcaster.join(subscriber):
            self._catch_up.add(subscriber)

    def _pause(self, client: Client) -> None:
        if client.subscriber is not None:
            self._broadcaster.leave(client.subscriber)
            client.subscriber.pause()

    # --- ends that sessions do not ask for ----------------------------------------------------------

    def overflow(self, subscriber: Subscriber) -> None:
        """The subscriber reads too slowly."""
        self._end_stream(subscriber, close_codes.SLOW_CONSUMER, "slow_consumer")

    def lost(self, subscriber: Subscriber, reason: str) -> None:
        """The subscriber's stream cannot go on."""
        self._end_stream(subscriber, close_codes.RESYNC_REQUIRED, reason)

    def resync_all(self, reason: str, position: int) -> None:
        """Nobody's numbers go on: the ``positions`` head is now ``position``, of another epoch."""
        for subscriber in list(self._of):
            self._end_stream(subscriber, close_codes.RESYNC_REQUIRED, reason, position)

    def _end_stream(
        self, subscriber: Subscriber, code: int, reason: str, position: int | None = None
    ) -> None:
        client = self._of.get(subscriber)
        if client is None:
            return
        head = self._broadcaster.position(POSITIONS)
        expected = subscriber.told(head) + 1
        self.close(
            client, code, messages.resync_required(reason, expected, head if position is None else position)
        )

    def swap_keys(self, table: KeyTable) -> None:
        """Hold everybody against the new table."""
        for subscriber, client in list(self._of.items()):
            before, key = subscriber.key, table.get(subscriber.key.id)
            if key is None or not self._may_stay(subscriber, key):
                self._close_revoked(client)
            elif key.trade_pairs != before.trade_pairs:
                self.lost(subscriber, "key_changed")  # what it may see is another stream now
            else:
                subscriber.key = key

    def _may_stay(self, subscriber: Subscriber, key: ApiKey) -> bool:
        is_streaming = key.tier >= STREAMING_TIER and key.allows(SCOPE)
        return is_streaming and all(may_see(stream, key) for stream in subscriber.view.streams)

    def _close_revoked(self, client: Client) -> None:
        self.close(client, close_codes.KEY_REVOKED, messages.error(REVOKED_TEXT, "KEY_REVOKED"))

    def _close_exhausted(self, client: Client) -> None:
        wait_ms = self._meter.retry_after_ms()
        frame = messages.error(QUOTA_TEXT, "QUOTA_EXCEEDED", retry_after_ms=wait_ms)
        self.close(client, close_codes.RATE_LIMITED, frame)

    # --- by the clock -------------------------------------------------------------------------------

    def look_at_some(self) -> None:
        """Look at the next share of the connections; ``SHARES`` calls see everybody once.

        Nobody's stream has to wait while thousands of clocks are compared.
        """
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        for _ in range(-(-len(self._everyone) // SHARES)):
            client = next(iter(self._everyone))
            self._everyone[client] = self._everyone.pop(client)  # to the end of the round
            self._look_at(client, now, now_ms)

    def _look_at(self, client: Client, now: float, now_ms: int) -> None:
        """Close it if it is late, slow, silent, expired, flooding or has used up its quota; else beat."""
        self.perform(client, client.session.tick())
        code = verdict(client, self._settings, now, now_ms)
        if code is not None:
            self._execute(client, code)
            return
        subscriber = client.subscriber
        if subscriber is None or not client.is_open:
            return
        client.counted = self._meter.count(subscriber, client.counted)
        if self._meter.is_exhausted(subscriber.key):
            self._close_exhausted(client)
        elif now >= client.beat_due:
            client.beat_due = max(client.beat_due, now - self._beat_s) + self._beat_s
            self._beat(subscriber, now_ms)

    def _beat(self, subscriber: Subscriber, now_ms: int) -> None:
        """A heartbeat with the number that this client has really been sent."""
        if subscriber.full_since is None:  # else it would only wait behind what is not read
            told = subscriber.told(self._broadcaster.position(POSITIONS))
            frame = messages.heartbeat(told, self._broadcaster.epoch.id, now_ms)
            subscriber.link.write(text_frame(frame))

    def _execute(self, client: Client, code: int) -> None:
        if code == ABORT:
            client.link.abort()
        elif code == close_codes.SLOW_CONSUMER and client.subscriber is not None:
            self.overflow(client.subscriber)
        elif code == close_codes.KEY_REVOKED:
            self._close_revoked(client)
        elif code == close_codes.RATE_LIMITED:
            self.close(client, code, messages.error(FLOOD_TEXT, "RATE_LIMITED"))
        else:
            self.close(client, code)

    # --- leaving ------------------------------------------------------------------------------------

    def announce_shutdown(self, in_ms: int) -> None:
        """Tell every authenticated client that it will be closed, and when to come back."""
        position = self._broadcaster.position(POSITIONS)
        for subscriber, client in self._of.items():
            back_ms = in_ms + random.randint(*RECONNECT_MS)
            client.link.send(messages.server_shutdown(in_ms, back_ms, subscriber.told(position)))

    def close_all(self, code: int) -> None:
        """Close everybody, strangers too."""
        for client in list(self._everyone):
            self.close(client, code)

    def facts(self) -> dict[str, int]:
        """How many there are, for health and metrics."""
        modes = [subscriber.mode for subscriber in self._of]
        found = {
            "connections": len(self._everyone),
            "subscribers": sum(mode is not Mode.PAUSED for mode in modes),
            "live": modes.count(Mode.LIVE),
            "behind": modes.count(Mode.BEHIND),
            "buffered_bytes": sum(max(0, client.link.waiting) for client in self._everyone),
        }
        for state in ("connections", "subscribers", "live", "behind"):
            metrics.CONNECTIONS.labels(state).set(found[state])
        metrics.BUFFERED.set(found["buffered_bytes"])
        return found
