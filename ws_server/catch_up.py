"""Subscribers who are behind: one page each in turn, at their own pace, until they meet the live stream.

Rule 1: a subscriber is written to only while its buffer is not full, so a slow one costs one page of
memory and no queue.
Rule 2: everyone who is behind gets a page before anyone gets a second one.
Rule 3: while entries arrive, the loop is given back for as long as the pages took, so live subscribers
keep half of it.
Rule 4: a page that was read for a view the subscriber has left is thrown away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from runtime.clock import Clock
from runtime.settings import WebSocketSettings
from ws_server import metrics
from ws_server.broadcaster import Broadcaster
from ws_server.pages import Pages, Past
from ws_server.subscriber import Mode, Subscriber

AHEAD_S: Final = 0.005  # a subscriber that REST has shown more than we sent waits this long
REST_S: Final = 0.002  # shorter rests are saved up: a timer is no finer than a millisecond


class CatchUp:
    """``on_overflow`` is told of a buffer over the hard limit, ``on_lost`` of a stream that cannot go on."""

    def __init__(
        self,
        settings: WebSocketSettings,
        clock: Clock,
        broadcaster: Broadcaster,
        pages: Pages,
        on_overflow: Callable[[Subscriber], None],
        on_lost: Callable[[Subscriber, str], None],
    ) -> None:
        self._settings, self._clock = settings, clock
        self._broadcaster, self._pages = broadcaster, pages
        self._on_overflow, self._on_lost = on_overflow, on_lost
        self._queue: deque[Subscriber] = deque()
        self._queued: set[Subscriber] = set()
        self._wake = asyncio.Event()

    def add(self, subscriber: Subscriber) -> None:
        """Serve it when its turn comes (no-op when it waits already or its buffer is full)."""
        if subscriber not in self._queued and subscriber.full_since is None:
            self._queued.add(subscriber)
            self._queue.append(subscriber)
            self._wake.set()

    def drained(self, subscriber: Subscriber) -> None:
        """Its buffer has room again."""
        subscriber.full_since = None
        if subscriber.mode is Mode.BEHIND:
            self.add(subscriber)

    @property
    def waiting(self) -> int:
        """Subscribers in the queue."""
        return len(self._queue)

    async def run(self) -> None:
        """Serve for ever. Raises what the journal raises."""
        loop = asyncio.get_running_loop()
        owed_s = 0.0
        while True:
            if not self._queue:
                owed_s = 0.0
                self._pages.forget()
                self._wake.clear()
                await self._wake.wait()
            began = loop.time()
            await self.serve_next()
            owed_s += loop.time() - began if self._broadcaster.is_busy else 0.0
            if owed_s < REST_S:
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(owed_s)
                owed_s = 0.0

    async def serve_next(self) -> None:
        """Give the one who waits longest a page, or let it join the live stream."""
        subscriber = self._queue.popleft()
        self._queued.discard(subscriber)
        if subscriber.mode is not Mode.BEHIND or self._broadcaster.join(subscriber):
            return
        await self._step(subscriber)

    async def _step(self, subscriber: Subscriber) -> None:
        stream = self._next_stream(subscriber)
        if stream is None:  # ahead of the broadcast: REST was faster
            asyncio.get_running_loop().call_later(AHEAD_S, self.add, subscriber)
            return
        generation, cursor = subscriber.generation, subscriber.cursors[stream]
        recent = self._broadcaster.page_after(stream, cursor)
        if recent:
            self._write(subscriber, stream, Past(recent, self._settings))
            return
        past = await self._pages.read(stream, cursor)
        if subscriber.generation != generation or subscriber.mode is not Mode.BEHIND:
            return
        if past.messages and past.epoch in (None, self._broadcaster.epoch.id):
            self._write(subscriber, stream, past)
        else:
            self._on_lost(subscriber, "trimmed" if past.is_trimmed else "epoch_changed")

    def _next_stream(self, subscriber: Subscriber) -> str | None:
        for stream, cursor in subscriber.cursors.items():
            if cursor < self._broadcaster.position(stream):
                return stream
        return None

    def _write(self, subscriber: Subscriber, stream: str, past: Past) -> None:
        subscriber.cursors[stream] = past.messages[-1].sequence
        count, chunk = past.rendered(subscriber)
        waiting = subscriber.link.write(chunk) if chunk else 0
        if waiting < 0:
            return
        subscriber.wrote(count, len(chunk))
        metrics.REPLAYED.inc(count)
        if waiting > self._settings.buffer_limit_bytes:
            self._on_overflow(subscriber)
        elif waiting > self._settings.write_buffer_bytes:
            subscriber.full_since = self._clock.monotonic()
        else:
            self.add(subscriber)
