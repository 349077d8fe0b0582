"""Keeps every hotkey's resting orders up to date, with the states that delayed readers still see."""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush

from rest_server.resting import History, OrderBook, Version, first_version
from validator.tiers import LAG_MS
from vanta_api.records import RestingOrder


class OrderKeeper:
    """Mutable and owned by one thread at a time; ``books`` are immutable values."""

    def __init__(self, at_ms: int) -> None:
        self.books: dict[str, OrderBook] = {}
        self._at_ms = at_ms
        self._histories: defaultdict[str, dict[str, History]] = defaultdict(dict)
        self._timers: list[int] = []
        self._touched: set[str] = set()
        self._time_passed = False

    def put(self, order: RestingOrder, seen_ms: int, *, is_first_ever: bool) -> None:
        """Take over an order's newest state, which appeared at ``seen_ms``.

        ``is_first_ever``: if we know no older state, then none can exist.
        """
        histories = self._histories[order.miner_hotkey]
        known = histories.get(order.order_uuid)
        if known is None:
            version = first_version(order, seen_ms, is_first_ever=is_first_ever)
            histories[order.order_uuid] = History((version,))
        else:
            version = Version(seen_ms, order)
            histories[order.order_uuid] = known.with_version(version, self._at_ms)
        due_ms = version.since_ms + LAG_MS + 1
        if due_ms > self._at_ms:
            heappush(self._timers, due_ms)
        self._touched.add(order.miner_hotkey)

    def drop(self, hotkey: str, uuid: str) -> None:
        """Forget an order that left the state."""
        if self._histories[hotkey].pop(uuid, None) is not None:
            self._touched.add(hotkey)

    def advance(self, at_ms: int) -> None:
        """Let time pass."""
        self._at_ms = at_ms
        while self._timers and self._timers[0] <= at_ms:
            heappop(self._timers)
            self._time_passed = True

    def next_ms(self) -> int | None:
        """When a delayed view changes by time alone."""
        return self._timers[0] if self._timers else None

    def settle(self) -> bool:
        """Make the new books of changed hotkeys; True when anything is different for anybody."""
        for hotkey in self._touched:
            self.books[hotkey] = OrderBook(dict(self._histories[hotkey]))
        is_different = bool(self._touched) or self._time_passed
        self._touched.clear()
        self._time_passed = False
        return is_different
