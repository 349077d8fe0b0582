"""An independent recomputation of ledgers: every minute of every position, with numpy, by the rules alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np

from tests.validator.ledger.world import MINUTE, MinuteMarks
from validator.positions import rebuild
from vanta_api.records import Order, Position

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Dense:
    """What one checkpoint must say."""

    end_ms: int
    ret: float
    gain: float
    loss: float
    n_updates: int
    mdd: float
    mpv: float
    realized: float
    unrealized: float
    open_ms: int


def grid(start_ms: int, end_ms: int) -> list[int]:
    """The ticks after one time up to another."""
    return list(range(start_ms + MINUTE, end_ms + 1, MINUTE))


def prices_on(marks: MinuteMarks, pair: str, ticks: Sequence[int]) -> Floats:
    """The newest price from before each tick; NaN where there is none."""
    times = np.array(marks.times.get(pair, []), dtype=np.int64)
    known = np.array([float(price) for price in marks.prices.get(pair, [])])
    index = np.searchsorted(times // MINUTE, np.array(ticks) // MINUTE, side="left") - 1
    return np.where(index >= 0, known[np.maximum(index, 0)] if len(known) else math.nan, math.nan)


def held(orders: Sequence[Order], count: int) -> tuple[float, float, float, float]:
    """Quantity, average, realised P&L and fees after the first ``count`` orders of a venue position."""
    quantity = average = realized = fees = Decimal(0)
    for one in orders[:count]:
        assert one.venue is not None
        change, price = Decimal(one.venue.quantity or 0), Decimal(one.venue.price or 0)
        fees += Decimal(one.venue.fees or 0)
        if one.order_type == "FLAT":
            realized += (price - average) * quantity
            quantity = Decimal(0)
        elif quantity == 0 or (change > 0) == (quantity > 0):
            average = (average * quantity + price * change) / (quantity + change)
            quantity += change
        else:
            realized -= (price - average) * change
            quantity += change
    return float(quantity), float(average), float(realized), float(fees)


def worth(position: Position, ticks: Sequence[int], prices: Floats) -> tuple[Floats, Floats, Floats]:
    """Return, realised and unrealised P&L of a position at every tick."""
    moments = np.array(ticks)
    ret = np.ones(len(ticks))
    realized, unrealized = np.zeros(len(ticks)), np.zeros(len(ticks))
    for count in range(1, len(position.orders) + 1):
        since = position.orders[count - 1].processed_ms
        until = position.orders[count].processed_ms if count < len(position.orders) else 2**62
        where = np.nonzero((moments > since) & (moments <= until))[0]
        if not len(where):
            continue
        is_over = position.is_closed_position and count == len(position.orders)
        if position.venue is None:
            for k in where:
                valued = _plain(position, count, int(moments[k]), prices[k])
                ret[k] = position.return_at_close if is_over else valued.return_at_close
                realized[k], unrealized[k] = valued.realized_pnl, 0.0 if is_over else valued.unrealized_pnl
            continue
        quantity, average, gained, fees = held(position.orders, count)
        paid = np.where(np.isnan(prices[where]), float(position.orders[count - 1].price), prices[where])
        open_usd = (paid - average) * quantity
        ret[where] = np.maximum(0.0, 1 + (gained + open_usd - fees) / position.account_size)
        realized[where], unrealized[where] = gained, open_usd
    return ret, realized, unrealized


def _plain(position: Position, count: int, tick: int, price: float) -> Position:
    mark = None if math.isnan(price) else Decimal(repr(float(price)))
    return rebuild(
        position.miner_hotkey,
        position.orders[:count],
        position.trade_pair,
        position.account_size,
        mark=mark,
        at_ms=tick - 1,
    )


def checkpoints(
    positions: Sequence[Position], marks: MinuteMarks, span_ms: int, through_ms: int
) -> list[Dense]:
    """The ledger of all the positions together, from the first span to a boundary."""
    start_ms = min(one.open_ms for one in positions) // span_ms * span_ms
    ticks = grid(start_ms, through_ms)
    by_pair = {one.trade_pair[0]: prices_on(marks, one.trade_pair[0], ticks) for one in positions}
    value = np.ones(len(ticks))
    realized, unrealized = np.zeros(len(ticks)), np.zeros(len(ticks))
    for one in positions:
        ret, gained, open_usd = worth(one, ticks, by_pair[one.trade_pair[0]])
        value, realized, unrealized = value * ret, realized + gained, unrealized + open_usd
    before = np.concatenate(([1.0], value[:-1]))
    change = np.where(np.isclose(value, before, rtol=1e-13, atol=0), 0.0, np.log(value / before))
    highest = np.maximum(1.0, np.maximum.accumulate(value))
    per_span = span_ms // MINUTE
    made = []
    for first in range(0, len(ticks), per_span):
        part = slice(first, first + per_span)
        start_value = before[first]
        start_high = max(1.0, highest[first - 1]) if first else 1.0
        made.append(
            Dense(
                end_ms=ticks[part][-1],
                ret=float(value[part][-1]),
                gain=float(change[part][change[part] > 0].sum()),
                loss=float(change[part][change[part] < 0].sum()),
                n_updates=int(np.count_nonzero(change[part])),
                mdd=float(min(start_value / start_high, (value[part] / highest[part]).min())),
                mpv=float(max(start_value, value[part].max())),
                realized=float(realized[part][-1]),
                unrealized=float(unrealized[part][-1]),
                open_ms=open_ms(positions, ticks[part][0] - MINUTE, ticks[part][-1]),
            )
        )
    return made


def open_ms(positions: Sequence[Position], start_ms: int, end_ms: int) -> int:
    """Milliseconds of a span in which some position was open, markets that never close only."""
    edges = sorted({start_ms, end_ms, *_edges(positions, start_ms, end_ms)})
    total = 0
    for left, right in pairwise(edges):
        if any(one.open_ms <= left and right <= (one.close_ms or 2**62) for one in positions):
            total += right - left
    return total


def _edges(positions: Sequence[Position], start_ms: int, end_ms: int) -> set[int]:
    found = {ms for one in positions for ms in (one.open_ms, one.close_ms or 0)}
    return {ms for ms in found if start_ms < ms < end_ms}
