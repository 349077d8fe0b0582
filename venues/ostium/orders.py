"""Orders: resting limits and stops, the take-profit and stop-loss of open trades, market orders waiting
for the oracle, and what became of them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from venues.errors import Broken
from venues.model import OrderStatus, VenueOrder
from venues.numbers import scaled
from venues.ostium import fills, formulae, reading, symbols
from venues.ostium.reading import Account
from venues.ostium.schemas import Limit, Order, Trade

SAME_PRICE: Final = Decimal("1e-6")  # relative
INDEXED_TOGETHER_MS: Final = 5_000  # a limit's last change and the order that executed it


def limit_id(limit: Limit) -> str:
    """An id that is never used again: the slot's own id names a new limit later."""
    if limit.unique_id not in (None, ""):
        return str(limit.unique_id)
    return f"{limit.id}@{limit.initiated_at}"


def executed_limits(account: Account) -> dict[str, str]:
    """Order id → id of the limit it executed. A slot's earlier limits are gone once it is used again;
    their orders keep their own id."""
    opened = [e.order for e in fills.executions(account) if e.action == "open"]
    found = {o.id: o.limit_id for o in opened if o.limit_id is not None and "_" not in o.limit_id}
    for limit in account.ended:
        order = _execution_of(limit, opened)
        if order is not None:
            found[order.id] = limit_id(limit)
    return found


def orders(account: Account, limit_ids: dict[str, str]) -> tuple[VenueOrder, ...]:
    """Every order of the account that rests, or was filled or cancelled lately."""
    executed = set(limit_ids.values())
    found = [_limit(limit, "open") for limit in account.limits]
    found += [_limit(x, "filled" if limit_id(x) in executed else "cancelled") for x in account.ended]
    for trade in account.trades:
        found += _exits(trade)
    held = {trade.trade_id: trade for trade in account.trades}
    found += [o for order in account.pending if (o := _market(order, held)) is not None]
    found += [o for order in account.settled if (o := _settled(order, held)) is not None]
    unique: dict[str, VenueOrder] = {}
    for made in found:
        unique.setdefault(made.order_id, made)
    return tuple(unique.values())


def _execution_of(limit: Limit, opened: list[Order]) -> Order | None:
    began = reading.milliseconds(limit.initiated_at)
    changed = limit.updated_at if limit.updated_at is not None else limit.initiated_at
    ended = reading.milliseconds(changed) + INDEXED_TOGETHER_MS
    if limit.order_id not in (None, ""):
        return next((order for order in opened if order.id == str(limit.order_id)), None)
    names = {limit.id, limit_id(limit)}
    matching = [o for o in opened if o.limit_id in names and began <= reading.settled_ms(o) <= ended]
    return max(matching, key=reading.order_rank, default=None)


def _limit(limit: Limit, status: OrderStatus) -> VenueOrder:
    path = f"limits[{limit.id}].openPrice"
    price = reading.price(limit.open_price, path)
    size = reading.quantity(limit, price)
    if price is None or size is None:
        raise Broken(path, "a trigger price and a size", str(limit.open_price))
    return VenueOrder(
        order_id=limit_id(limit),
        instrument=reading.instrument(limit.pair),
        quantity=size if limit.is_buy else -size,
        price=price,
        created_ms=reading.milliseconds(limit.initiated_at),
        updated_ms=reading.milliseconds(limit.updated_at) if limit.updated_at is not None else None,
        filled=size if status == "filled" else Decimal(0),
        status=status,
        is_stop=limit.limit_type.upper() == "STOP",
        stop_loss=reading.price(limit.stop_loss_price, path),
        take_profit=wanted_profit(limit, price),
        venue_status="executing" if limit.execution_started and status == "open" else None,
    )


def wanted_profit(row: Trade | Limit, entry: Decimal) -> Decimal | None:
    """The trader's own take-profit; the contract's 900 % default is nobody's wish."""
    price = reading.price(row.take_profit_price, f"[{row.pair.id}].takeProfitPrice")
    leverage = scaled(row.leverage, reading.HUNDREDTHS)
    if isinstance(row, Trade) and row.highest_leverage is not None:
        leverage = max(leverage, scaled(row.highest_leverage, reading.HUNDREDTHS))
    if price is None or leverage <= 0:
        return price
    default = formulae.default_take_profit(entry, leverage, is_long=row.is_buy)
    return None if abs(price - default) <= default * SAME_PRICE else price


def _exits(trade: Trade) -> list[VenueOrder]:
    """The trade's own take-profit and stop-loss: full size, only ever closing it."""
    path = f"trades[{trade.trade_id}]"
    entry = reading.price(trade.open_price, path)
    size = reading.quantity(trade, entry)
    if entry is None or size is None:
        raise Broken(f"{path}.openPrice", "an entry price and a size", str(trade.open_price))
    prices = (
        (wanted_profit(trade, entry), "takeprofit"),
        (reading.price(trade.stop_loss_price, path), "stoploss"),
    )
    return [
        VenueOrder(
            order_id=fills.resting_id(trade.trade_id, "takeprofit" if word == "takeprofit" else "stoploss"),
            instrument=reading.instrument(trade.pair),
            quantity=-size if trade.is_buy else size,
            price=price,
            created_ms=reading.milliseconds(trade.timestamp),
            position_id=trade.trade_id,
            is_stop=True,
            reduce_only=True,
            venue_status=word,
        )
        for price, word in prices
        if price is not None
    ]


def _market(order: Order, held: dict[str, Trade]) -> VenueOrder | None:
    """A market order, whatever became of it. None for keepers' orders (the limit, take-profit or
    stop-loss behind them is listed itself) and for one whose size the venue does not say."""
    action = fills.action_of(order)
    if order.order_type.lower() != "market" or action not in ("open", "close"):
        return None
    price = reading.price(order.price, f"orders[{order.id}].price") or reading.price(
        order.price_after_impact, f"orders[{order.id}].priceAfterImpact"
    )
    size = reading.quantity(order, price)
    trade = held.get(order.trade_id or "")
    if action == "close" and order.is_pending and trade is not None:
        whole = reading.quantity(trade, reading.price(trade.open_price, "trades[]"))
        size = whole * (fills.share_of(order, action) or 1) if whole is not None else None
    if not size or price is None:
        return None
    return VenueOrder(
        order_id=order.id,
        instrument=reading.instrument(order.pair),
        quantity=size if order.is_buy == (action == "open") else -size,
        price=price,
        created_ms=reading.milliseconds(order.initiated_at),
        updated_ms=None if order.executed_at is None else reading.milliseconds(order.executed_at),
        position_id=order.trade_id,
        reduce_only=action == "close",
        venue_status="pending",
    )


def _settled(order: Order, held: dict[str, Trade]) -> VenueOrder | None:
    made = _market(order, held)
    if made is None:
        return None
    if order.is_cancelled:
        reason = symbols.cancel_reason(order.cancel_reason)
        return replace(made, status="cancelled", venue_status=reason or "cancelled")
    return replace(made, status="filled", filled=abs(made.quantity), venue_status=None)
