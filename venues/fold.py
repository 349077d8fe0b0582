"""Executions into positions: one fill at a time, exact, with Vanta's rules where the venue's differ.

Rule 1: a position that reached flat stays closed; what the venue holds beyond that is a new position.
Rule 2: a fill that reverses makes two orders, one that closes and one that opens.
Rule 3: a position has at most 100 orders; the 101st closes it at its own average and carries it over,
so that no profit is made or lost by the bookkeeping.
Rule 4: whatever is appended, rebuilding from the orders gives the record's quantity, average and profit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

from validator.positions import rebuild
from vanta_api.records import Order, OrderSource, OrderType, Position, TradePairTuple, VenueFacts, plain
from venues import identity
from venues.model import Fill, Instrument

MAX_ORDERS: Final = 100
OPENING_KINDS: Final = frozenset({"trade", "transfer"})


@dataclass(frozen=True, slots=True)
class Context:
    """What is the same for every fill of one instrument in one poll. ``account_size`` is USD."""

    venue: str
    account: str
    hotkey: str
    instrument: Instrument
    trade_pair: TradePairTuple
    account_size: Decimal
    observed_ms: int
    mark: Decimal | None = None

    @property
    def tolerance(self) -> Decimal:
        """A quantity up to this counts as flat."""
        return max(self.instrument.lot, self.instrument.dust)


def net_quantity(position: Position | None) -> Decimal:
    """Signed exact quantity; 0 for no position or a closed one."""
    if position is None or position.is_closed_position or position.venue is None:
        return Decimal(0)
    return Decimal(position.venue.quantity or 0)


def average_entry(position: Position) -> Decimal:
    """Exact average entry price."""
    assert position.venue is not None
    return Decimal(position.venue.average_entry_price or 0)


def apply_fill(context: Context, current: Position | None, fill: Fill) -> list[Position]:
    """The records that follow from one fill, oldest first; the last one is the new current position."""
    net = net_quantity(current)
    if current is None or current.is_closed_position:
        is_over = current is not None and fill.position_id is not None  # the venue never reopens an id
        opens = fill.kind in OPENING_KINDS and abs(fill.quantity) > context.tolerance and not is_over
        return [_open(context, fill, _opening_uuid(context, fill))] if opens else []
    after = net + fill.quantity
    if fill.kind not in OPENING_KINDS or abs(after) <= context.tolerance:
        return [_append(context, current, fill, -net, "FLAT")]
    if (after > 0) != (net > 0):
        return _reverse(context, current, fill, net)
    if len(current.orders) >= MAX_ORDERS:
        closed, carried = roll_over(context, current)
        return [closed, carried, *apply_fill(context, carried, fill)]
    return [_append(context, current, fill, fill.quantity, _direction(fill.quantity))]


def cover(context: Context, current: Position | None, fill: Fill) -> list[Fill]:
    """The deposit that must have come before ``fill`` where nothing can be sold short; usually none."""
    missing = -(net_quantity(current) + fill.quantity)
    if context.instrument.can_short or fill.quantity >= 0 or missing <= context.tolerance:
        return []
    if fill.kind not in OPENING_KINDS:
        return []
    deposit = msgspec.structs.replace(
        fill, fill_id=f"cover:{fill.fill_id}", quantity=missing, fee=Decimal(0), kind="transfer", derived=True
    )
    return [deposit]


def roll_over(context: Context, position: Position) -> tuple[Position, Position]:
    """Close a full position at its own average and open its successor with the same average."""
    net, average, now = net_quantity(position), average_entry(position), position.orders[-1].processed_ms
    base = Fill(
        fill_id=f"carry:{position.position_uuid}",
        instrument=context.instrument.name,
        quantity=-net,
        price=average,
        time_ms=now,
        derived=True,
    )
    flat = _order(context, base, -net, "FLAT", position.position_uuid[::-1])
    flat = msgspec.structs.replace(flat, src=int(OrderSource.MAX_ORDERS_PER_POSITION_CLOSE))
    closed = _rebuilt(context, (*position.orders, flat), position.position_uuid, position.venue)
    uuid = identity.carry_uuid(position.position_uuid)
    carry = _order(context, base, net, _direction(net), uuid)
    return closed, _rebuilt(context, (carry,), uuid, position.venue)


def without_fills(context: Context, position: Position, gone: frozenset[str]) -> Position:
    """The position as if the fills in ``gone`` had never happened (settlement failed, reorg)."""
    kept = tuple(o for o in position.orders if o.venue is None or o.venue.order_id not in gone)
    return _from_orders(context, position, kept)


def without_derived_since(context: Context, position: Position, since_ms: int) -> Position:
    """The position without the derived orders at or after ``since_ms``; the opening order stays."""
    kept = tuple(
        order
        for index, order in enumerate(position.orders)
        if index == 0 or order.venue is None or not order.venue.derived or order.processed_ms < since_ms
    )
    return position if len(kept) == len(position.orders) else _from_orders(context, position, kept)


def revalued(context: Context, position: Position) -> Position:
    """The position rebuilt from its orders at the context's mark and observation time."""
    return _rebuilt(context, position.orders, position.position_uuid, position.venue)


def _from_orders(context: Context, position: Position, orders: tuple[Order, ...]) -> Position:
    if orders:
        reopened = tuple(_unflattened(order) for order in orders)
        return _rebuilt(context, reopened, position.position_uuid, position.venue)
    return msgspec.structs.replace(
        position,
        orders=(),
        is_closed_position=True,
        close_ms=context.observed_ms,
        position_type="FLAT",
        current_return=1.0,
        return_at_close=1.0,
        net_leverage=0.0,
        net_quantity=0.0,
        net_value=0.0,
        realized_pnl=0.0,
        unrealized_pnl=0.0,
        venue=_facts(context, position.venue, status="voided"),
    )


def _unflattened(order: Order) -> Order:
    """An order that closed only because it reached flat gets its direction back."""
    facts = order.venue
    if order.order_type != "FLAT" or facts is None or facts.kind not in (*OPENING_KINDS, None):
        return order
    return msgspec.structs.replace(order, order_type=_direction(Decimal(facts.quantity or 0)))


def _open(context: Context, fill: Fill, uuid: str) -> Position:
    order = _order(context, fill, fill.quantity, _direction(fill.quantity), uuid)
    facts = msgspec.structs.replace(_facts(context, None, position_id=fill.position_id), derived=fill.derived)
    return _rebuilt(context, (order,), uuid, facts)


def _append(
    context: Context, current: Position, fill: Fill, quantity: Decimal, kind: OrderType, part: str = ""
) -> Position:
    uuid = identity.fill_uuid(context.venue, context.account, fill.fill_id, part)
    order = _order(context, fill, quantity, kind, uuid)
    return _rebuilt(context, (*current.orders, order), current.position_uuid, current.venue)


def _reverse(context: Context, current: Position, fill: Fill, net: Decimal) -> list[Position]:
    share = -net / fill.quantity  # the part of the fill, and of its fee, that closes
    closing = msgspec.structs.replace(
        fill, fee=fill.fee * share, notional_usd=_share(fill.notional_usd, share)
    )
    closed = _append(context, current, closing, -net, "FLAT", part="close")
    rest = 1 - share
    opening = msgspec.structs.replace(
        fill,
        quantity=fill.quantity + net,
        fee=fill.fee * rest,
        notional_usd=_share(fill.notional_usd, rest),
    )
    uuid = identity.fill_uuid(context.venue, context.account, fill.fill_id, "open")
    return [closed, _open(context, opening, uuid)]


def _share(notional: Decimal | None, share: Decimal) -> Decimal | None:
    return None if notional is None else notional * share


def _opening_uuid(context: Context, fill: Fill) -> str:
    if fill.position_id is not None:
        return identity.position_uuid(context.venue, context.account, fill.position_id)
    return identity.fill_uuid(context.venue, context.account, fill.fill_id)


def _direction(quantity: Decimal) -> OrderType:
    return "LONG" if quantity > 0 else "SHORT"


def _order(context: Context, fill: Fill, quantity: Decimal, kind: OrderType, uuid: str) -> Order:
    price = max(fill.price, Decimal(0))  # a leg may have a negative price; the exact one is in venue
    notional = fill.notional_usd if fill.notional_usd is not None else abs(quantity * fill.price)
    value = notional if quantity >= 0 else -notional
    return Order(
        order_type=kind,
        leverage=float(value / context.account_size) if context.account_size else 0.0,
        value=float(value),
        quantity=float(quantity),
        price=float(price),
        bid=float(fill.bid or 0),
        ask=float(fill.ask or 0),
        quote_usd_rate=1.0,
        usd_base_rate=float(1 / price) if price else 0.0,
        processed_ms=fill.time_ms,
        order_uuid=uuid,
        venue=VenueFacts(
            name=context.venue,
            account=context.account,
            instrument=context.instrument.name,
            position_id=fill.position_id,
            order_id=fill.fill_id,
            quantity=plain(quantity),
            price=plain(fill.price),
            fees=plain(fill.fee),
            kind=fill.kind,
            status="filled",
            observed_ms=context.observed_ms,
            venue_ms=fill.time_ms,
            derived=fill.derived,
        ),
    )


def _rebuilt(context: Context, orders: tuple[Order, ...], uuid: str, facts: VenueFacts | None) -> Position:
    return rebuild(
        context.hotkey,
        orders,
        context.trade_pair,
        float(context.account_size),
        position_uuid=uuid,
        mark=context.mark,
        at_ms=context.observed_ms,
        venue=_facts(context, facts),
    )


def _facts(
    context: Context, known: VenueFacts | None, *, position_id: str | None = None, status: str | None = None
) -> VenueFacts:
    return VenueFacts(
        name=context.venue,
        account=context.account,
        instrument=context.instrument.name,
        position_id=known.position_id if known else position_id,
        status=status,
        observed_ms=context.observed_ms,
        derived=known.derived if known else False,
    )
