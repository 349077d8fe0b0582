"""The account's orders: resting ones, and what became of those that no longer rest.

A cancelled order vanishes from the venue's lists; its execution then says UNMATCHED, which alone could
also mean that it rests. Only an order whose market's list of live orders is in the payload is judged so.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from venues.errors import Broken
from venues.limitless import schemas
from venues.limitless.history import is_buy
from venues.limitless.reading import MarketFacts, Reading
from venues.limitless.units import instrument, moment, price, raw
from venues.model import ZERO, OrderStatus, VenueOrder

MARKET_TYPE: Final = "FOK"  # sized in USDC and never resting: a fill tells all there is to tell
WAITING: Final = frozenset({"DELAYED", "RETRYING"})


def orders_of(reading: Reading) -> list[VenueOrder]:
    """Orders by market, then those that only an execution speaks of. Raises Broken."""
    failed = {d.order.id: d.execution for d in reading.results if d.execution.settlement_status == "FAILED"}
    found: dict[str, VenueOrder] = {}
    for slug, rows in reading.orders.items():
        for index, row in enumerate(rows):
            order = _listed(f"orders:{slug}[{index}]", row, reading, slug, row.id in failed)
            if order is not None:
                found[order.order_id] = order
    for index, data in enumerate(reading.results):
        order = None if data.order.id in found else _unlisted(f"status[{index}]", data, reading)
        if order is not None:
            found[order.order_id] = order
    for index, held in enumerate(reading.clob):
        for order in _from_portfolio(f"positions.clob[{index}].orders.liveOrders", held, reading):
            found.setdefault(order.order_id, order)
    return list(found.values())


def _listed(
    path: str, row: schemas.UserOrder, reading: Reading, slug: str, is_failed: bool
) -> VenueOrder | None:
    if row.type == MARKET_TYPE or row.price is None:
        return None
    outcome = reading.markets[slug].tokens.get(row.token) if slug in reading.markets else None
    if outcome is None:
        raise Broken(f"{path}.token", f"a token of {slug}", repr(row.token[:20]))
    size = raw(f"{path}.originalSize", row.original_size)
    remaining = raw(f"{path}.remainingSize", row.remaining_size)
    status: OrderStatus = "open"
    if row.status == "MATCHED":
        status = "rejected" if is_failed else "filled" if remaining == 0 else "cancelled"
    elif row.status != "LIVE":
        raise Broken(f"{path}.status", "LIVE or MATCHED", repr(row.status))
    return VenueOrder(
        order_id=row.id,
        instrument=instrument(slug, outcome),
        quantity=size if is_buy(f"{path}.side", row.side) else -size,
        price=price(f"{path}.price", row.price),
        created_ms=moment(f"{path}.createdAt", row.created_at),
        filled=size - remaining,
        status=status,
        venue_status=row.status,
    )


def _unlisted(path: str, data: schemas.StatusData, reading: Reading) -> VenueOrder | None:
    """An order of which only the status answer speaks: done, cancelled or refused."""
    order, execution = data.order, data.execution
    slug = order.market.slug if order.market is not None else None
    if slug is None or slug not in reading.orders or slug not in reading.markets:
        return None
    facts: MarketFacts = reading.markets[slug]
    outcome = facts.tokens.get(order.token_id)
    if outcome is None or order.order_type == MARKET_TYPE or order.price is None or order.created_at is None:
        return None
    buys = is_buy(f"{path}.order.side", order.side)
    size = raw(f"{path}.order.takerAmount", order.taker_amount if buys else order.maker_amount)
    filled = raw(f"{path}.execution.contractsGross", execution.totals_raw.contracts_gross)
    filled = filled if execution.matched else ZERO
    return VenueOrder(
        order_id=order.id,
        instrument=instrument(slug, outcome),
        quantity=size if buys else -size,
        price=price(f"{path}.order.price", order.price),
        created_ms=moment(f"{path}.order.createdAt", order.created_at),
        filled=filled,
        status=_status(execution.settlement_status, filled, size),
        venue_status=execution.settlement_status,
    )


def _status(settlement: str, filled: Decimal, size: Decimal) -> OrderStatus:
    if settlement == "FAILED":
        return "rejected"
    if settlement in WAITING:
        return "open"
    return "filled" if filled >= size else "cancelled"


def _from_portfolio(path: str, row: schemas.ClobRow, reading: Reading) -> list[VenueOrder]:
    """Resting orders of an account that is read without credentials, where its rows say enough."""
    slug = row.market.slug
    if slug in reading.orders or row.orders is None:
        return []
    found = []
    for index, live in enumerate(row.orders.live_orders):
        outcome = reading.markets[slug].tokens.get(live.token or "")
        if live.id is None or outcome is None or live.price is None or live.original_size is None:
            continue  # without a token nobody knows whether it is for YES or NO
        where = f"{path}[{index}]"
        size = raw(f"{where}.originalSize", live.original_size)
        left = live.remaining_size if live.remaining_size is not None else live.original_size
        created = live.created_at
        found.append(
            VenueOrder(
                order_id=live.id,
                instrument=instrument(slug, outcome),
                quantity=size if is_buy(f"{where}.side", live.side or "") else -size,
                price=price(f"{where}.price", live.price),
                created_ms=moment(f"{where}.createdAt", created) if created else reading.observed_ms,
                filled=size - raw(f"{where}.remainingSize", left),
                venue_status="LIVE",
            )
        )
    return found
