"""A market and an account for tests of orders: prices that are set, a clock that is moved, uuids in a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from validator.orders.acting import act, look
from validator.orders.book import Account, Book, Change, Market
from validator.orders.signal import read_signal
from vanta_api.records import OrderSource, Position, RestingOrder

MONDAY_NOON = 1_750_075_200_000  # 2025-06-16 12:00 UTC: every market but the equities' is open
SATURDAY = MONDAY_NOON - 2 * 86_400_000
SECOND = 1_000


@dataclass
class Stage:
    """One account; what it does changes its book."""

    now_ms: int = MONDAY_NOON
    prices: dict[str, float] = field(default_factory=lambda: {"BTCUSD": 100_000.0, "EURUSD": 1.25})
    size: float | None = 100_000.0
    book: Book = field(default_factory=Book)
    numbers: Any = field(default_factory=count)

    def market(self) -> Market:
        return Market(self.now_ms, self.prices.get, lambda: f"uuid-{next(self.numbers)}")

    def send(self, **body: Any) -> Change:
        """Carry out a signal, BTCUSD unless it says otherwise, 11 seconds after the one before."""
        self.now_ms += 11 * SECOND
        return self.send_at_once(**body)

    def send_at_once(self, **body: Any) -> Change:
        """Carry out a signal now."""
        signal = read_signal({"trade_pair_id": "BTCUSD", **body})
        return self._take(act(self.book, Account("DEVELOPMENT", self.size), signal, self.market()))

    def look(self, after_s: float = 10) -> Change:
        """Let the market look at resting orders."""
        self.now_ms += round(after_s * SECOND)
        return self._take(look(self.book, Account("DEVELOPMENT", self.size), self.market()))

    def position(self, pair: str = "BTCUSD") -> Position:
        """The open position in a pair."""
        found = self.book.open_position(pair)
        assert found is not None
        return found

    def resting(self) -> list[RestingOrder]:
        """What rests now."""
        return self.book.unfilled()

    def sources(self) -> list[OrderSource]:
        """Why each order of the book is where it is, by uuid."""
        return [OrderSource(self.book.orders[uuid].src) for uuid in sorted(self.book.orders)]

    def _take(self, change: Change) -> Change:
        self.book = self.book.with_change(change)
        return change
