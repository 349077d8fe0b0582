"""The journal in memory: the same rules as on disk, for tests, demonstrations and users' own tests.

Rule: it passes the suite that the SQLite store passes. It is safe to share between threads; it dies with
its process.
"""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

from journal.doorbell import MemoryBell
from journal.entry import (
    DURABLE_STREAMS,
    PAGE_BYTES,
    PAGE_ENTRIES,
    Appended,
    Draft,
    Entry,
    Epoch,
    EpochReason,
    Page,
    UnavailableError,
)
from journal.eras import Era, first_era, next_era, span_after
from journal.plan import Key, Last, Plan, Row, copy, plan, prepare
from journal.store import TRIM_ROWS, KeyHeads, check_trim
from journal.tail import follow
from runtime.clock import Clock, SystemClock


class MemoryJournal:
    """A Store in memory holding ``streams``."""

    def __init__(self, *, clock: Clock | None = None, streams: Sequence[str] = DURABLE_STREAMS) -> None:
        self._clock = clock or SystemClock()
        self._streams = tuple(streams)
        self._lock = threading.RLock()
        self._entries: dict[str, list[Entry]] = {stream: [] for stream in streams}
        self._heads = dict.fromkeys(streams, 0)
        self._floors = dict.fromkeys(streams, 0)  # highest number that was trimmed or lies before the base
        self._last: dict[Key, Last] = {}
        self._eras: list[Era] = [first_era(self._streams, self._clock.now_ms())]
        self._times = dict.fromkeys(streams, 0)
        self._replica = False
        self._bells: weakref.WeakSet[MemoryBell] = weakref.WeakSet()

    @classmethod
    def open_at(
        cls,
        base: Mapping[str, int],
        epoch: Epoch,
        *,
        keys: KeyHeads = (),
        clock: Clock | None = None,
        streams: Sequence[str] = DURABLE_STREAMS,
    ) -> MemoryJournal:
        """A replica that continues another journal after ``base``; ``keys`` are its keys' last entries."""
        journal = cls(clock=clock, streams=streams)
        journal._heads = {stream: base.get(stream, 0) for stream in streams}
        journal._floors = dict(journal._heads)
        journal._eras = [Era(epoch, "copy", None)]
        journal._last = {(k.stream, k.key): Last(k.sequence, k.event_id, None) for k in keys}
        journal._replica = True
        return journal

    # Reading

    def epoch(self) -> Epoch:
        return self._eras[-1].epoch

    def epochs(self) -> list[Epoch]:
        with self._lock:
            return [era.epoch for era in self._eras]

    def head(self, stream: str) -> int:
        return self._heads[stream]

    def heads(self) -> dict[str, int]:
        with self._lock:
            return dict(self._heads)

    def read(self, stream: str, after: int, limit: int = PAGE_ENTRIES, max_bytes: int = PAGE_BYTES) -> Page:
        with self._lock:
            entries, head = self._entries[stream], self._heads[stream]
            oldest = entries[0].sequence if entries else head + 1
            trimmed = after < self._floors[stream]
            span = span_after(self._eras, stream, after, head)
            taken = () if trimmed else _take(entries, after, span.last, min(limit, PAGE_ENTRIES), max_bytes)
            return Page(taken, oldest, head, span.epoch if taken else self.epoch().id, trimmed)

    def follow(
        self, stream: str, after: int, *, stop: Callable[[], bool], poll_s: float = 0.25
    ) -> Iterator[Page]:
        return follow(lambda last: self.read(stream, last), self.doorbell, after, stop, poll_s)

    def sequence_at(self, stream: str, ms: int) -> int:
        with self._lock:
            entries = self._entries[stream]
            index = bisect_right(entries, ms, key=lambda entry: entry.time_ms)
            if index:
                return entries[index - 1].sequence
            return entries[0].sequence - 1 if entries else self._heads[stream]

    def doorbell(self) -> MemoryBell:
        bell = MemoryBell()
        self._bells.add(bell)
        return bell

    # Writing

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        prepared = prepare(drafts, self._streams)
        if not prepared:
            return []
        with self._lock:
            if self._replica:
                raise UnavailableError("this journal is a replica: promote it before appending")
            decided = plan(prepared, self._last, self._heads, self._body_of)
            newest = [self._times[draft.stream] for draft in prepared]
            now_ms = max(*newest, self._clock.now_ms())
            self._write(decided, [now_ms] * len(decided.rows))
        return decided.results

    def append_replicated(self, entries: Sequence[Entry]) -> list[Appended]:
        with self._lock:
            if not self._replica:
                raise UnavailableError("only a replica copies entries")
            decided = copy(entries, self._last, self._heads, self._times)
            times = {(entry.stream, entry.sequence): entry.time_ms for entry in entries}
            self._write(decided, [times[row.stream, row.sequence] for row in decided.rows])
        return decided.results

    def new_epoch(self, reason: EpochReason, known: Mapping[str, int] | None = None) -> Epoch:
        if self._replica:
            raise UnavailableError("this journal is a replica: promote it instead")
        return self._begin_epoch(reason, known)

    def _begin_epoch(self, reason: EpochReason, known: Mapping[str, int] | None) -> Epoch:
        with self._lock:
            closed, era = next_era(self._eras[-1], self._heads, known or {}, reason, self._clock.now_ms())
            self._eras[-1:] = [closed, era]
            self._heads = {stream: first - 1 for stream, first in era.epoch.first.items()}
        self._ring()
        return era.epoch

    def promote(self, known: Mapping[str, int] | None = None, reason: EpochReason = "promote") -> Epoch:
        with self._lock:
            if not self._replica:
                raise UnavailableError("this journal is no replica")
            self._replica = False
            return self._begin_epoch(reason, known)

    def trim(self, stream: str, through: int, limit: int = TRIM_ROWS) -> int:
        check_trim(stream, self._streams, limit)
        with self._lock:
            entries = self._entries[stream]
            count = min(limit, bisect_right(entries, through, key=lambda entry: entry.sequence))
            if count:
                self._floors[stream] = entries[count - 1].sequence
                del entries[:count]
        return count

    @property
    def is_replica(self) -> bool:
        return self._replica

    def close(self) -> None:
        """Nothing to close; the entries stay readable."""

    def _write(self, decided: Plan, times: Sequence[int]) -> None:
        for row, time_ms in zip(decided.rows, times, strict=True):
            self._entries[row.stream].append(_entry(row, time_ms))
            self._last[row.stream, row.key] = Last(row.sequence, row.event_id, row.identity)
            self._times[row.stream] = time_ms
        self._heads = decided.heads
        if decided.rows:
            self._ring()

    def _body_of(self, stream: str, sequence: int) -> bytes | None:
        page = self.read(stream, sequence - 1, 1)
        found = page.entries and page.entries[0].sequence == sequence
        return page.entries[0].body if found else None

    def _ring(self) -> None:
        for bell in list(self._bells):
            bell.ring()


def _entry(row: Row, time_ms: int) -> Entry:
    return Entry(row.stream, row.sequence, row.key, row.event_id, time_ms, row.body)


def _take(entries: list[Entry], after: int, last: int, limit: int, max_bytes: int) -> tuple[Entry, ...]:
    start = bisect_right(entries, after, key=lambda entry: entry.sequence)
    taken: list[Entry] = []
    for entry in entries[start : start + limit]:
        if entry.sequence > last:
            break
        taken.append(entry)
        max_bytes -= len(entry.body)
        if max_bytes <= 0:
            break
    return tuple(taken)
