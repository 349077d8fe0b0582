"""The compact form of dashboards: short keys, positions and orders by uuid, only what is newer than asked.

Rule 1: a section without news is absent (None here), so a reader that keeps what it has needs no more.
Rule 2: lower bounds are exclusive, and each section says the bound to send next time. That bound lies at
least ``MARGIN_MS`` behind the present: what is learnt late, of a moment that was passed already, is still
told. A reader may therefore be told something twice; everything has a uuid or a time as its key.
Rule 3: open positions are always told, because their value moves.

Keys of a position: ``tp`` pair, ``t`` type, ``o`` opened, ``r`` return, ``nl`` net leverage, ``ap`` average
entry price, ``rp`` and ``up`` P&L in USD, ``c`` closed, ``rc`` return at close, ``fo`` and ``uo`` filled and
unfilled orders, ``fh`` fees. Of an order: ``tp`` pair, ``t`` type, ``l`` leverage, ``q`` quantity, ``pr``
price, ``v`` value in USD, ``e`` execution type, ``p`` processed, ``lp`` limit price, ``sl`` stop loss, ``tk``
take profit, ``s`` slippage. Of a checkpoint: ``r`` and ``u`` P&L in USD, ``m`` largest value, ``s`` bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import expm1
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from validator.aggregates import aggregates
from validator.ledger.checkpoint import DAY_MS, Checkpoint
from validator.statistics.days import complete_days
from validator.venue_fold import amount, to_float
from vanta_api.records import Order, OrderSource, Position, RestingOrder

Value = TypeVar("Value")

MARGIN_MS: Final = 30_000  # polls are seconds apart; what they find has happened before
UNFILLED: Final = frozenset((OrderSource.LIMIT_UNFILLED, OrderSource.BRACKET_UNFILLED))


class CompactOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order. ``tp`` only where it does not stand inside a position."""

    tp: str | UnsetType = UNSET
    t: str
    e: str
    p: int
    v: float | None = None
    l: float | UnsetType = UNSET  # noqa: E741 - the key is the wire's
    q: float | UnsetType = UNSET
    pr: float | UnsetType = UNSET
    lp: float | UnsetType = UNSET
    sl: float | UnsetType = UNSET
    tk: float | UnsetType = UNSET
    s: float | UnsetType = UNSET


class CompactFee(msgspec.Struct, frozen=True, kw_only=True):
    """A fee that was charged: its kind and USD."""

    t: str
    a: float


class CompactPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position."""

    tp: str
    t: str | None
    o: int
    r: float
    ap: float
    rp: float
    up: float
    nl: float | UnsetType = UNSET
    c: int | UnsetType = UNSET
    rc: float | UnsetType = UNSET
    fo: dict[str, CompactOrder] | UnsetType = UNSET
    uo: dict[str, CompactOrder] | UnsetType = UNSET
    fh: dict[str, CompactFee] | UnsetType = UNSET


class CompactPositions(msgspec.Struct, frozen=True, kw_only=True):
    """``all_time_returns`` stands there when a closed position does."""

    positions: dict[str, CompactPosition]
    total_leverage: float
    positions_time_ms: int
    all_time_returns: float | UnsetType = UNSET


class CompactLimitOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that rest, and the uuids of those that no longer do."""

    limit_orders_time_ms: int
    open_orders: dict[str, CompactOrder] | UnsetType = UNSET
    closed_orders: list[str] | UnsetType = UNSET


class CompactCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One span of the portfolio's ledger."""

    m: float
    s: str
    r: float | UnsetType = UNSET
    u: float | UnsetType = UNSET


class CompactLedger(msgspec.Struct, frozen=True, kw_only=True):
    """Checkpoints by the time they ended; ``portfolio_return`` is a multiplier."""

    portfolio_return: float
    checkpoints: dict[str, CompactCheckpoint] | UnsetType = UNSET
    checkpoints_time_ms: int | UnsetType = UNSET


class CompactStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Daily returns in per cent by date; the time is the beginning of the newest day."""

    daily_returns: dict[str, float]
    daily_returns_time_ms: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A resting order in its newest state, known since ``since_ms``."""

    since_ms: int
    order: RestingOrder


def positions(
    held: Sequence[Position], resting: Sequence[RestingOrder], since_ms: int, at_ms: int
) -> CompactPositions | None:
    """Open positions, and closed ones of which something was learnt after ``since_ms``."""
    told = [one for one in held if not one.is_closed_position or news_ms(one) > since_ms]
    if not told:
        return None
    figures = aggregates(held, at_ms)
    has_closed = any(one.is_closed_position for one in told)
    newest_ms = max((since_ms, *map(news_ms, told)))
    return CompactPositions(
        positions={one.position_uuid: position(one, resting) for one in told},
        total_leverage=figures["total_leverage"],
        positions_time_ms=_next_bound(since_ms, newest_ms, at_ms),
        all_time_returns=figures["all_time_returns"] if has_closed else UNSET,
    )


def position(one: Position, resting: Sequence[RestingOrder] = ()) -> CompactPosition:
    """A position with its orders; ``resting``: the hotkey's, of which those that would reduce it are its."""
    unfilled = {order.order_uuid: resting_order(order) for order in resting if _reduces(order, one)}
    return CompactPosition(
        tp=one.trade_pair[1],
        t=one.position_type,
        o=one.open_ms,
        r=one.current_return,
        ap=one.average_entry_price,
        rp=one.realized_pnl,
        up=one.unrealized_pnl,
        nl=one.net_leverage or UNSET,
        c=_known(one.close_ms) if one.is_closed_position else UNSET,
        rc=one.return_at_close if one.is_closed_position else UNSET,
        fo={order.order_uuid: filled_order(order) for order in one.orders} or UNSET,
        uo=unfilled or UNSET,
        fh=_fees(one.orders) or UNSET,
    )


def news_ms(one: Position) -> int:
    """When the newest thing we know of a position was learnt (prices apart)."""
    found = [one.open_ms, one.close_ms or 0]
    for order in one.orders:
        found += [order.processed_ms, (order.venue.observed_ms or 0) if order.venue else 0]
    if one.is_closed_position and one.venue is not None:
        found.append(one.venue.observed_ms or 0)
    return max(found)


def filled_order(order: Order) -> CompactOrder:
    """An executed order."""
    return CompactOrder(
        t=order.order_type,
        e=order.execution_type,
        p=order.processed_ms,
        v=order.value,
        l=_known(order.leverage),
        q=_known(order.quantity),
        pr=order.price or UNSET,
        lp=_known(order.limit_price),
        sl=_known(order.stop_loss),
        tk=_known(order.take_profit),
        s=order.slippage,
    )


def resting_order(order: RestingOrder, *, has_pair: bool = False) -> CompactOrder:
    """A resting order."""
    return CompactOrder(
        tp=order.trade_pair[1] if has_pair else UNSET,
        t=order.order_type,
        e=order.execution_type,
        p=order.processed_ms,
        v=order.value,
        l=_known(order.leverage),
        q=_known(order.quantity),
        pr=order.price or UNSET,
        lp=_known(order.limit_price),
        sl=_known(order.stop_loss),
        tk=_known(order.take_profit),
    )


def limit_orders(changed: Iterable[Changed], since_ms: int, at_ms: int) -> CompactLimitOrders | None:
    """What changed after ``since_ms``; a reader that begins (0) is told of resting orders alone."""
    news = [one for one in changed if one.since_ms > since_ms]
    rest = [one for one in news if one.order.src in UNFILLED]
    over = [one.order.order_uuid for one in news if one.order.src not in UNFILLED] if since_ms > 0 else []
    if not rest and not over:
        return None
    newest_ms = max(one.since_ms for one in news)
    return CompactLimitOrders(
        limit_orders_time_ms=_next_bound(since_ms, newest_ms, at_ms),
        open_orders={one.order.order_uuid: resting_order(one.order, has_pair=True) for one in rest} or UNSET,
        closed_orders=sorted(over) or UNSET,
    )


def ledger(
    checkpoints: Sequence[Checkpoint], bucket_at: Callable[[int], str], since_ms: int
) -> CompactLedger | None:
    """The portfolio's ledger; its value stands there even when no span is new."""
    if not checkpoints:
        return None
    news = [one for one in checkpoints if one.last_update_ms > since_ms]
    return CompactLedger(
        portfolio_return=checkpoints[-1].prev_portfolio_ret,
        checkpoints={str(one.last_update_ms): _span(one, bucket_at) for one in news} or UNSET,
        checkpoints_time_ms=news[-1].last_update_ms if news else UNSET,
    )


def statistics(checkpoints: Sequence[Checkpoint], since_ms: int) -> CompactStatistics | None:
    """Returns of the complete days that began after ``since_ms``."""
    days = [day for day in complete_days(checkpoints) if day.number * DAY_MS > since_ms]
    if not days:
        return None
    return CompactStatistics(
        daily_returns={day.date: 100 * round(expm1(day.log_return), 6) for day in days},
        daily_returns_time_ms=days[-1].number * DAY_MS,
    )


def _span(one: Checkpoint, bucket_at: Callable[[int], str]) -> CompactCheckpoint:
    return CompactCheckpoint(
        m=one.mpv,
        s=bucket_at(one.last_update_ms),
        r=one.realized_pnl or UNSET,
        u=one.unrealized_pnl or UNSET,
    )


def _fees(orders: Iterable[Order]) -> dict[str, CompactFee]:
    """What venues charged, by time; fees of one moment are added up."""
    found: dict[str, float] = {}
    for order in orders:
        if order.venue is None or not order.venue.fees:
            continue
        try:
            charged = to_float(amount(order.venue.fees, "fees"))
        except ValueError:
            continue  # a venue's text that is no amount: the position itself shows it as it came
        if charged:
            key = str(order.processed_ms)
            found[key] = found.get(key, 0.0) + charged
    return {key: CompactFee(t="transaction", a=charged) for key, charged in found.items()}


def _reduces(order: RestingOrder, one: Position) -> bool:
    """Whether a resting order belongs to an open position: a bracket, or one that may only reduce it."""
    if one.is_closed_position or order.src not in UNFILLED or order.trade_pair_id != one.trade_pair[0]:
        return False
    is_reduce_only = order.venue is not None and order.venue.reduce_only is True
    return order.execution_type == "BRACKET" or is_reduce_only


def _next_bound(since_ms: int, newest_ms: int, at_ms: int) -> int:
    return max(since_ms, min(newest_ms, at_ms - MARGIN_MS))


def _known(value: Value | None) -> Value | UnsetType:
    return UNSET if value is None else value
