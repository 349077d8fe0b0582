"""The nouns of an account that Vanta's rules fill: its book, what changes it, and the market around it.

Rule: a book is a value. What an action does to it is a ``Change``: the records that are new or different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from validator.ledger.markets import market_of, open_spans
from validator.orders.signal import SignalError
from validator.orders.sizes import MIN_CAPITAL, Prices
from validator.trade_pairs import TradePair
from vanta_api.records import Order, OrderSource, Position, RestingOrder

UNFILLED: Final = frozenset((OrderSource.LIMIT_UNFILLED, OrderSource.BRACKET_UNFILLED))


@dataclass(frozen=True)
class Account:
    """Whose book it is. ``size``: USD, None when it is not known."""

    hotkey: str
    size: float | None = None

    @property
    def capital(self) -> float:
        """What leverage is measured against."""
        return self.size if self.size is not None and self.size > 0 else MIN_CAPITAL


@dataclass(frozen=True)
class Book:
    """Everything by uuid; closed positions and orders that are over stay."""

    positions: Mapping[str, Position] = field(default_factory=dict)
    orders: Mapping[str, RestingOrder] = field(default_factory=dict)

    def open_position(self, pair_id: str) -> Position | None:
        """The open position in a pair."""
        return next((one for one in self.open_positions() if one.trade_pair[0] == pair_id), None)

    def open_positions(self) -> list[Position]:
        """All open positions."""
        return [one for one in self.positions.values() if not one.is_closed_position]

    def executed(self, pair_id: str | None = None) -> list[Order]:
        """Executed orders, of one pair or of all."""
        found = (one for one in self.positions.values() if pair_id in (None, one.trade_pair[0]))
        return [order for position in found for order in position.orders]

    def unfilled(self) -> list[RestingOrder]:
        """All resting orders, oldest first."""
        resting = (one for one in self.orders.values() if one.src in UNFILLED)
        return sorted(resting, key=lambda one: (one.processed_ms, one.order_uuid))

    def with_change(self, change: Change) -> Book:
        """The book after a change."""
        return Book(
            {**self.positions, **{one.position_uuid: one for one in change.positions}},
            {**self.orders, **{one.order_uuid: one for one in change.orders}},
        )


@dataclass(frozen=True)
class Change:
    """Records that are new or different. ``done`` is what the client is told of."""

    positions: tuple[Position, ...] = ()
    orders: tuple[RestingOrder, ...] = ()
    done: Order | RestingOrder | None = None
    cancelled: int = 0


@dataclass(frozen=True)
class Market:
    """The world an action happens in. ``new_uuid`` makes the uuid of an order that came without one."""

    now_ms: int
    prices: Prices
    new_uuid: Callable[[], str]

    def is_open(self, pair: TradePair) -> bool:
        """Whether the pair is traded now."""
        return bool(open_spans(market_of(pair.trade_pair_id), self.now_ms, self.now_ms + 1))

    def price(self, pair: TradePair) -> float:
        """The pair's price. Raises SignalError when it is not known."""
        price = self.prices(pair.trade_pair_id)
        if price is None or price <= 0:
            raise SignalError(f"No price of {pair.trade_pair_id} is known")
        return price
