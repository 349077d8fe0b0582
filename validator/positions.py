"""Position arithmetic: orders in, a position out; nothing here does I/O or reads a clock.

Rule 1: a position is what its orders say. ``rebuild`` of all its orders gives the same quantity,
average entry and realised P&L, and ``rebuild`` of the older ones gives the position as it was then.
Rule 2: no result is NaN or infinite, whatever finite numbers come in.
Rule 3: only the fields of ``MARK_FIELDS`` follow the price.

A position whose orders carry venue facts is folded exactly, in decimals, with the fees the venue really
charged (``venue_fold``); any other by Vanta's own rules and fee model (``vanta_fold``, ``fees``).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from validator import fees, vanta_fold, venue_fold
from validator.aggregates import aggregates
from validator.fold import Fold, finite, multiplier
from validator.identity import identity, order_identity
from validator.tiers import is_realtime
from validator.trade_pairs import by_id
from validator.venue_fold import amount, shown, to_float
from vanta_api.records import Order, Position, TradePairTuple, VenueFacts, plain

__all__ = [
    "MARK_FIELDS",
    "aggregates",
    "identity",
    "is_realtime",
    "order_identity",
    "rebuild",
    "status_after",
    "synthetic_flat_uuid",
    "truncate",
    "value_position",
]

MARK_FIELDS: Final = ("current_return", "return_at_close", "unrealized_pnl", "net_value")
_STATUS_OF_KIND: Final = {
    "expiry": "expired",
    "resolution": "resolved",
    "liquidation": "liquidated",
    "redemption": "redeemed",
}


def rebuild(
    hotkey: str,
    orders: Sequence[Order],
    trade_pair: TradePairTuple,
    account_size: float,
    *,
    position_uuid: str | None = None,
    mark: Decimal | None = None,
    at_ms: int | None = None,
    venue: VenueFacts | None = None,
    eight_hour_steps: bool = False,
) -> Position:
    """Fold executed orders into a position.

    ``mark`` values what is still open (None: the price of the last order). ``at_ms`` is the moment of
    the valuation for carry fees (None: the last order's). ``venue`` are the position's own facts:
    names, status, times and, where the venue reports them, its total ``fees``; the amounts in it that
    follow from the orders are replaced. ``eight_hour_steps``: see ``fees.carry_fee``.

    Raises ValueError when there is no order, the first cannot open a position (FLAT, no size, no
    price) or an amount in an order's venue facts is not a number.
    """
    if not orders:
        raise ValueError("a position needs at least one order")
    facts: VenueFacts | None
    ordered = sorted(orders, key=lambda order: order.processed_ms)
    if any(order.venue is not None for order in ordered):
        fold, exact = venue_fold.fold(ordered, account_size, _venue_mark(mark, venue))
        facts = _facts(ordered, fold, exact, venue)
        charged = amount(facts.fees or "0", "venue.fees")
        returns = _venue_returns(exact.realized + exact.unrealized, charged, account_size)
    else:
        pair = by_id(trade_pair[0])
        fold = vanta_fold.fold(ordered, pair, account_size, None if mark is None else to_float(mark))
        until_ms = fold.close_ms or at_ms or ordered[-1].processed_ms
        fee = fees.total_fee(pair, fold.timeline, until_ms, eight_hour_steps=eight_hour_steps)
        gross = multiplier(fold.gain)
        returns, facts = (gross, finite(gross * fee)), venue
    return _position(hotkey, fold, trade_pair, account_size, position_uuid, returns, facts)


def value_position(position: Position, mark: Decimal, observed_ms: int) -> Position:
    """The open position at another price. A closed one is returned as it is.

    Only ``MARK_FIELDS`` and, in ``venue``, ``mark_price``, ``unrealized_pnl`` and ``observed_ms`` change.
    """
    if position.is_closed_position:
        return position
    facts = position.venue
    if facts is None or facts.quantity is None or facts.average_entry_price is None:
        return _value_plain(position, mark, observed_ms)
    quantity = amount(facts.quantity, "venue.quantity")
    unrealized = (mark - amount(facts.average_entry_price, "venue.average_entry_price")) * quantity
    realized = amount(facts.realized_pnl or "0", "venue.realized_pnl")
    charged = amount(facts.fees or "0", "venue.fees")
    gross, net = _venue_returns(realized + unrealized, charged, position.account_size)
    return msgspec.structs.replace(
        position,
        current_return=gross,
        return_at_close=net,
        unrealized_pnl=to_float(unrealized),
        net_value=to_float(mark * quantity),
        venue=msgspec.structs.replace(
            facts, mark_price=plain(mark), unrealized_pnl=shown(unrealized), observed_ms=observed_ms
        ),
    )


def truncate(position: Position, threshold_ms: int, mark_then: Decimal | None) -> Position | None:
    """The position as it was at ``threshold_ms``: what a delayed tier may see.

    Orders from that moment on never happened; ``mark_then`` is the price of that moment (None: the
    newest price among what is left). None when no order is left. A position that cannot be rebuilt
    from its older orders alone is withheld (None) rather than shown with newer facts.
    """
    kept = [_then(order, threshold_ms) for order in position.orders if order.processed_ms < threshold_ms]
    if not kept:
        return None
    is_whole = len(kept) == len(position.orders)
    if is_whole and _was_over(position, threshold_ms):
        return position
    try:
        if is_whole and position.venue is None and not position.is_closed_position:
            return _value_plain(position, mark_then, threshold_ms)
        return rebuild(
            position.miner_hotkey,
            kept,
            position.trade_pair,
            position.account_size,
            position_uuid=position.position_uuid,
            mark=mark_then,
            at_ms=threshold_ms,
            venue=_facts_then(position.venue, kept, threshold_ms),
        )
    except ValueError:
        return None


def _then(order: Order, threshold_ms: int) -> Order:
    """The order without times at which it was observed later."""
    facts = order.venue
    if facts is None or max(facts.observed_ms or 0, facts.venue_ms or 0) < threshold_ms:
        return order
    seen_ms, venue_ms = (
        order.processed_ms if ms is not None and ms >= threshold_ms else ms
        for ms in (facts.observed_ms, facts.venue_ms)
    )
    return msgspec.structs.replace(
        order, venue=msgspec.structs.replace(facts, observed_ms=seen_ms, venue_ms=venue_ms)
    )


def _was_over(position: Position, threshold_ms: int) -> bool:
    """True when the position was closed before the moment and nothing was learnt about it since."""
    if not position.is_closed_position or position.close_ms is None or position.close_ms >= threshold_ms:
        return False
    return position.venue is None or _was_known(position.venue, threshold_ms)


def _was_known(facts: VenueFacts, threshold_ms: int) -> bool:
    return facts.observed_ms is not None and facts.observed_ms < threshold_ms


def status_after(last: Order, *, is_closed: bool) -> str:
    """The word for a venue position's state where the venue itself gives none."""
    if not is_closed:
        return "open"
    kind = last.venue.kind if last.venue else None
    return _STATUS_OF_KIND.get(kind or "", "closed")


def synthetic_flat_uuid(position_uuid: str) -> str:
    """The order uuid of a flat that the rules made: the same at every validator."""
    return position_uuid[::-1]


def _position(
    hotkey: str,
    fold: Fold,
    trade_pair: TradePairTuple,
    account_size: float,
    position_uuid: str | None,
    returns: tuple[float, float],
    facts: VenueFacts | None,
) -> Position:
    return Position(
        miner_hotkey=hotkey,
        position_uuid=position_uuid or fold.orders[0].order_uuid,
        open_ms=fold.open_ms,
        trade_pair=trade_pair,
        orders=tuple(fold.orders),
        current_return=returns[0],
        close_ms=fold.close_ms,
        net_leverage=fold.net_leverage,
        net_value=fold.net_value,
        net_quantity=fold.net_quantity,
        return_at_close=returns[1],
        average_entry_price=fold.average,
        initial_entry_price=fold.initial,
        cumulative_entry_value=fold.cumulative_entry_value,
        account_size=account_size,
        realized_pnl=fold.realized,
        unrealized_pnl=fold.unrealized,
        position_type="FLAT" if fold.is_closed else fold.direction,
        is_closed_position=fold.is_closed,
        venue=facts,
    )


def _facts(
    orders: Sequence[Order], fold: Fold, exact: venue_fold.Exact, known: VenueFacts | None
) -> VenueFacts:
    """The position's venue facts: names from ``known`` (else the first order), amounts from the fold."""
    first = next(order.venue for order in orders if order.venue is not None)
    base = known or VenueFacts(
        name=first.name, account=first.account, instrument=first.instrument, position_id=first.position_id
    )
    last = fold.orders[-1]
    return msgspec.structs.replace(
        base,
        quantity=plain(exact.quantity),
        average_entry_price=shown(exact.average),
        mark_price=None if fold.is_closed else plain(exact.mark),
        realized_pnl=shown(exact.realized),
        unrealized_pnl=shown(exact.unrealized),
        fees=base.fees if base.fees is not None else shown(exact.fees),
        status=base.status or status_after(last, is_closed=fold.is_closed),
        derived=base.derived or any(order.venue is not None and order.venue.derived for order in orders),
    )


def _facts_then(facts: VenueFacts | None, kept: Sequence[Order], threshold_ms: int) -> VenueFacts | None:
    """Facts that were already true before ``threshold_ms``; the rest follows from the kept orders."""
    if facts is None or _was_known(facts, threshold_ms):
        return facts
    last = kept[-1]
    seen_ms = last.venue.observed_ms if last.venue is not None else None
    if seen_ms is None or seen_ms >= threshold_ms:
        seen_ms = last.processed_ms
    venue_ms = facts.venue_ms if facts.venue_ms is not None and facts.venue_ms < threshold_ms else None
    return VenueFacts(
        name=facts.name,
        account=facts.account,
        instrument=facts.instrument,
        position_id=facts.position_id,
        observed_ms=seen_ms,
        venue_ms=venue_ms,
        derived=any(order.venue is not None and order.venue.derived for order in kept),
    )


def _venue_mark(mark: Decimal | None, venue: VenueFacts | None) -> Decimal | None:
    if mark is not None or venue is None or venue.mark_price is None:
        return mark
    return amount(venue.mark_price, "venue.mark_price")


def _venue_returns(profit: Decimal, charged: Decimal, account_size: float) -> tuple[float, float]:
    """Gross and net return as multipliers; 1.0 where the account size is unknown."""
    if account_size <= 0:
        return 1.0, 1.0
    gross, net = to_float(profit) / account_size, to_float(profit - charged) / account_size
    return multiplier(finite(gross)), multiplier(finite(net))


def _value_plain(position: Position, mark: Decimal | None, observed_ms: int) -> Position:
    if not position.orders:
        return position
    valued = rebuild(
        position.miner_hotkey,
        position.orders,
        position.trade_pair,
        position.account_size,
        mark=mark,
        at_ms=observed_ms,
    )
    return msgspec.structs.replace(position, **{name: getattr(valued, name) for name in MARK_FIELDS})
