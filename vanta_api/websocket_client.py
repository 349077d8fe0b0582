"""The WebSocket client: a list of messages to a handler, nothing lost, nothing twice.

Use with a handler, sync or async::

    client = VantaWebSocketClient(api_key="your_api_key")
    client.run(lambda messages: print(messages[-1].position))

or as an iterator, ``for message in client`` or ``async for message in client``.

Rule 1: the cursor is saved after a message was handled, never before. After a crash the last messages
may come again (their ``sequence`` tells), but none is skipped.
Rule 2: a message whose handler failed is not passed: the saved cursor stays before it until the next
start, when it comes again.
Rule 3: whatever could not be delivered is told: ``on_gap`` for lost numbers (filled over REST where
possible), ``on_resync`` when the stream cannot go on from where the client was.

The only other packages needed are websockets, msgspec and requests.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from vanta_api.back_fill import nothing, over_rest
from vanta_api.backoff import Backoff
from vanta_api.client_objects import Order, Position, TradePair, VantaWebSocketMessage, now_ms
from vanta_api.connection import Connection, Link
from vanta_api.inbox import (
    AuthenticationError,
    Inbox,
    Item,
    Notice,
    Reconnected,
    StaleError,
    VantaClientError,
)
from vanta_api.notify import send_to_slack, send_to_slack_later, setup_logger
from vanta_api.resume_state import ResumeState
from vanta_api.sequence_tracker import UNKNOWN, Cursor, Gap, Resync, Tracker
from vanta_api.silence import SilenceWatch
from vanta_api.stopping import stopping_on_signal
from vanta_api.subscription import Subscription

__all__ = [
    "AuthenticationError",
    "Gap",
    "Order",
    "Position",
    "Reconnected",
    "Resync",
    "StaleError",
    "TradePair",
    "VantaClientError",
    "VantaWebSocketClient",
    "VantaWebSocketMessage",
    "now_ms",
    "send_to_slack",
    "setup_logger",
]

REST_PORT: Final = 48888
BATCH: Final = 100  # messages handed over at once
Handler = Callable[[list[VantaWebSocketMessage]], Awaitable[object] | object]
logger = logging.getLogger("ptn_websocket")


class VantaWebSocketClient:
    """One subscriber of one server; handlers run in the thread that calls ``run`` or iterates.

    ``state_dir``: where the cursor is kept (None: nowhere); ``name`` keeps several clients of one key
    apart. ``start_at``: where to begin without a saved cursor, -1 live, 0 all that is kept.
    ``rest_url``: for back-fills (None: port 48888 of the same host; "": never).

    ``on_gap(Gap)``, ``on_resync(Resync)``, ``on_reconnect(Reconnected)`` run in order with the messages;
    sync or async. ``stale_after_s``: silence after which iterators raise StaleError and ``run`` calls
    ``on_stale(seconds)`` (or raises too, with ``raise_when_stale``); the client keeps trying either way.
    """

    logger = logging.getLogger("VantaWebSocketClient")

    def __init__(
        self,
        api_key: str | None = None,
        host: str = "localhost",
        port: int = 8765,
        secure: bool = False,
        slack_webhook_url: str | None = None,
        server_alias: str | None = None,
        *,
        state_dir: str | Path | None = ".",
        name: str = "",
        start_at: int = UNKNOWN,
        rest_url: str | None = None,
        on_gap: Callable[[Gap], object] | None = None,
        on_resync: Callable[[Resync], object] | None = None,
        on_reconnect: Callable[[Reconnected], object] | None = None,
        on_stale: Callable[[float], object] | None = None,
        stale_after_s: float = 15.0,
        raise_when_stale: bool = False,
    ) -> None:
        self.uri = f"{'wss' if secure else 'ws'}://{host}:{port}"
        self.api_key, self.host = api_key, host
        self.slack_webhook_url, self.server_alias = slack_webhook_url, server_alias
        self.message_handlers: list[Handler] = []
        self.messages_processed = 0
        self.force_quit = False
        self.subscribed = False
        self.refusal: AuthenticationError | None = None
        self.on_gap, self.on_resync = on_gap, on_resync
        self.on_reconnect, self.on_stale = on_reconnect, on_stale
        self.raise_when_stale = raise_when_stale
        self._rest_url = (
            f"{'https' if secure else 'http'}://{host}:{REST_PORT}" if rest_url is None else rest_url
        )
        self._state = ResumeState(state_dir, self.uri, api_key, name, start_at)
        self._subscription = Subscription()
        self._inbox = Inbox()
        self._connection: Connection | None = None
        self._waiting: deque[Item] = deque()  # taken from the inbox, not handled yet
        self._silence = SilenceWatch(stale_after_s)
        self._initial_backoff, self._max_backoff = 1.0, 60.0

    # --- what a program may look at ---------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """True while authenticated."""
        return self._connection is not None and self._connection.is_connected

    @property
    def websocket(self) -> Any:
        """The library's connection, or None."""
        return self._connection.websocket if self._connection is not None else None

    @property
    def last_sequence(self) -> int:
        """The number up to which everything was handled; -1 before the first connection."""
        return self._state.cursor.sequence

    @last_sequence.setter
    def last_sequence(self, sequence: int) -> None:
        self._state.advance(Cursor(epoch=self._state.cursor.epoch, sequence=sequence))

    @property
    def messages_received(self) -> int:
        """Entries that came, over the stream or as a back-fill."""
        return self._connection.received if self._connection is not None else 0

    @property
    def clock_offset_estimate_ms(self) -> float:
        """How far this machine's clock is ahead of the server's."""
        return self._connection.clock_offset_ms if self._connection is not None else 0.0

    @property
    def n_pongs(self) -> int:
        """Answers to application pings."""
        return self._connection.pongs if self._connection is not None else 0

    # --- what a program may do ----------------------------------------------------------------------

    def subscribe(
        self,
        *,
        hotkeys: Iterable[str] | None = None,
        venues: Iterable[str] | None = None,
        trade_pairs: Iterable[str] | None = None,
        streams: Iterable[str] | None = None,
    ) -> None:
        """Ask for data, also before ``run``. Filters are joined by "and"; none means everything."""
        self.subscribed = True
        self._subscription = Subscription.of(hotkeys, venues, trade_pairs, streams)
        if self._connection is not None:
            self._connection.resubscribe(self._subscription)

    def unsubscribe(self) -> None:
        """Ask for no more data; the connection stays. What happens meanwhile is not replayed."""
        self.subscribed = False
        if self._connection is not None:
            self._connection.resubscribe(None)

    async def send_ping(self) -> bool:
        """Send an application ping; False when not connected."""
        return self._connection is not None and await self._connection.ping()

    def stop(self) -> None:
        """End ``run`` and iterations and close the connection. For any thread, handlers included."""
        self.force_quit = True
        if self._connection is not None:
            self._connection.stop()

    def run(self, handler: Handler | None = None) -> None:
        """Connect and hand every message to the handlers until ``stop``, SIGINT or SIGTERM.

        Returns early, with ``refusal`` set, when the server refuses the key for good.
        """
        if handler is not None:
            self.message_handlers.append(handler)
        self._open()
        try:
            with stopping_on_signal(self._stop_soon):
                asyncio.run(self._handle_all())
        except AuthenticationError as refusal:
            self.logger.error("the server refuses this key: %s", refusal)
        finally:
            self._close()

    def __enter__(self) -> VantaWebSocketClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __iter__(self) -> Iterator[VantaWebSocketMessage]:
        """Messages one by one; asking for the next says that the one before was handled.

        Raises AuthenticationError when the key is refused and StaleError after silence (iterate again
        to go on). Ends after ``stop``.
        """
        self._open()
        try:
            while self._accept([] if self._waiting else self._inbox.take(BATCH, self._patience())):
                while self._waiting and not self.force_quit:
                    item = self._waiting.popleft()
                    outcome = self._callback(item.notice)
                    if inspect.isawaitable(outcome):
                        asyncio.run(_awaited(outcome))
                    if item.message is not None:
                        yield item.message
                    self._handled([item])
                self._state.save_now_and_then()
        finally:
            self._pause()

    async def __aiter__(self) -> AsyncIterator[VantaWebSocketMessage]:
        """The same for asyncio."""
        self._open()
        try:
            while self._accept([] if self._waiting else await self._inbox.atake(BATCH, self._patience())):
                while self._waiting and not self.force_quit:
                    item = self._waiting.popleft()
                    await _awaited(self._callback(item.notice))
                    if item.message is not None:
                        yield item.message
                    self._handled([item])
                self._state.save_now_and_then()
        finally:
            self._pause()

    # --- inside: opening and closing ----------------------------------------------------------------

    def _open(self) -> None:
        """Start the connection unless it runs; begin where handling ended."""
        if self._connection is not None:
            return
        self.force_quit, self.subscribed, self.refusal = False, True, None
        self._inbox = Inbox()
        self._silence.restart()
        self._waiting.clear()
        self._state.release()  # what failed before is asked for again
        link = Link(
            self.uri,
            self.api_key,
            Tracker.at(self._state.cursor, is_filtered=self._subscription.is_filtered),
            self._inbox,
            self._subscription,
            over_rest(self._rest_url, self.api_key) if self._rest_url else nothing,
            Backoff(self._initial_backoff, self._max_backoff),
            self._tell,
        )
        self._connection = Connection(link)
        self._connection.start()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop()
            self._state.save()
            self._tell("client stopped")

    def _pause(self) -> None:
        """An iteration ended: for good after ``stop``, else another one may go on."""
        self._state.save()
        if self.force_quit:
            self._close()

    def _stop_soon(self) -> None:
        """What a signal handler may do: no waiting, no locks but the inbox's."""
        self.force_quit = True
        self._inbox.close()

    def _tell(self, text: str) -> None:
        """Connection events: to the log, and to Slack where wanted."""
        self.logger.info("%s", text)
        if self.slack_webhook_url:
            server = f"{self.server_alias} ({self.host})" if self.server_alias else self.host
            send_to_slack_later(f"{server}: {text}", self.slack_webhook_url)

    # --- inside: handling ---------------------------------------------------------------------------

    async def _handle_all(self) -> None:
        while True:
            try:
                if not self._accept(await self._inbox.atake(BATCH, self._patience())):
                    return
            except StaleError as stale:
                self.logger.error("%s", stale)
                if self.raise_when_stale:
                    raise
                if self.on_stale is not None:
                    await self._guarded(self.on_stale, stale.seconds)
            while self._waiting and not self.force_quit:
                await self._handle(self._next_group())

    def _next_group(self) -> list[Item]:
        """The messages at the front, or the one item there that is none."""
        group = [self._waiting.popleft()]
        while group[0].message is not None and self._waiting and self._waiting[0].message is not None:
            group.append(self._waiting.popleft())
        return group

    async def _handle(self, group: Sequence[Item]) -> None:
        messages = [item.message for item in group if item.message is not None]
        for handler in self.message_handlers if messages else ():
            await self._guarded(handler, messages)
        if not messages:
            await self._guarded(self._callback, group[0].notice)
        self._handled(group)
        self._state.save()

    async def _guarded(self, call: Callable[[Any], object], argument: object) -> None:
        """Call a program's own function; what it raises is logged and keeps the saved cursor back."""
        try:
            await _awaited(call(argument))
        except AuthenticationError:
            raise
        except Exception:  # a handler may raise anything, and must not end the stream
            self._state.hold()
            self.logger.exception("a handler failed; what it was given comes again after a restart")

    def _callback(self, notice: Notice | None) -> object:
        """Tell the program of something that is no message. Raises AuthenticationError."""
        if notice is None:
            return None
        if isinstance(notice, AuthenticationError):
            self.refusal = notice
            self._close()
            raise notice
        self.logger.warning("%s", notice)
        told: Callable[[Any], object] | None = self.on_reconnect
        if isinstance(notice, Gap):
            told = self.on_gap
        elif isinstance(notice, Resync):
            told = self.on_resync
        return told(notice) if told is not None else None

    # --- inside: waiting and keeping ----------------------------------------------------------------

    def _accept(self, items: list[Item] | None) -> bool:
        """Take over what came; False when it is over. Raises StaleError and VantaClientError."""
        if self.force_quit or self._connection is None:
            return False
        if items is None:
            raise VantaClientError("the connection's thread ended unexpectedly; the log says why")
        self._waiting.extend(items)
        if self._waiting:
            return True
        self._silence.check(self._connection)
        return True

    def _patience(self) -> float:
        return self._silence.patience_s(self._connection) if self._connection is not None else 0.0

    def _handled(self, items: Sequence[Item]) -> None:
        self.messages_processed += sum(item.message is not None for item in items)
        self._state.advance(items[-1].cursor)


async def _awaited(outcome: object) -> object:
    return await outcome if inspect.isawaitable(outcome) else outcome
