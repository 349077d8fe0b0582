"""A real server on port 0 in a thread of its own, and ways to look at it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from journal.entry import POSITIONS
from journal.memory import MemoryJournal
from runtime.clock import SystemClock
from runtime.settings import WebSocketSettings
from tests.ws_server.helpers import Keys, draft, settings
from tests.ws_server.raw import RawClient
from ws_server.server import WebSocketServer

ValueT = TypeVar("ValueT")

DEADLINE_S = 15.0


def wait_for(condition: Callable[[], Any], what: str = "", deadline_s: float = DEADLINE_S) -> Any:
    """Poll until the condition is true; its value. Fails the test after the deadline."""
    end = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {deadline_s} s: {what or condition}"
        time.sleep(0.005)
    return found


class Live:
    """A running server with its journal and its keys."""

    def __init__(
        self, changes: WebSocketSettings, journal: MemoryJournal, keys: Keys, **options: Any
    ) -> None:
        self.settings, self.journal, self.keys = changes, journal, keys
        self._options = options
        self._clients: list[RawClient] = []
        self._ready = threading.Event()
        self._fault: Exception | None = None
        self.loop = asyncio.new_event_loop()
        self.server: WebSocketServer
        self._thread = threading.Thread(target=self._run, name="live-server", daemon=True)

    def start(self) -> None:
        """Return when the server serves."""
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())
        if self._fault is None:
            self.loop.run_forever()
        self.loop.close()

    async def _start(self) -> None:
        self.server = WebSocketServer(
            self.settings,
            host="127.0.0.1",
            port=0,
            open_source=lambda: self.journal,
            keys=lambda: self.keys,
            clock=SystemClock(),
            **self._options,
        )
        try:
            await self.server.start()
        except Exception as fault:  # noqa: BLE001 - handed to the test's thread
            self._fault = fault
        self._ready.set()

    def ask(self, call: Callable[[], ValueT]) -> ValueT:
        """Run ``call`` in the server's loop and return what it returns."""

        async def answer() -> ValueT:
            return call()

        return asyncio.run_coroutine_threadsafe(answer(), self.loop).result(DEADLINE_S)

    def drain(self) -> None:
        """Shut down in order."""
        asyncio.run_coroutine_threadsafe(self.server.drain(), self.loop).result(DEADLINE_S)

    def stop(self) -> None:
        """Drop the clients, drain and end the thread."""
        for client in self._clients:
            client.close()
        if self._fault is None:
            if not self.server._is_draining:
                self.drain()
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE_S)

    @property
    def port(self) -> int:
        return self.server.port

    def facts(self) -> dict[str, Any]:
        """The server's own figures."""
        return self.ask(self.server.facts)

    def append(self, count: int = 1, **facts: Any) -> int:
        """Append position entries; the new head."""
        head = self.journal.head(POSITIONS)
        self.journal.append([draft(head + 1 + number, **facts) for number in range(count)])
        return head + count

    def caught_up(self) -> None:
        """Wait until everything durable was sent."""
        wait_for(lambda: self.facts()["sequence"] == self.journal.head(POSITIONS), "the head")

    def raw(self, **options: Any) -> RawClient:
        """A client that has only shaken hands."""
        client = RawClient(self.port, **options)
        self._clients.append(client)
        return client

    def client(self, secret: str = "good", *, subscribe: Any = None, **auth: Any) -> RawClient:
        """A client that has authenticated, and subscribed if told how."""
        client = self.raw()
        client.say({"api_key": secret, **auth})
        client.welcome = client.hear()
        if subscribe is not None:
            client.say({"type": "subscribe", **subscribe})
            client.hear()
        return client


@contextmanager
def live(journal: MemoryJournal | None = None, keys: Keys | None = None, **changes: Any) -> Iterator[Live]:
    """A server for the length of a with block; ``usage`` is handed through."""
    options = {"usage": changes.pop("usage")} if "usage" in changes else {}
    chosen = settings(**{"drain_s": 0.0, "close_timeout_s": 1.0, **changes})
    running = Live(chosen, journal or MemoryJournal(), keys or Keys(), **options)
    running.start()
    try:
        yield running
    finally:
        running.stop()
