"""Closing a position because the rules say so, not because its trader did.

Rule 1: the closing order is the same at every validator: its uuid is the position's read backwards, its
time and price are handed in.
Rule 2: every open position can be closed, also one whose orders do not explain it.
Rule 3: with a price the position is settled at it (``src`` 3); without one it counts at the price of its
newest order (``src`` 1, price 0).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from validator.positions import rebuild, synthetic_flat_uuid
from validator.trade_pairs import by_id
from validator.venue_fold import amount, to_float
from vanta_api.records import Order, OrderSource, Position, VenueFacts, plain

STATUS: Final = "eliminated"  # ``venue.status`` of a position that was closed so
KIND: Final = "elimination"  # ``venue.kind`` of the order that closed it
ZERO: Final = Decimal(0)


def flatten(position: Position, mark: Decimal | None, at_ms: int) -> Position:
    """The position after the rules closed it at ``mark`` (quote currency; None: no price is known).

    A position that is closed already is returned as it is. ``at_ms`` is the moment of the decision; where
    the newest order is younger, the closing order takes that order's time, so that it stays the last one.
    """
    if position.is_closed_position:
        return position
    price = mark if mark is not None and mark.is_finite() else None
    last_ms = max((order.processed_ms for order in position.orders), default=position.open_ms)
    order = _flat_order(position, price, max(at_ms, last_ms))
    try:
        return _rebuilt(position, _exact(order, position, price))
    except ValueError:
        return _closed_as_it_was(position, order)


def _flat_order(position: Position, mark: Decimal | None, at_ms: int) -> Order:
    price = to_float(max(mark, ZERO)) if mark is not None else 0.0
    quote_usd, usd_base = _rates(position, price)
    source = OrderSource.ELIMINATION_FLAT if mark is None else OrderSource.PRICE_FILLED_ELIMINATION_FLAT
    return Order(
        order_type="FLAT",
        leverage=-position.net_leverage,
        value=-position.net_value,
        quantity=-position.net_quantity,
        price=price,
        bid=price,
        ask=price,
        quote_usd_rate=quote_usd,
        usd_base_rate=usd_base,
        processed_ms=at_ms,
        order_uuid=synthetic_flat_uuid(position.position_uuid),
        src=int(source),
    )


def _rates(position: Position, price: float) -> tuple[float, float]:
    """Quote currency to USD and USD to base currency at this price; 0.0 where there is no price."""
    if price <= 0:
        return 0.0, 0.0
    pair = by_id(position.trade_pair[0])
    if pair is None or pair.quote == "USD":
        return 1.0, 1 / price
    if pair.base == "USD":
        return 1 / price, 1.0
    last = position.orders[-1] if position.orders else None
    return (last.quote_usd_rate, last.usd_base_rate) if last else (0.0, 0.0)


def _exact(order: Order, position: Position, mark: Decimal | None) -> Order:
    """The order with exact amounts, where the position has them. Raises ValueError."""
    facts = position.venue
    if facts is None or mark is None:
        return order
    quantity = amount(facts.quantity or "0", "venue.quantity")
    done = VenueFacts(
        name=facts.name,
        account=facts.account,
        instrument=facts.instrument,
        position_id=facts.position_id,
        quantity=plain(-quantity),
        price=plain(mark),
        fees="0",
        kind=KIND,
        status=STATUS,
        observed_ms=order.processed_ms,
        derived=True,
    )
    value = to_float(-quantity * mark)
    return msgspec.structs.replace(order, quantity=to_float(-quantity), value=value, venue=done)


def _rebuilt(position: Position, order: Order) -> Position:
    facts = position.venue
    if facts is not None:
        facts = msgspec.structs.replace(facts, status=STATUS, observed_ms=order.processed_ms)
    closed = rebuild(
        position.miner_hotkey,
        (*position.orders, order),
        position.trade_pair,
        position.account_size,
        position_uuid=position.position_uuid,
        at_ms=order.processed_ms,
        venue=facts,
    )
    if not closed.is_closed_position or closed.orders[-1].order_uuid != order.order_uuid:
        raise ValueError("the older orders close the position on their own")
    return closed


def _closed_as_it_was(position: Position, order: Order) -> Position:
    """For a record that its orders do not explain: nothing is recomputed, it is just over."""
    facts = position.venue
    if facts is not None:
        facts = msgspec.structs.replace(
            facts,
            quantity="0",
            unrealized_pnl="0",
            mark_price=None,
            status=STATUS,
            observed_ms=order.processed_ms,
        )
    return msgspec.structs.replace(
        position,
        orders=(*position.orders, order),
        close_ms=order.processed_ms,
        net_leverage=0.0,
        net_value=0.0,
        net_quantity=0.0,
        unrealized_pnl=0.0,
        position_type="FLAT",
        is_closed_position=True,
        venue=facts,
    )
