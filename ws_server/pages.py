"""Pages of the past for subscribers who are behind: read in a thread, shared by everyone who needs them.

Rule: pages end at multiples of the batch size, so that after one odd page subscribers who resume from
different numbers ask for the same pages.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from journal.entry import Reader
from runtime.settings import WebSocketSettings
from ws_server.frames import Message, batches, select, text_frame
from ws_server.subscriber import Subscriber

KEPT: Final = 16  # pages: up to 16 x (batch_bytes x 2)


class Past:
    """Consecutive messages of one stream, and the bytes of their batches once somebody needed them.

    ``epoch`` is None for messages from memory, which are always of the present epoch.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        settings: WebSocketSettings,
        epoch: str | None = None,
        is_trimmed: bool = False,
    ) -> None:
        self.messages, self.epoch, self.is_trimmed = messages, epoch, is_trimmed
        self._limits = (settings.batch_entries, settings.batch_bytes)
        self._shared: bytes | None = None

    def rendered(self, subscriber: Subscriber) -> tuple[int, bytes]:
        """How many messages the subscriber's view has of these, and their bytes; its ``last`` moves on."""
        if subscriber.view.is_filtered:
            payloads = select(subscriber.view, self.messages, subscriber.last)
            return len(payloads), self._joined(payloads)
        newest = self.messages[-1]
        subscriber.last[newest.stream] = newest.sequence
        if self._shared is None:
            self._shared = self._joined([message.payload for message in self.messages])
        return len(self.messages), self._shared

    def _joined(self, payloads: Sequence[bytes]) -> bytes:
        return b"".join(map(text_frame, batches(payloads, *self._limits)))


class Pages:
    """Reads through its own reader, opened in its own thread."""

    def __init__(self, open_reader: Callable[[], Reader], settings: WebSocketSettings) -> None:
        self._open_reader, self._settings = open_reader, settings
        self._pool = ThreadPoolExecutor(1, "journal-pages")
        self._reader: Reader | None = None
        self._kept: OrderedDict[tuple[str, int], Past] = OrderedDict()

    async def read(self, stream: str, after: int) -> Past:
        """The page after ``after``. Raises what the reader raises."""
        kept = self._kept.get((stream, after))
        if kept is not None:
            self._kept.move_to_end((stream, after))
            return kept
        loop = asyncio.get_running_loop()
        past = await loop.run_in_executor(self._pool, self._read, stream, after)
        if past.messages:  # a page that has grown since is still right, only shorter
            self._kept[stream, after] = past
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return past

    def forget(self) -> None:
        """Drop what is kept: a new epoch began, or nobody is behind any more."""
        self._kept.clear()

    async def close(self) -> None:
        """Wait for the read in progress and close the reader."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._close)
        self._pool.shutdown(wait=False)

    def _read(self, stream: str, after: int) -> Past:
        if self._reader is None:
            self._reader = self._open_reader()
        size = self._settings.batch_entries
        limit = size - after % size
        page = self._reader.read(stream, after, limit=limit, max_bytes=self._settings.batch_bytes)
        return Past(tuple(map(Message, page.entries)), self._settings, page.epoch, page.trimmed)

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
