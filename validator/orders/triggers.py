"""When a resting order fills, and at which price.

Rule 1: a limit order fills at its own price, a bracket at its stop loss or take profit; the stop loss comes
first when both are due.
Rule 2: a long limit buys at the ask, a short one sells at the bid; a bracket leaves a long position at the
bid and a short one at the ask. Where only one price is known, it is both.
"""

from __future__ import annotations

from typing import NamedTuple

from vanta_api.records import Position, RestingOrder


class Quote(NamedTuple):
    """Bid and ask now, in quote currency."""

    bid: float
    ask: float


def limit_trigger(order: RestingOrder, quote: Quote) -> float | None:
    """The price a limit order fills at now; None: it goes on resting."""
    if order.limit_price is None:
        return None
    is_due = quote.ask <= order.limit_price if order.order_type == "LONG" else quote.bid >= order.limit_price
    return order.limit_price if is_due else None


def bracket_trigger(order: RestingOrder, position: Position, quote: Quote) -> float | None:
    """The price a bracket closes at now; None: it goes on resting."""
    is_long = position.position_type == "LONG"
    sign, price = (1.0, quote.bid) if is_long else (-1.0, quote.ask)
    if order.stop_loss is not None and sign * (price - order.stop_loss) < 0:
        return order.stop_loss
    if order.take_profit is not None and sign * (price - order.take_profit) > 0:
        return order.take_profit
    return None
