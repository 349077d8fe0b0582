"""What counts as a change: canonical bytes without anything that follows the mark or the clock."""

from __future__ import annotations

from typing import Final

import msgspec

from vanta_api.records import Order, Position, RestingOrder, VenueFacts, encode

_UNCHANGING: Final = {
    "current_return": 1.0,
    "return_at_close": 1.0,
    "unrealized_pnl": 0.0,
    "net_value": 0.0,
}


def identity(position: Position) -> bytes:
    """Equal for two records of a position exactly when a reader would see no event between them.

    Ignored: ``observed_ms``, ``mark_price``, ``unrealized_pnl``, ``current_return``,
    ``return_at_close``, ``net_value`` and the time at which the venue last touched the position.
    """
    return encode(
        msgspec.structs.replace(
            position,
            venue=_lasting(position.venue, keep_venue_ms=False),
            orders=tuple(_lasting_order(order) for order in position.orders),
            **_UNCHANGING,
        )
    )


def order_identity(resting: RestingOrder) -> bytes:
    """The same for a resting order."""
    return encode(msgspec.structs.replace(resting, venue=_lasting(resting.venue, keep_venue_ms=True)))


def _lasting_order(order: Order) -> Order:
    if order.venue is None:
        return order
    return msgspec.structs.replace(order, venue=_lasting(order.venue, keep_venue_ms=True))


def _lasting(facts: VenueFacts | None, *, keep_venue_ms: bool) -> VenueFacts | None:
    if facts is None:
        return None
    return msgspec.structs.replace(
        facts,
        mark_price=None,
        unrealized_pnl=None,
        observed_ms=None,
        venue_ms=facts.venue_ms if keep_venue_ms else None,
    )
