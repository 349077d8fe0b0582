"""Ostium's answers as a Snapshot: pure, exact, one position per trade id.

Rule 1: trades of the same pair are never netted: each is its own isolated position.
Rule 2: prices carry no costs; fees and running costs (rollover, funding, signed) are in the fill's fee.
Rule 3: a slot (pair and index, or a limit's id) is used again by the venue and so never an identity here.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from msgspec.structs import replace

from venues.errors import Broken
from venues.model import Holding, Instrument, Mark, Payload, Snapshot, VenueOrder
from venues.numbers import scaled
from venues.ostium import equity, fills, orders, reading, symbols
from venues.ostium.reading import Account
from venues.ostium.schemas import Limit, Order, Pair, PairRef, Trade

DIGITS: Final = 60  # amounts scaled by 1e18 times shares of 1e4 stay exact
LOT: Final = Decimal(1).scaleb(-18)
DUST: Final = Decimal(1).scaleb(-12)  # rounding of partial closes; far below a cent at any price
FEE_SCALE: Final = 8  # percent × 1e6 → fraction


def normalise(payload: Payload) -> Snapshot:
    """Raises Broken with part and field path when the payload has not the documented shape."""
    with localcontext() as context:
        context.prec = DIGITS
        return _snapshot(reading.read(payload))


def _snapshot(account: Account) -> Snapshot:
    limit_ids = orders.executed_limits(account)
    holdings = tuple(_holding(account, index) for index in range(len(account.trades)))
    listed = orders.orders(account, limit_ids)
    return Snapshot(
        venue="ostium",
        account=account.trader,
        observed_ms=account.observed_ms,
        instruments=_instruments(account),
        fills=fills.fills(account, limit_ids),
        holdings=holdings,
        orders=listed,
        marks=_marks(account, holdings, listed),
        equity_usd=equity.equity(account),
    )


def _holding(account: Account, index: int) -> Holding:
    trade, path = account.trades[index], f"trades[{index}]"
    entry = reading.price(trade.open_price, f"{path}.openPrice")
    size = reading.quantity(trade, entry)
    if entry is None or size is None:
        raise Broken(f"{path}.openPrice", "an entry price and a size", str(trade.open_price))
    if not trade.is_open:
        raise Broken(f"{path}.isOpen", "an open trade", "false")
    return Holding(
        instrument=reading.instrument(trade.pair),
        quantity=size if trade.is_buy else -size,
        position_id=trade.trade_id,
        average_entry_price=entry,
        opened_ms=reading.milliseconds(trade.timestamp),
        status="closing" if trade.close_initiated else "open",
    )


def _instruments(account: Account) -> tuple[Instrument, ...]:
    """All listed pairs, and those only an order still names (delisted ones)."""
    found = {reading.instrument(pair): _instrument(pair) for pair in account.pairs.values()}
    rows: tuple[Trade | Limit | Order, ...]
    rows = (*account.trades, *account.limits, *account.ended, *account.pending, *account.settled)
    for row in rows:
        found.setdefault(reading.instrument(row.pair), _bare_instrument(row.pair))
    return tuple(found.values())


def _bare_instrument(pair: PairRef) -> Instrument:
    base = symbols.original(pair.base)
    return Instrument(
        name=symbols.instrument(base, pair.quote),
        base=base,
        quote=pair.quote,
        display=f"{base}/{pair.quote}",
        vanta_pair=symbols.vanta_pair(base, pair.quote),
        min_leverage=Decimal(1),
        lot=LOT,
        dust=DUST,
    )


def _instrument(pair: Pair) -> Instrument:
    group = pair.group
    lowest = scaled(group.min_leverage, 2) if group and group.min_leverage else Decimal(0)
    highest = scaled(group.max_leverage, 2) if group and group.max_leverage else Decimal(0)
    own = scaled(pair.max_leverage, 2) if pair.max_leverage else Decimal(0)
    return replace(
        _bare_instrument(pair),
        fee=scaled(pair.taker_fee_p, FEE_SCALE),
        min_leverage=lowest or Decimal(1),
        max_leverage=highest or own or Decimal(1),
    )


def _marks(
    account: Account, holdings: tuple[Holding, ...], listed: tuple[VenueOrder, ...]
) -> tuple[Mark, ...]:
    wanted = dict.fromkeys((*(h.instrument for h in holdings), *(o.instrument for o in listed)))
    return tuple(
        Mark(
            instrument=name,
            price=tick.mid,
            time_ms=account.observed_ms
            if tick.timestamp_seconds is None
            else reading.milliseconds(tick.timestamp_seconds),
            bid=tick.bid or None,
            ask=tick.ask or None,
        )
        for name in wanted
        if (tick := account.ticks.get(name)) is not None
    )
