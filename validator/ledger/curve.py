"""A position as a ledger sees it: straight lines over the price, one from each order to the next.

Rule 1: at any price, a line gives what ``validator.positions`` gives for the same orders at that moment.
Rule 2: once closed, a position counts with the return of its record, which is never computed again.
Rule 3: an order counts from the first tick after it; a carry fee from the first tick after it was due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from validator import fees, vanta_fold, venue_fold
from validator.fold import finite
from validator.ledger.checkpoint import LEAST, MINUTE_MS
from validator.trade_pairs import TradePair, by_id
from validator.venue_fold import amount, to_float
from vanta_api.records import Order, Position


class Segment(NamedTuple):
    """The position from one order on. At price ``p`` it returns ``base + (p - average) * slope`` (before
    modelled fees, never below 0) and its unrealised P&L is ``(p - average) * usd_slope``.

    ``price`` is the order's own, for as long as no mark is known. ``fees_usd``: charged by the venue.
    """

    from_ms: int
    base: float
    average: float
    slope: float
    price: float
    realized: float
    usd_slope: float
    fees_usd: float


class Line(NamedTuple):
    """A segment at one moment, with the fee multiplier of that moment."""

    base: float
    average: float
    slope: float
    fee: float
    price: float

    def at(self, price: float | None) -> float:
        """The position's return as a multiplier; ``None``: at the last order's price."""
        paid = self.price if price is None else price
        return max(0.0, self.base + (paid - self.average) * self.slope) * self.fee


class Totals(NamedTuple):
    """What one or many positions add up to; returns and fees as multipliers, the rest in USD."""

    ret: float = 1.0
    realized: float = 0.0
    fees_usd: float = 0.0
    spread: float = 1.0
    carry: float = 1.0

    def times(self, other: Totals) -> Totals:
        """Both together."""
        return Totals(
            self.ret * other.ret,
            self.realized + other.realized,
            self.fees_usd + other.fees_usd,
            self.spread * other.spread,
            self.carry * other.carry,
        )


NOTHING: Final = Totals()


@dataclass(frozen=True, slots=True)
class Curve:
    """One position. ``final`` is what it adds up to once ``close_ms`` has passed (None: still open).

    ``timeline``: net leverage from each order on, for Vanta's fee model; empty where the venue charges.
    """

    uuid: str
    trade_pair_id: str
    open_ms: int
    account_size: float
    segments: tuple[Segment, ...]
    close_ms: int | None = None
    final: Totals = NOTHING
    timeline: tuple[tuple[int, float], ...] = ()
    _known_fees: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict, compare=False)

    def line(self, tick_ms: int) -> Line | None:
        """The line in force at a tick; None before the first order and where orders make no position."""
        index = self._index(tick_ms)
        if index < 0:
            return None
        segment = self.segments[index]
        spread, carry = self._modelled(index, tick_ms)
        return Line(segment.base, segment.average, segment.slope, spread * carry, segment.price)

    def totals(self, tick_ms: int, price: float | None) -> tuple[Totals, float]:
        """What the open position adds up to at a tick, and its unrealised P&L in USD."""
        index, line = self._index(tick_ms), self.line(tick_ms)
        if line is None:
            return NOTHING, 0.0
        segment = self.segments[index]
        spread, carry = self._modelled(index, tick_ms)
        if not self.timeline:
            spread = _share_left(segment.fees_usd, self.account_size)
        paid = segment.price if price is None else price
        unrealized = finite((paid - segment.average) * segment.usd_slope)
        return Totals(line.at(price), segment.realized, segment.fees_usd, spread, carry), unrealized

    def turns(self, after_ms: int, until_ms: int) -> list[int]:
        """Ticks after one and up to another at which the position's line is another one."""
        found = [tick for segment in self.segments if after_ms < (tick := tick_after(segment.from_ms))]
        if self.close_ms is not None:
            found.append(tick_after(self.close_ms))
        if self.timeline and (pair := by_id(self.trade_pair_id)) is not None:
            lasts_ms = until_ms if self.close_ms is None else min(until_ms, self.close_ms)
            found += _carry_ticks(pair, max(after_ms, self.open_ms), lasts_ms)
        return [tick for tick in found if after_ms < tick <= until_ms]

    def _index(self, tick_ms: int) -> int:
        segments = self.segments
        index = len(segments) - 1
        while index >= 0 and segments[index].from_ms >= tick_ms:
            index -= 1
        return index

    def _modelled(self, index: int, tick_ms: int) -> tuple[float, float]:
        """Spread and carry fee multipliers by Vanta's model; 1.0 where the venue charges its own."""
        if not self.timeline:
            return 1.0, 1.0
        pair = by_id(self.trade_pair_id)
        known = (index, 0 if pair is None else (tick_ms - 1 - _offset(pair)) // _step(pair))
        if known not in self._known_fees:
            self._known_fees[known] = _fees(pair, self.timeline[: index + 1], tick_ms - 1)
        return self._known_fees[known]


def tick_after(ms: int) -> int:
    """The first tick that shows what happened at ``ms``."""
    return (ms // MINUTE_MS + 1) * MINUTE_MS


def curve_of(position: Position) -> Curve:
    """The position's curve. Orders that make no position leave it flat at 1.0 until it closes."""
    orders = sorted(position.orders, key=lambda order: order.processed_ms)
    segments: list[Segment] = []
    timeline: tuple[tuple[int, float], ...] = ()
    try:
        if any(order.venue is not None for order in orders):
            segments = _venue_segments(position, orders)
        elif orders:
            segments, timeline = _plain_segments(position, orders)
    except ValueError:
        segments, timeline = [], ()
    close_ms = None
    if position.is_closed_position:
        close_ms = position.close_ms or (orders[-1].processed_ms if orders else position.open_ms)
        segments = [segment for segment in segments if segment.from_ms < close_ms]
    return Curve(
        uuid=position.position_uuid,
        trade_pair_id=position.trade_pair[0],
        open_ms=position.open_ms,
        account_size=position.account_size,
        segments=tuple(segments),
        close_ms=close_ms,
        final=NOTHING if close_ms is None else _final(position, timeline, close_ms),
        timeline=timeline,
    )


def changed_from(old: Curve, new: Curve) -> int | None:
    """The moment from which two curves of one position and pair differ; None when they never do."""
    if old == new:
        return None
    if old.open_ms != new.open_ms or old.account_size != new.account_size:
        return min(old.open_ms, new.open_ms)
    moments = [ms for ms in (old.close_ms, new.close_ms) if ms is not None]
    for one, other in zip(old.segments, new.segments, strict=False):
        if one != other:
            moments += (one.from_ms, other.from_ms)
            break
    shared = min(len(old.segments), len(new.segments))
    moments += [segment.from_ms for segment in (*old.segments[shared:], *new.segments[shared:])]
    return min(moments, default=new.open_ms)


def _venue_segments(position: Position, orders: Sequence[Order]) -> list[Segment]:
    size = position.account_size if position.account_size > 0 else 0.0
    known = position.venue.fees if position.venue is not None else None
    passed = venue_fold.steps(orders, size)
    segments = []
    for order, exact in passed:
        is_last = exact is passed[-1][1]
        charged = exact.fees if known is None or not is_last else amount(known, "venue.fees")
        quantity = to_float(exact.quantity)
        profit = to_float(exact.realized - charged)
        segments.append(
            Segment(
                from_ms=order.processed_ms,
                base=finite(1.0 + profit / size, 1.0) if size else 1.0,
                average=to_float(exact.average),
                slope=finite(quantity / size) if size else 0.0,
                price=to_float(exact.mark),
                realized=to_float(exact.realized),
                usd_slope=quantity,
                fees_usd=to_float(charged),
            )
        )
    return segments


def _plain_segments(
    position: Position, orders: Sequence[Order]
) -> tuple[list[Segment], tuple[tuple[int, float], ...]]:
    pair = by_id(position.trade_pair[0])
    passed = vanta_fold.steps(orders, pair, position.account_size)
    segments = [
        Segment(
            from_ms=step.processed_ms,
            base=finite(1.0 + step.gain, 1.0),
            average=step.average,
            slope=step.slope,
            price=step.price,
            realized=step.realized,
            usd_slope=step.usd_slope,
            fees_usd=0.0,
        )
        for step in passed
    ]
    return segments, tuple((step.processed_ms, step.net_leverage) for step in passed)


def _final(position: Position, timeline: tuple[tuple[int, float], ...], close_ms: int) -> Totals:
    """What a closed position adds up to, by its record."""
    ret = max(0.0, finite(position.return_at_close, 1.0))
    if timeline:
        spread, carry = _fees(by_id(position.trade_pair[0]), timeline, close_ms)
        return Totals(ret, finite(position.realized_pnl), 0.0, spread, carry)
    charged = _charged_usd(position)
    spread = _share_left(charged, position.account_size)
    return Totals(ret, finite(position.realized_pnl), charged, spread, 1.0)


def _charged_usd(position: Position) -> float:
    facts = position.venue
    try:
        return to_float(amount(facts.fees, "venue.fees")) if facts is not None and facts.fees else 0.0
    except ValueError:
        return 0.0


def _share_left(charged_usd: float, account_size: float) -> float:
    """Fees of a venue as a multiplier on the account."""
    return max(LEAST, 1.0 - charged_usd / account_size) if account_size > 0 else 1.0


def _fees(pair: TradePair | None, timeline: fees.Timeline, until_ms: int) -> tuple[float, float]:
    if until_ms < fees.FEE_V4_MS:
        return max(LEAST, fees.legacy_fee(pair, timeline)), 1.0
    return max(LEAST, fees.spread_fee(pair, timeline)), max(LEAST, fees.carry_fee(pair, timeline, until_ms))


def _step(pair: TradePair) -> int:
    return fees.CRYPTO_STEP_MS if pair.category == "crypto" else fees.DAY_MS


def _offset(pair: TradePair) -> int:
    return fees.CRYPTO_OFFSET_MS if pair.category == "crypto" else fees.DAILY_OFFSET_MS


def _carry_ticks(pair: TradePair, after_ms: int, until_ms: int) -> list[int]:
    """Ticks after carry fees fall due between two times."""
    step: Final = _step(pair)
    due_ms = after_ms + step - (after_ms - _offset(pair)) % step
    return [tick_after(ms) for ms in range(due_ms, until_ms, step)]
