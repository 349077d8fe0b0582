"""The hand-over from the connection's thread to whoever handles messages, threaded or asyncio.

Rule 1: order is kept; nothing is dropped. When it is full the connection stops reading, and the server's
buffers, then the server, feel it.
Rule 2: one consumer at a time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vanta_api.client_objects import VantaWebSocketMessage
from vanta_api.sequence_tracker import Cursor, Gap, Resync

ROOM: Final = 500  # items; a position with all its orders may have 100 kB


class VantaClientError(Exception):
    """Base of the client's errors."""


class AuthenticationError(VantaClientError):
    """The server refuses this key, and will again: the client does not come back. ``code``: close code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class StaleError(VantaClientError):
    """Nothing came for too long, not even a heartbeat: what is known may be old. ``seconds``: how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing came from the server for {seconds:.1f} s, not even a heartbeat")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection is back after ``attempts`` tries in ``down_s`` s; ``close_code`` ended the last one."""

    attempts: int
    down_s: float
    close_code: int | None


Notice = Gap | Resync | Reconnected | AuthenticationError


@dataclass(frozen=True, slots=True)
class Item:
    """A message or a notice, and the cursor to keep once it has been handled."""

    cursor: Cursor
    message: VantaWebSocketMessage | None = None
    notice: Notice | None = None


class Inbox:
    """Bounded by ``room`` items, softly: the producer asks for room between frames."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._items: deque[Item] = deque()
        self._condition = threading.Condition()
        self._is_closed = False
        self._wake: Callable[[], None] = lambda: None  # asyncio consumer
        self._has_room: Callable[[], None] = lambda: None  # asyncio producer

    def put(self, item: Item) -> None:
        """Add at the end; never blocks."""
        with self._condition:
            self._items.append(item)
            self._condition.notify()
        self._wake()

    async def wait_for_room(self) -> None:
        """Return once there is room; for the producer's loop only."""
        room = asyncio.Event()
        self._has_room = _setter(asyncio.get_running_loop(), room)
        while len(self._items) >= self._room and not self._is_closed:
            room.clear()
            await room.wait()

    def close(self) -> None:
        """No more items will come; consumers get what is left and then None."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        self._wake()
        self._has_room()

    def take(self, limit: int, timeout: float) -> list[Item] | None:
        """Up to ``limit`` items; empty after ``timeout`` seconds without any; None when closed and empty."""
        with self._condition:
            self._condition.wait_for(lambda: self._items or self._is_closed, timeout)
            return self._pop(limit)

    async def atake(self, limit: int, timeout: float) -> list[Item] | None:
        """``take`` for a consumer in an event loop."""
        ready = asyncio.Event()
        self._wake = _setter(asyncio.get_running_loop(), ready)
        deadline = time.monotonic() + timeout
        while not self._items and not self._is_closed:
            ready.clear()
            if self._items or self._is_closed:
                break
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await ready.wait()
            except TimeoutError:
                break
        with self._condition:
            return self._pop(limit)

    def _pop(self, limit: int) -> list[Item] | None:
        if not self._items:
            return None if self._is_closed else []
        taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
        self._has_room()
        return taken


def _setter(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> Callable[[], None]:
    """A call that sets the event from any thread, and does nothing once its loop is gone."""

    def set_it() -> None:
        try:
            loop.call_soon_threadsafe(event.set)
        except RuntimeError:  # the loop was closed between two calls
            return

    return set_it
