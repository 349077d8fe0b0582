"""Follows the journal and the prices, and publishes what requests read.

Rule 1: one lock, one owner at a time; what is published is immutable and swapped by one assignment.
Rule 2: the vector that is published is exactly what the views were made from.
Rule 3: what time changes is applied at its very moment: a request that comes after it applies it itself if
the thread has not done so yet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import msgspec
import structlog

from journal.entry import DURABLE_STREAMS, ORDERS, POSITIONS, REGISTRY, Entry, Reader
from journal.fold import TrimmedError, entries_after
from journal.state import State
from rest_server.bookkeeper import Bookkeeper
from rest_server.delayed_prices import DelayedPrices, Marks
from rest_server.order_keeper import OrderKeeper
from rest_server.published import Published, Standing
from rest_server.shown import price_of
from rest_server.tier_clock import TierClock
from runtime.clock import Clock
from validator.tiers import LAG_MS
from vanta_api.records import (
    AccountSizeMessage,
    AccountSizeRecord,
    decode_order_message,
    decode_position_message,
)

PAGES_PER_TURN: Final = 20  # of one stream, before what is there is published
ORDER_HISTORY_MS: Final = 7 * LAG_MS  # how far back states of orders are read at boot
SEQUENCE_EVERY_S: Final = 1.0  # between two looks for the delayed sequence: late is safe
ACCOUNT_SIZE: Final = "account_size|"  # keys of the registry entries about account sizes

_account_size = msgspec.json.Decoder(AccountSizeMessage)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_log = structlog.get_logger()


class Follower:
    """Owns a State that was booted already, and everything derived from it."""

    def __init__(self, reader: Reader, marks: Marks, state: State, clock: Clock, version: str) -> None:
        self._reader, self._marks, self._state = reader, marks, state
        self._clock, self._tier_clock, self._version = clock, TierClock(clock), version
        self._lock = threading.Lock()
        at_ms = self._tier_clock.now_ms()
        self._books = Bookkeeper(DelayedPrices(marks, at_ms), at_ms)
        self._orders = OrderKeeper(at_ms)
        self._sizes: dict[str, tuple[AccountSizeRecord, ...]] = {}
        self._dropped_seen: dict[str, str] = {}
        self._mark_revision = -1
        self._delayed = Standing(0, None)
        self._delayed_looked_s: float | None = None
        self._published: Published | None = None
        self._turned_s = clock.monotonic()

    def boot(self) -> None:
        """Take over the State, catch up with the journal and publish for the first time."""
        with self._lock:
            self._take_marks()
            ordered = self._orders_with_history()
            for stream, keys in self._state.latest.items():
                for key, newest in keys.items():
                    if stream != ORDERS or key not in ordered:
                        self._take(
                            Entry(stream, newest.sequence, key, newest.event_id, newest.time_ms, newest.body)
                        )
            for hotkey, totals in self._state.totals.items():
                self._books.set_totals(hotkey, totals)
            while not self._read_some():
                pass
            self._publish()

    def turn(self) -> None:
        """Take over whatever is new: time, prices, entries. Raises JournalError."""
        with self._lock:
            self._advance()
            self._take_marks()
            self._read_some()
            self._look_for_delayed_sequence()
            self._publish()
            self._turned_s = self._clock.monotonic()

    def current(self) -> Published | None:
        """The newest state, moved on to this very moment; None before ``boot``."""
        published = self._published
        if published is None or not self._is_outdated(published):
            return published
        with self._lock:
            if self._published is not None and self._is_outdated(self._published):
                self._advance()
                self._publish()
            return self._published

    def silent_s(self) -> float:
        """Seconds since the last whole turn."""
        return self._clock.monotonic() - self._turned_s

    def _is_outdated(self, published: Published) -> bool:
        until_ms = published.valid_until_ms
        return until_ms is not None and self._tier_clock.now_ms() >= until_ms

    def _advance(self) -> None:
        at_ms = self._tier_clock.now_ms()
        self._books.advance(at_ms)
        self._orders.advance(at_ms)

    def _take_marks(self) -> None:
        self._mark_revision, changed = self._marks.changed_since(self._mark_revision)
        found = ((mark.trade_pair_id, price_of(mark)) for mark in changed)
        self._books.reprice({pair_id: price for pair_id, price in found if price is not None})

    def _read_some(self) -> bool:
        """Apply up to ``PAGES_PER_TURN`` pages of each stream; True when nothing is left to read."""
        epoch = self._reader.epoch()  # before the entries: those of earlier epochs are then all there
        unfinished = [stream for stream in DURABLE_STREAMS if not self._read_stream(stream)]
        is_whole = not unfinished
        if is_whole and self._state.epoch != epoch.id:
            self._state.enter(epoch)
        return is_whole

    def _read_stream(self, stream: str) -> bool:
        for _ in range(PAGES_PER_TURN):
            after = self._state.vector.get(stream, 0)
            page = self._reader.read(stream, after)
            if page.trimmed:
                raise TrimmedError(f"{stream}: entries {after + 1} to {page.oldest - 1} were trimmed")
            for entry in page.entries:
                self._state.apply(entry)
                self._take(entry)
            if page.entries and stream in (POSITIONS, ORDERS):
                self._forget_dropped(stream)
            if not page.entries or page.entries[-1].sequence >= page.head:
                return True
        return False

    def _take(self, entry: Entry) -> None:
        take = _TAKERS.get(entry.stream)
        if take is None:
            return
        try:
            take(self, entry)
        except _UNREADABLE as error:
            _log.warning("entry not shown", stream=entry.stream, sequence=entry.sequence, problem=str(error))

    def _take_position(self, entry: Entry) -> None:
        record = decode_position_message(entry.body).position
        self._books.put(record)
        if record.miner_hotkey in self._state.totals:
            self._books.set_totals(record.miner_hotkey, self._state.totals[record.miner_hotkey])

    def _take_order(self, entry: Entry) -> None:
        self._orders.put(decode_order_message(entry.body).order, entry.time_ms, is_first_ever=True)

    def _take_registry(self, entry: Entry) -> None:
        if entry.key.startswith(ACCOUNT_SIZE):
            record = _account_size.decode(entry.body).account_size
            self._sizes = {**self._sizes, record.hotkey: (record,)}

    def _forget_dropped(self, stream: str) -> None:
        """Follow the State where it let go of keys: the newest of them stand last in ``dropped``."""
        seen = self._dropped_seen.get(stream)
        for count, key in enumerate(reversed(self._state.dropped.get(stream, {}))):
            if count == 0:
                self._dropped_seen[stream] = key
            if key == seen:
                return
            hotkey, _, uuid = key.partition("|")
            if stream == ORDERS:
                self._orders.drop(hotkey, uuid)
            else:
                self._books.drop(hotkey, uuid)
                self._books.set_totals(hotkey, self._state.totals.get(hotkey, {}))

    def _orders_with_history(self) -> set[str]:
        """Take over the recent states of orders, up to the State; returns the keys that have any."""
        since_ms = self._tier_clock.now_ms() - ORDER_HISTORY_MS
        start = self._reader.sequence_at(ORDERS, since_ms)
        until = self._state.vector.get(ORDERS, 0)
        found: set[str] = set()
        for entry in _up_to(entries_after(self._reader, ORDERS, start), until):
            if entry.key not in self._state.latest.get(ORDERS, {}):
                continue  # over for so long that the State let go of it
            try:
                order = decode_order_message(entry.body).order
            except _UNREADABLE:
                continue
            is_first_ever = start == 0 or order.processed_ms >= since_ms
            self._orders.put(order, entry.time_ms, is_first_ever=is_first_ever)
            found.add(entry.key)
        return found

    def _look_for_delayed_sequence(self) -> None:
        now_s = self._clock.monotonic()
        if self._delayed_looked_s is not None and now_s - self._delayed_looked_s < SEQUENCE_EVERY_S:
            return
        self._delayed_looked_s = now_s
        sequence = self._reader.sequence_at(POSITIONS, self._tier_clock.now_ms() - LAG_MS - 1)
        if sequence != self._delayed.sequence:
            page = self._reader.read(POSITIONS, sequence - 1, 1) if sequence else None
            changed_ms = page.entries[0].time_ms if page and page.entries else None
            self._delayed = Standing(sequence, changed_ms)

    def _publish(self) -> None:
        is_different = self._books.settle()
        is_different |= self._orders.settle()
        dues = (self._books.next_ms(), self._orders.next_ms())
        until_ms = min((due for due in dues if due is not None), default=None)
        old = self._published
        if old is None or is_different or not self._is_same(old):
            self._published = self._everything(until_ms)
        elif old.valid_until_ms != until_ms:
            self._published = replace(old, valid_until_ms=until_ms)  # the documents stay

    def _everything(self, until_ms: int | None) -> Published:
        at_ms, vector = self._tier_clock.now_ms(), dict(self._state.vector)
        return Published(
            epoch=self._state.epoch,
            vector=vector,
            live=Standing(vector.get(POSITIONS, 0), at_ms),
            delayed=self._delayed,
            books=dict(self._books.books),
            orders=dict(self._orders.books),
            account_sizes=self._sizes,
            at_ms=at_ms,
            valid_until_ms=until_ms,
            version=self._version,
        )

    def _is_same(self, old: Published) -> bool:
        state = self._state
        return (old.epoch, old.vector, old.delayed) == (state.epoch, state.vector, self._delayed)


_TAKERS: Final[dict[str, Callable[[Follower, Entry], None]]] = {
    POSITIONS: Follower._take_position,
    ORDERS: Follower._take_order,
    REGISTRY: Follower._take_registry,
}


def _up_to(entries: Iterator[Entry], last: int) -> Iterator[Entry]:
    for entry in entries:
        if entry.sequence > last:
            return
        yield entry
