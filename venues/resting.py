"""Resting orders: a venue's orders in Vanta's limit-order shape, and what became of those that are gone."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from vanta_api.records import OrderSource, RestingOrder, VenueFacts, plain
from venues import identity
from venues.fold import Context
from venues.model import Snapshot, VenueOrder

if TYPE_CHECKING:
    from venues.book import AccountBook

SOURCES: Final = {
    "open": OrderSource.LIMIT_UNFILLED,
    "filled": OrderSource.LIMIT_FILLED,
    "cancelled": OrderSource.LIMIT_CANCELLED,
    "rejected": OrderSource.LIMIT_CANCELLED,
}


def changes(
    book: AccountBook,
    snapshot: Snapshot,
    context: Callable[[str], Context],
    identity_of: Callable[[RestingOrder], bytes],
) -> tuple[dict[str, RestingOrder], list[RestingOrder]]:
    """The resting orders after ``snapshot``, and the records that say what changed.

    A known open order that the venue no longer lists is filled when fills of that order add up to its
    size, else cancelled. An order that is first seen already cancelled or filled is no news.
    """
    listed = {order.order_id: record(order, context(order.instrument)) for order in snapshot.orders}
    still_open: dict[str, RestingOrder] = {}
    news: list[RestingOrder] = []
    for new in listed.values():
        known = book.resting.get(new.order_uuid)
        if new.src == OrderSource.LIMIT_UNFILLED:
            still_open[new.order_uuid] = new
        elif known is None:
            continue
        if known is None or identity_of(known) != identity_of(new):
            news.append(new)
    listed_uuids = {order.order_uuid for order in listed.values()}
    news += [_vanished(o, snapshot) for uuid, o in book.resting.items() if uuid not in listed_uuids]
    return still_open, news


def record(order: VenueOrder, context: Context) -> RestingOrder:
    """One venue order as a resting order record."""
    unit = order.notional_price if order.notional_price is not None else order.price
    value = order.quantity * abs(unit)
    return RestingOrder(
        miner_hotkey=context.hotkey,
        trade_pair_id=context.trade_pair[0],
        trade_pair=context.trade_pair,
        order_type="LONG" if order.quantity > 0 else "SHORT",
        leverage=float(value / context.account_size) if context.account_size else 0.0,
        value=float(value),
        quantity=float(order.quantity),
        quote_usd_rate=1.0,
        processed_ms=order.created_ms,
        order_uuid=identity.resting_uuid(context.venue, context.account, order.order_id),
        src=int(SOURCES[order.status]),
        execution_type="STOP_LIMIT" if order.is_stop else "LIMIT",
        limit_price=float(max(order.price, Decimal(0))),
        stop_loss=None if order.stop_loss is None else float(order.stop_loss),
        take_profit=None if order.take_profit is None else float(order.take_profit),
        venue=VenueFacts(
            name=context.venue,
            account=context.account,
            instrument=context.instrument.name,
            position_id=order.position_id,
            order_id=order.order_id,
            quantity=plain(order.quantity),
            price=plain(order.price),
            filled=plain(order.filled),
            reduce_only=order.reduce_only,
            status=order.venue_status or order.status,
            observed_ms=context.observed_ms,
            venue_ms=order.updated_ms if order.updated_ms is not None else order.created_ms,
        ),
    )


def _vanished(order: RestingOrder, snapshot: Snapshot) -> RestingOrder:
    assert order.venue is not None
    done = sum(
        (abs(fill.quantity) for fill in snapshot.fills if fill.order_id == order.venue.order_id), Decimal(0)
    )
    is_filled = done >= abs(Decimal(order.venue.quantity or 0)) > 0
    facts = msgspec.structs.replace(
        order.venue,
        status="filled" if is_filled else "cancelled",
        filled=plain(done) if done else order.venue.filled,
        observed_ms=snapshot.observed_ms,
        derived=True,
    )
    source = OrderSource.LIMIT_FILLED if is_filled else OrderSource.LIMIT_CANCELLED
    return msgspec.structs.replace(order, src=int(source), venue=facts)
