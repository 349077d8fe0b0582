"""The server's life: bind, follow the journal, serve, drain.

Rule 1: ready means bound and at the journal's head.
Rule 2: a fault of the journal ends the server (``failure``); it never serves a stream it cannot vouch for.
Rule 3: everything but the tail and the pages runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from journal.entry import POSITIONS, Page
from runtime.clock import Clock
from runtime.settings import WebSocketSettings
from runtime.usage import Usage
from vanta_api import close_codes, messages
from ws_server import reception, transport
from ws_server.broadcaster import Broadcaster
from ws_server.catch_up import CatchUp
from ws_server.client import Client
from ws_server.clients import SHARES, Clients, KeyTable
from ws_server.metering import Meter
from ws_server.pages import Pages
from ws_server.recent import Hole
from ws_server.reception import Reception
from ws_server.resume import Horizon
from ws_server.selftest import self_test
from ws_server.session import Session
from ws_server.tail import RestartReason, Source, Start, Tail, look
from ws_server.transport import Link
from ws_server.view import STREAM_TIERS

_log = structlog.get_logger()

LOOK_ROUND_S: Final = 0.5  # how late a deadline of a connection may be noticed
FLUSH_USAGE_S: Final = 2.0  # usage that a kill may lose
CROWD_ROOM: Final = 64  # connections beyond the limit that still get an answer; more are cut unread


class WebSocketServer:
    """``open_source`` is called once per thread that reads. ``keys`` returns the present key table."""

    def __init__(
        self,
        settings: WebSocketSettings,
        *,
        host: str,
        port: int,
        open_source: Callable[[], Source],
        keys: Callable[[], KeyTable],
        clock: Clock,
        usage: Usage | None = None,
    ) -> None:
        self._settings, self._clock, self._keys = settings, clock, keys
        self._host, self._port, self._open_source = host, port, open_source
        self._table = keys()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_draining = False
        self._loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[Exception] = self._loop.create_future()
        self._meter = Meter(usage, clock, settings.messages_per_day)
        self._reception = Reception(settings, clock, lambda: len(self.clients))
        self._broadcaster = Broadcaster(
            settings, clock, self._in_next_turn, lambda subscriber: self.clients.overflow(subscriber)
        )
        self._pages = Pages(open_source, settings)
        self._catch_up = CatchUp(
            settings,
            clock,
            self._broadcaster,
            self._pages,
            lambda subscriber: self.clients.overflow(subscriber),
            lambda subscriber, reason: self.clients.lost(subscriber, reason),
        )
        self.clients = Clients(
            settings, clock, self._reception, self._broadcaster, self._catch_up, self._meter
        )
        self._server: Server | None = None
        self._source: Source | None = None
        self._tail: Tail | None = None

    # --- life ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Test the library, find the head, bind and serve. Raises OSError, SelfTestError, JournalError."""
        await self_test()
        self._source = self._open_source()
        start = look(self._source, tuple(STREAM_TIERS))
        self._broadcaster.begin(start.epoch, start.positions, start.oldest)
        self._server = await self._bind()
        self._tail = Tail(self._open_source, tuple(STREAM_TIERS), start, self, self._loop)
        self._tail.start()
        self._work(self._catch_up.run())
        round_s = min(LOOK_ROUND_S, self._settings.heartbeat_ms / 1000)
        self._work(self._every(round_s / SHARES, self.clients.look_at_some))
        self._work(self._flush_usage())

    async def drain(self) -> None:
        """Announce the restart, close everybody with 1012, stop. Takes drain_s + close_timeout_s at most."""
        assert self._server is not None
        self._is_draining = True
        self._server.close(close_connections=False)
        self.clients.announce_shutdown(round(self._settings.drain_s * 1000))
        await asyncio.sleep(self._settings.drain_s)
        self.clients.close_all(close_codes.RESTART)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.close_timeout_s + 1):
                await self._server.wait_closed()
        await self._stop()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tail is not None:
            await asyncio.to_thread(self._tail.stop)
        await self._pages.close()
        if self._source is not None:
            self._source.close()
        self._meter.flush()

    @property
    def port(self) -> int:
        """The bound port."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def facts(self) -> dict[str, object]:
        """What health shows."""
        assert self._source is not None
        position = self._broadcaster.position(POSITIONS)
        return {
            **self.clients.facts(),
            "sequence": position,
            "lag": max(0, self._source.head(POSITIONS) - position),
            "epoch": self._broadcaster.epoch.id,
        }

    def keys_changed(self) -> None:
        """The key table was replaced; may be called from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._swap_keys)

    def _swap_keys(self) -> None:
        self._table = self._keys()
        self.clients.swap_keys(self._table)

    # --- the journal's side (Sink) ------------------------------------------------------------------

    def on_page(self, page: Page, done: Callable[[], None]) -> None:
        self._broadcaster.feed(page, done)

    def on_oldest(self, stream: str, oldest: int) -> None:
        self._broadcaster.oldest[stream] = oldest

    def on_restart(self, start: Start, reason: RestartReason) -> None:
        _log.warning("stream begins again", reason=reason, epoch=start.epoch.id)
        self._guard(self._broadcaster.finish)
        self.clients.resync_all(reason, start.positions[POSITIONS])
        self._pages.forget()
        self._broadcaster.begin(start.epoch, start.positions, start.oldest)

    def on_fault(self, fault: Exception) -> None:
        if not self.failure.done():
            self.failure.set_result(fault)

    def _in_next_turn(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(self._guard, call)

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Hole as fault:
            self.on_fault(fault)

    # --- the clients' side --------------------------------------------------------------------------

    async def _bind(self) -> Server:
        settings = self._settings

        class Limited(transport.Connection):
            crowd = settings.connections + CROWD_ROOM

        return await serve(
            self._converse,
            self._host,
            self._port,
            compression=None,  # live frames are shared; see transport.py
            process_request=self._answer,
            server_header=None,
            open_timeout=settings.auth_timeout_s,
            close_timeout=settings.close_timeout_s,
            ping_interval=None,  # clients.look_at_some pings, and says 4009 when nobody answers
            max_size=messages.MAX_FRAME_BEFORE_AUTH,
            write_limit=settings.write_buffer_bytes,
            create_connection=Limited,
        )

    def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        return reception.answer(request, lambda: (not self._is_draining, {"status": "ok", **self.facts()}))

    async def _converse(self, connection: ServerConnection) -> None:
        assert isinstance(connection, transport.Connection)
        link = Link(connection, self._settings.send_buffer_bytes)
        assert connection.request is not None
        address = self._reception.address_of(link.peer, connection.request.headers)
        refusal = self._reception.refuses(address)
        session = Session(self._settings, self._clock, self._find_key, self._horizon)
        client = Client(link, session, address, is_stranger=refusal is None)
        self.clients.enter(client)
        if refusal is not None:
            self.clients.close(client, refusal.code, refusal.frame)
        try:
            while True:
                self.clients.perform(client, session.receive(await connection.recv()))
        except ConnectionClosed:
            pass  # the normal end, whoever began it
        finally:
            self.clients.left(client, connection.close_code)

    def _find_key(self, secret: str) -> Any:
        return self._table.find(secret)

    def _horizon(self) -> Horizon:
        broadcaster, source = self._broadcaster, self._source
        assert source is not None
        return Horizon(broadcaster.epoch, broadcaster.positions, broadcaster.oldest, source.head)

    # --- the clock's side ---------------------------------------------------------------------------

    def _work(self, job: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(job)
        task.add_done_callback(self._on_task_done)
        self._tasks.append(task)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(fault := task.exception(), Exception):
            self.on_fault(fault)

    async def _every(self, seconds: float, call: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            call()

    async def _flush_usage(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_USAGE_S)
            await asyncio.to_thread(self._meter.flush)
