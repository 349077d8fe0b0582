"""Keeps every hotkey's book up to date: records, prices and the passing of time.

Rule 1: a view changes exactly when one of these does; each change names the positions it touches, and only
their hotkeys' books are made anew.
Rule 2: what time alone changes waits in a heap; nothing is ever scanned for being 24 hours old.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Final

from journal.state import Totals
from rest_server.books import Book
from rest_server.delayed_prices import DelayedPrices
from rest_server.shown import Held, Price, Shown, hold
from vanta_api.records import Position

Place = tuple[str, str]  # hotkey, position uuid
NOTHING: Final[Mapping[str, Totals]] = {}  # one object: books compare totals by identity


class Bookkeeper:
    """Mutable and owned by one thread at a time; ``books`` are immutable values."""

    def __init__(self, delayed: DelayedPrices, at_ms: int) -> None:
        self.books: dict[str, Book] = {}
        self._delayed = delayed
        self._at_ms = at_ms
        self._prices: dict[str, Price] = {}
        self._unsettled: defaultdict[str, set[Place]] = defaultdict(set)  # pair → positions prices matter to
        self._timers: list[tuple[int, str, str]] = []
        self._changed: defaultdict[str, dict[str, Held]] = defaultdict(dict)
        self._gone: defaultdict[str, set[str]] = defaultdict(set)
        self._totals: dict[str, Mapping[str, Totals]] = {}
        self._touched: set[str] = set()

    def put(self, record: Position) -> None:
        """Take over a position's newest record."""
        place = (record.miner_hotkey, record.position_uuid)
        self._gone[place[0]].discard(place[1])
        self._hold(place, record)

    def drop(self, hotkey: str, uuid: str) -> None:
        """Forget a position that left the state."""
        held = self._held((hotkey, uuid))
        if held is not None:
            self._unsettled[held.pair_id].discard((hotkey, uuid))
            self._changed[hotkey].pop(uuid, None)
            self._gone[hotkey].add(uuid)
            self._touched.add(hotkey)

    def set_totals(self, hotkey: str, totals: Mapping[str, Totals]) -> None:
        """What the hotkey's forgotten positions add to its figures, by trade pair."""
        if self._totals.get(hotkey, NOTHING) != totals:
            self._totals[hotkey] = dict(totals)
            self._touched.add(hotkey)

    def reprice(self, prices: Mapping[str, Price]) -> None:
        """Value open positions at new prices."""
        self._prices.update(prices)
        for pair_id, price in prices.items():
            for place in self._unsettled[pair_id]:
                held = self._held(place)
                if held is not None and not held.record.is_closed_position:
                    self._set(place, held.repriced(Shown(held.record, price, self._at_ms)))

    def advance(self, at_ms: int) -> None:
        """Let time pass: whatever turned old enough by ``at_ms`` is looked at again."""
        self._at_ms = at_ms
        again: set[Place] = set()
        for pair_id in self._delayed.advance(at_ms):
            again |= self._unsettled[pair_id]
        while self._timers and self._timers[0][0] <= at_ms:
            due_ms, hotkey, uuid = heappop(self._timers)
            held = self._held((hotkey, uuid))
            if held is not None and held.next_ms == due_ms:
                again.add((hotkey, uuid))
        for place in again:
            held = self._held(place)
            if held is not None:
                self._hold(place, held.record)

    def next_ms(self) -> int | None:
        """When ``advance`` has something to do."""
        dues = (self._timers[0][0] if self._timers else None, self._delayed.next_ms())
        return min((due for due in dues if due is not None), default=None)

    def settle(self) -> bool:
        """Make the new books of changed hotkeys; True when there was any."""
        for hotkey in self._touched:
            self.books[hotkey] = self._book(hotkey)
        is_different = bool(self._touched)
        for notes in (self._changed, self._gone, self._touched):
            notes.clear()
        return is_different

    def _book(self, hotkey: str) -> Book:
        totals = self._totals.get(hotkey, NOTHING)
        changed = self._changed.get(hotkey, {})
        known = self.books.get(hotkey)
        if known is None:
            return Book(hotkey, dict(changed), self._at_ms, totals)
        return known.replaced(changed, self._gone.get(hotkey, ()), self._at_ms, totals)

    def _hold(self, place: Place, record: Position) -> None:
        pair_id = record.trade_pair[0]
        before = self._held(place)
        if before is not None and before.pair_id != pair_id:
            self._unsettled[before.pair_id].discard(place)
        held = hold(record, self._prices.get(pair_id), self._delayed.price(pair_id), self._at_ms)
        places = self._unsettled[pair_id]
        (places.discard if held.is_settled else places.add)(place)
        if held.next_ms is not None:
            heappush(self._timers, (held.next_ms, *place))
        self._set(place, held)

    def _set(self, place: Place, held: Held) -> None:
        self._changed[place[0]][place[1]] = held
        self._touched.add(place[0])

    def _held(self, place: Place) -> Held | None:
        hotkey, uuid = place
        changed = self._changed.get(hotkey)
        if changed is not None and uuid in changed:
            return changed[uuid]
        book = self.books.get(hotkey)
        if book is None or uuid in self._gone.get(hotkey, ()):
            return None
        return book.held.get(uuid)
