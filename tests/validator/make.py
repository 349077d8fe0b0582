"""Orders and positions for tests, written with as few words as possible."""

from __future__ import annotations

from typing import Any

import msgspec

from validator.trade_pairs import TRADE_PAIRS
from vanta_api.records import Order, TradePairTuple, VenueFacts

T0 = 1_750_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
O2_PAIR: TradePairTuple = ("O2:FUEL/USDC", "FUEL/USDC", 0.0004, 0.0, 1.0)


def pair(trade_pair_id: str) -> TradePairTuple:
    return TRADE_PAIRS[trade_pair_id].wire_tuple()


def plain_order(order_type: Any, price: float, ms: int = T0, **fields: Any) -> Order:
    """An order without a venue."""
    fields.setdefault("order_uuid", f"order-{ms}")
    return Order(order_type=order_type, price=price, processed_ms=ms, **fields)


def fill(quantity: str | None, price: str, ms: int = T0, **facts: Any) -> Order:
    """An executed venue order. ``flat=True`` makes it a FLAT, ``uuid`` names it."""
    is_flat, uuid = facts.pop("flat", False), facts.pop("uuid", f"fill-{ms}")
    is_buy = quantity is None or not quantity.startswith("-")
    venue = VenueFacts(
        name="o2", account="a1", instrument="FUEL/USDC", quantity=quantity, price=price, **facts
    )
    return Order(
        order_type="FLAT" if is_flat else "LONG" if is_buy else "SHORT",
        price=max(0.0, float(price)),
        processed_ms=ms,
        order_uuid=uuid,
        venue=venue,
    )


def with_facts(facts: VenueFacts | None, **changes: Any) -> VenueFacts:
    assert facts is not None
    return msgspec.structs.replace(facts, **changes)
