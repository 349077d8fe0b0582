"""The one reader of the journal: a thread that hands every new page to the loop, in order.

Rule 1: a page is handed over once, and pages of one stream in order; a page of another epoch never is,
the sink is told to begin again instead.
Rule 2: the bell is for latency, the poll for correctness.
Rule 3: at most ``PAGES_AHEAD`` pages are on their way, so a busy loop cannot fill the memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import apsw

from journal.doorbell import Bell
from journal.entry import Epoch, JournalError, Page, Reader

PAGES_AHEAD: Final = 4
POLL_S: Final = 0.2  # how late an entry can be when no bell was heard

FAULTS: Final = (JournalError, apsw.Error, OSError)

RestartReason = Literal["epoch_changed", "trimmed"]


class Source(Reader, Protocol):
    """A reader with a bell of its own."""

    def doorbell(self) -> Bell: ...


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins: the epoch, the newest number per stream and the oldest that is kept."""

    epoch: Epoch
    positions: Mapping[str, int]
    oldest: Mapping[str, int]


class Sink(Protocol):
    """Who is told, always in the loop's thread."""

    def on_page(self, page: Page, done: Callable[[], None]) -> None:
        """New entries; call ``done`` when there is room for more."""

    def on_oldest(self, stream: str, oldest: int) -> None:
        """The smallest number of the stream that is still kept."""

    def on_restart(self, start: Start, reason: RestartReason) -> None:
        """The numbers do not go on: begin again at ``start``."""

    def on_fault(self, fault: Exception) -> None:
        """The journal cannot be read any more."""


def look(reader: Reader, streams: Sequence[str]) -> Start:
    """Return where the streams stand now."""
    while True:
        epoch = reader.epoch()
        heads = reader.heads()
        oldest = {stream: reader.read(stream, heads[stream], limit=1).oldest for stream in streams}
        if reader.epoch().id == epoch.id:  # else an epoch began between two looks
            return Start(epoch, {stream: heads[stream] for stream in streams}, oldest)


class Tail:
    """Follows ``streams`` from ``start`` on; ``open_source`` is called in the reading thread."""

    def __init__(
        self,
        open_source: Callable[[], Source],
        streams: Sequence[str],
        start: Start,
        sink: Sink,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._open_source, self._streams, self._sink, self._loop = open_source, tuple(streams), sink, loop
        self._epoch_id = start.epoch.id
        self._after = dict(start.positions)
        self._oldest = dict(start.oldest)
        self._room = threading.Semaphore(PAGES_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-tail", daemon=True)

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading and wait for the thread."""
        self._stopped.set()
        self._room.release()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            source = self._open_source()
            bell = source.doorbell()
            try:
                while not self._stopped.is_set():
                    bell.clear()
                    if not self._read_all(source):
                        bell.wait(POLL_S)
            finally:
                bell.close()
                source.close()
        except FAULTS as fault:
            self._tell(self._sink.on_fault, fault)

    def _read_all(self, source: Source) -> bool:
        """One round over the streams; True when something was new."""
        is_new = False
        restart: RestartReason | None = None
        for stream in self._streams:
            while not self._stopped.is_set():
                page = source.read(stream, self._after[stream])
                if page.trimmed or page.epoch != self._epoch_id:
                    restart = "trimmed" if page.epoch == self._epoch_id else "epoch_changed"
                    break
                self._note_oldest(stream, page.oldest)
                if not page.entries:
                    break
                is_new = True
                self._hand_over(stream, page)
        if restart is not None:
            self._begin_again(source, restart)
        return is_new or restart is not None

    def _hand_over(self, stream: str, page: Page) -> None:
        self._room.acquire()
        self._after[stream] = page.entries[-1].sequence
        self._tell(self._sink.on_page, page, self._room.release)

    def _note_oldest(self, stream: str, oldest: int) -> None:
        if oldest != self._oldest[stream]:
            self._oldest[stream] = oldest
            self._tell(self._sink.on_oldest, stream, oldest)

    def _begin_again(self, source: Source, reason: RestartReason) -> None:
        start = look(source, self._streams)
        self._epoch_id, self._after = start.epoch.id, dict(start.positions)
        self._oldest = dict(start.oldest)
        self._tell(self._sink.on_restart, start, reason)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
