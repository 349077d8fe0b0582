"""Vanta's own arithmetic: orders without a venue folded into a position, in floats, order by order.

Rule 1: a reversal closes; the overshoot is discarded and later orders are ignored.
Rule 2: an order counts by its lots where account size, quantity and quote rate are known. Records
from before those existed count by leverage, and their P&L is a fraction of the account; so nothing
is ever divided by a missing account size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from validator.fold import Direction, Fold, finite
from validator.trade_pairs import TradePair
from vanta_api.records import Order, OrderSource
from vanta_api.wire import entry_price

_SYNTHETIC = (OrderSource.ELIMINATION_FLAT, OrderSource.DEPRECATION_FLAT)


@dataclass(frozen=True, slots=True)
class Sized:
    """An order with its missing sizes and rates filled in; 0.0 is what could not be known."""

    order: Order
    leverage: float
    value: float
    quantity: float
    quote_usd: float


@dataclass(frozen=True, slots=True)
class Step:
    """A position after one of its orders, as a straight line over the price ``p`` (quote currency).

    The gross gain is ``gain + (p - average) * slope``, a fraction of the account; the unrealised P&L is
    ``(p - average) * usd_slope``, the realised one ``realized``, both in USD.
    """

    processed_ms: int
    price: float
    net_leverage: float
    average: float
    gain: float
    slope: float
    realized: float
    usd_slope: float


def fold(orders: Sequence[Order], pair: TradePair | None, account_size: float, mark: float | None) -> Fold:
    """Fold the orders, oldest first; ``mark`` (quote currency) values what is still open.

    Raises ValueError when the first order cannot open a position.
    """
    folding, sized = _begin(orders, pair, account_size)
    for one in sized:
        if not folding.state.is_closed:
            folding.add(one)
    return folding.finish(mark)


def steps(orders: Sequence[Order], pair: TradePair | None, account_size: float) -> list[Step]:
    """What ``fold`` passes through: the position after each order that counts. Raises ValueError."""
    folding, sized = _begin(orders, pair, account_size)
    passed: list[Step] = []
    for one in sized:
        if folding.state.is_closed:
            break
        folding.add(one)
        passed.append(folding.step(one))
    return passed


def _begin(
    orders: Sequence[Order], pair: TradePair | None, account_size: float
) -> tuple[_Folding, list[Sized]]:
    sized = [_sized(order, pair, account_size) for order in orders]
    entering = [one for one in sized if one.order.order_type != "FLAT"]
    has_account = account_size > 0 or not all(one.leverage for one in entering)
    by_lots = has_account and all(one.quantity and one.quote_usd for one in entering)
    return _Folding(sized[0], pair, account_size, by_lots), sized


class _Folding:
    """The running state. ``weight`` is lots or leverage; P&L is in USD or in fractions accordingly."""

    def __init__(self, first: Sized, pair: TradePair | None, account_size: float, by_lots: bool) -> None:
        self._by_lots = by_lots
        self._lot = pair.lot_size if pair else 1.0
        self._account_size = max(0.0, account_size)
        self._rate = first.quote_usd
        self._weight = 0.0
        self._realized = 0.0
        self._unrealized = 0.0
        size = first.quantity if by_lots else first.leverage
        if first.order.order_type == "FLAT" or not size or first.order.price <= 0:
            raise ValueError(f"order {first.order.order_uuid} cannot open a position: no size or no price")
        direction: Direction = "LONG" if size > 0 else "SHORT"
        self.state = Fold(direction=direction, open_ms=first.order.processed_ms)

    def add(self, one: Sized) -> None:
        """Apply the next order."""
        self._rate = one.quote_usd or self._rate
        is_first = not self.state.orders
        is_closing = not is_first and self._closes(one)
        if is_closing:
            one = self._undoing(one)
        if not (is_closing and _is_unpriced(one, self._by_lots)):
            self._earn(one, is_first, is_closing)
        self._move(one, is_first, is_closing)

    def finish(self, mark: float | None) -> Fold:
        """The fold, with what is still open valued at ``mark`` (None: at the last order's price)."""
        state = self.state
        if mark is not None and not state.is_closed:
            self._unrealized = self._pnl(mark, self._weight)
            if self._by_lots:
                state.net_value = finite(mark * self._rate * state.net_quantity * self._lot)
        total = self._realized + self._unrealized if state.cumulative_entry_value else 0.0
        if self._by_lots:
            usd = 1.0
            state.gain = total / self._account_size if self._account_size else 0.0
        else:
            usd = self._account_size
            state.gain = total
        state.realized = finite(self._realized * usd)
        state.unrealized = finite(self._unrealized * usd)
        return state

    def step(self, one: Sized) -> Step:
        """The position as it is now, after ``one``."""
        state, size = self.state, self._account_size
        if self._by_lots:
            usd_slope, per_usd = self._weight * self._lot * self._rate, 1.0 / size if size else 0.0
            gain, slope, realized = self._realized * per_usd, usd_slope * per_usd, self._realized
        else:
            slope = self._weight / state.average if state.average else 0.0
            gain, realized, usd_slope = self._realized, self._realized * size, slope * size
        if not state.cumulative_entry_value:
            gain = slope = 0.0
        return Step(
            processed_ms=one.order.processed_ms,
            price=one.order.price,
            net_leverage=state.net_leverage,
            average=state.average,
            gain=finite(gain),
            slope=finite(slope),
            realized=finite(realized),
            usd_slope=finite(usd_slope),
        )

    def _closes(self, one: Sized) -> bool:
        if one.order.order_type == "FLAT":
            return True
        sign = 1.0 if self.state.direction == "LONG" else -1.0
        left = []
        if self._by_lots:
            left.append(self.state.net_quantity + one.quantity)
        if one.leverage or not self._by_lots:
            left.append(self.state.net_leverage + one.leverage)
        return any(sign * size <= 0 for size in left)

    def _undoing(self, one: Sized) -> Sized:
        """The closing order, rewritten to undo exactly what is open."""
        state = self.state
        sizes: dict[str, float] = {"leverage": -state.net_leverage}
        if self._by_lots:
            sizes |= {"quantity": -state.net_quantity, "value": -state.net_value}
        order = msgspec.structs.replace(one.order, **sizes)
        return Sized(order, -state.net_leverage, -state.net_value, -state.net_quantity, one.quote_usd)

    def _earn(self, one: Sized, is_first: bool, is_closing: bool) -> None:
        """P&L of the order, against the average entry before it."""
        order, state = one.order, self.state
        weight = one.quantity if self._by_lots else one.leverage
        if is_closing or order.order_type != state.direction:
            paid = _paid(order, weight)
            self._realized = finite(self._realized - self._pnl(paid, weight))
        after = 0.0 if is_closing else self._weight + weight
        held = 0.0 if is_first else min(self._weight, after, key=abs)
        self._unrealized = self._pnl(order.price, held)

    def _move(self, one: Sized, is_first: bool, is_closing: bool) -> None:
        """Sizes, average entry and history after the order."""
        order, state = one.order, self.state
        weight = one.quantity if self._by_lots else one.leverage
        if is_closing:
            state.close_ms = order.processed_ms
            state.net_leverage = state.net_quantity = state.net_value = self._weight = 0.0
        else:
            self._enter(one, weight, is_first)
            state.net_leverage = finite(state.net_leverage + one.leverage)
            self._weight = finite(self._weight + weight)
            if self._by_lots:
                state.net_quantity = self._weight
                state.net_value = finite(order.price * self._rate * self._weight * self._lot)
            else:
                state.net_value = finite(state.net_leverage * self._account_size)
        state.orders.append(order if is_closing else self._completed(one))
        state.timeline.append((order.processed_ms, state.net_leverage))

    def _enter(self, one: Sized, weight: float, is_first: bool) -> None:
        order, state = one.order, self.state
        if order.order_type != state.direction:
            return
        paid = _paid(order, weight)
        if is_first:
            state.initial = state.average = paid
        else:
            share = weight / (self._weight + weight)  # in 0..1: both have the position's sign
            state.average = finite(state.average + (paid - state.average) * share)
        state.cumulative_entry_value = finite(
            state.cumulative_entry_value + (one.value if self._by_lots else one.leverage * paid)
        )

    def _pnl(self, price: float, weight: float) -> float:
        """Gain of ``weight`` between the average entry and ``price``: USD by lots, a fraction by leverage."""
        difference = price - self.state.average
        if not weight:
            return 0.0
        if self._by_lots:
            return finite(difference * weight * self._lot * self._rate)
        return finite(difference / self.state.average * weight) if self.state.average else 0.0

    def _completed(self, one: Sized) -> Order:
        """The order with the sizes that Vanta derives written into it."""
        if not self._by_lots:
            return msgspec.structs.replace(one.order, leverage=one.leverage)
        leverage = one.leverage if self._account_size or one.order.leverage is not None else None
        return msgspec.structs.replace(one.order, leverage=leverage, value=one.value, quantity=one.quantity)


def _paid(order: Order, weight: float) -> float:
    return finite(entry_price(order.price, order.slippage, weight, order.processed_ms))


def _is_unpriced(one: Sized, by_lots: bool) -> bool:
    """A synthetic flat without a price says that the position ended, not at what return."""
    if one.order.src not in _SYNTHETIC:
        return False
    return one.order.price == 0 or (by_lots and not one.quote_usd)


def _sized(order: Order, pair: TradePair | None, account_size: float) -> Sized:
    quote_usd, usd_base = _rates(order, pair)
    lot = pair.lot_size if pair else 1.0
    leverage, value, quantity = order.leverage, order.value, order.quantity
    if value is None and leverage is not None:
        value = leverage * account_size
    if value is None and quantity is not None and usd_base:
        value = quantity * lot / usd_base
    if not quantity and value is not None:
        quantity = value * usd_base / lot
    if leverage is None and value is not None and account_size > 0:
        leverage = value / account_size
    sign = -1.0 if order.order_type == "SHORT" else 1.0
    known = [finite(size or 0.0) for size in (leverage, value, quantity)]
    if order.order_type != "FLAT":
        known = [sign * abs(size) for size in known]
    return Sized(order, known[0], known[1], known[2], quote_usd)


def _rates(order: Order, pair: TradePair | None) -> tuple[float, float]:
    """Quote currency to USD and USD to base currency; 0.0 where unknown."""
    price, quote_usd, usd_base = order.price, order.quote_usd_rate, order.usd_base_rate
    is_quoted_in_usd = pair is None or pair.quote == "USD"
    is_based_on_usd = pair is not None and pair.base == "USD"
    inverse = finite(1.0 / price) if price > 0 else 0.0
    if not quote_usd:
        quote_usd = 1.0 if is_quoted_in_usd else inverse if is_based_on_usd else 0.0
    if not usd_base:
        usd_base = 1.0 if is_based_on_usd else inverse if is_quoted_in_usd else 0.0
    return quote_usd, usd_base
