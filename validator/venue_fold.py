"""Exact arithmetic for orders that carry a venue's facts: spot, perps, prediction shares and options.

Rule 1: quantity, price and fees are the venue's decimal strings; no float takes part.
Rule 2: direction and closing follow from the quantity, never from the price, which may be negative.
Rule 3: an order with another kind than ``trade`` or ``transfer`` (expiry, resolution, liquidation,
redemption) and an order of type FLAT close whatever is open; the overshoot is discarded.
Rule 4: ``net_leverage`` is the entry notional still open over the account size, so it does not move
with the price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from typing import Final

import msgspec

from validator.fold import Direction, Fold, finite
from vanta_api.records import Order, OrderSource, plain

ZERO: Final = Decimal(0)
_EXACT: Final = Context(prec=60)  # amounts below 1e30 with 30 decimals stay exact through a product
_SHOWN: Final = Context(prec=28)
_LARGEST_EXPONENT: Final = 200  # beyond, a product could leave the range of a float
CLOSING_KINDS: Final = frozenset(("expiry", "resolution", "liquidation", "redemption"))
_SYNTHETIC: Final = (OrderSource.ELIMINATION_FLAT, OrderSource.DEPRECATION_FLAT)


@dataclass(slots=True)
class Exact:
    """The decimals of a position; ``average`` keeps its last value after the close."""

    quantity: Decimal = ZERO
    average: Decimal = ZERO
    realized: Decimal = ZERO
    unrealized: Decimal = ZERO
    fees: Decimal = ZERO
    mark: Decimal = ZERO


def fold(orders: Sequence[Order], account_size: float, mark: Decimal | None) -> tuple[Fold, Exact]:
    """Fold the orders, oldest first; ``mark`` values what is still open (None: the last price).

    Raises ValueError when the first order has no quantity or a venue's amount is not a number.
    """
    with localcontext(_EXACT):
        folding = _Folding(orders[0], account_size)
        for order in orders:
            if not folding.state.is_closed:
                folding.add(order)
        return folding.finish(mark)


def steps(orders: Sequence[Order], account_size: float) -> list[tuple[Order, Exact]]:
    """What ``fold`` passes through: each order that counts, and the decimals after it.

    Raises ValueError like ``fold``.
    """
    passed: list[tuple[Order, Exact]] = []
    with localcontext(_EXACT):
        folding = _Folding(orders[0], account_size)
        for order in orders:
            if folding.state.is_closed:
                break
            folding.add(order)
            passed.append((order, replace(folding.exact)))
    return passed


def amount(text: str, what: str) -> Decimal:
    """The exact number in a venue's text. Raises ValueError naming ``what``."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise ValueError(f"{what}: expected a decimal number, got {text[:40]!r}") from None
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError(f"{what}: expected a decimal number of ordinary size, got {text[:40]!r}")
    return number


def shown(number: Decimal) -> str:
    """The number as a plain decimal string of at most 28 significant digits."""
    return plain(_SHOWN.plus(number))


def to_float(number: Decimal) -> float:
    """The nearest finite float."""
    return finite(float(number))


class _Folding:
    def __init__(self, first: Order, account_size: float) -> None:
        quantity = _quantity(first)
        if first.order_type == "FLAT" or not quantity:
            raise ValueError(f"order {first.order_uuid} cannot open a position: it has no quantity")
        direction: Direction = "LONG" if quantity > 0 else "SHORT"
        self._account_size = max(0.0, account_size)
        self.state = Fold(direction=direction, open_ms=first.processed_ms)
        self.exact = Exact()

    def add(self, order: Order) -> None:
        """Apply the next order."""
        state, exact = self.state, self.exact
        change, price = _quantity(order), _price(order)
        exact.fees += _fee(order)
        after = exact.quantity + change
        if state.orders and _is_closing(order, after, state.direction):
            self._close(order, change, price)
        elif change and (change > 0) == (state.direction == "LONG"):
            self._enter(order, change, price, after)
        else:
            self._reduce(order, price, after)
        exact.mark = price
        state.net_quantity = to_float(exact.quantity)
        state.net_value = to_float(price * exact.quantity)
        state.timeline.append((order.processed_ms, state.net_leverage))

    def finish(self, mark: Decimal | None) -> tuple[Fold, Exact]:
        """The fold and its decimals, valued at ``mark``."""
        state, exact = self.state, self.exact
        if mark is not None and not state.is_closed:
            exact.mark = mark
            state.net_value = to_float(mark * exact.quantity)
        exact.unrealized = (exact.mark - exact.average) * exact.quantity
        state.average = max(0.0, to_float(exact.average))  # legacy readers know no negative price
        state.realized = to_float(exact.realized)
        state.unrealized = to_float(exact.unrealized)
        state.gain = self._share(to_float(exact.realized + exact.unrealized))
        return state, exact

    def _enter(self, order: Order, change: Decimal, price: Decimal, after: Decimal) -> None:
        state, exact = self.state, self.exact
        exact.average = (exact.average * exact.quantity + price * change) / after
        if not state.orders:
            state.initial = max(0.0, to_float(price))
        exact.quantity = after
        value, leverage = self._sizes(order, price * change)
        state.cumulative_entry_value = finite(state.cumulative_entry_value + value)
        state.net_leverage = finite(state.net_leverage + leverage)
        self._keep(order, leverage, value, change)

    def _reduce(self, order: Order, price: Decimal, after: Decimal) -> None:
        state, exact = self.state, self.exact
        change = after - exact.quantity
        exact.realized -= (price - exact.average) * change
        state.net_leverage = finite(state.net_leverage * float(after / exact.quantity))
        exact.quantity = after
        value, leverage = self._sizes(order, price * change)
        self._keep(order, leverage, value, change)

    def _close(self, order: Order, change: Decimal, price: Decimal) -> None:
        """Undo exactly what is open. A synthetic flat without a price leaves the return untouched."""
        state, exact = self.state, self.exact
        is_priced = order.venue is not None or order.price > 0 or order.src not in _SYNTHETIC
        paid = price if is_priced else exact.mark
        exact.realized += (paid - exact.average) * exact.quantity
        is_exact = order.value is not None and change in (ZERO, -exact.quantity)
        value = finite(order.value or 0.0) if is_exact else -state.net_value
        self._keep(order, -state.net_leverage, value, -exact.quantity)
        exact.quantity = ZERO
        state.net_leverage = 0.0
        state.close_ms = order.processed_ms

    def _sizes(self, order: Order, traded: Decimal) -> tuple[float, float]:
        """Value and leverage: the order's own (an option's notional is another), else derived."""
        value = to_float(traded) if order.value is None else finite(order.value)
        leverage = self._share(value) if order.leverage is None else finite(order.leverage)
        return value, leverage

    def _keep(self, order: Order, leverage: float, value: float, change: Decimal) -> None:
        sizes = {"leverage": leverage, "value": value, "quantity": to_float(change)}
        self.state.orders.append(msgspec.structs.replace(order, **sizes))

    def _share(self, usd: float) -> float:
        return finite(usd / self._account_size) if self._account_size else 0.0


def _is_closing(order: Order, after: Decimal, direction: Direction) -> bool:
    if order.order_type == "FLAT" or (order.venue is not None and order.venue.kind in CLOSING_KINDS):
        return True
    return after <= 0 if direction == "LONG" else after >= 0


def _quantity(order: Order) -> Decimal:
    if order.venue is not None and order.venue.quantity is not None:
        return amount(order.venue.quantity, f"order {order.order_uuid} venue.quantity")
    return Decimal(repr(finite(order.quantity or 0.0)))


def _price(order: Order) -> Decimal:
    if order.venue is not None and order.venue.price is not None:
        return amount(order.venue.price, f"order {order.order_uuid} venue.price")
    return Decimal(repr(finite(order.price)))


def _fee(order: Order) -> Decimal:
    if order.venue is None or order.venue.fees is None:
        return ZERO
    return amount(order.venue.fees, f"order {order.order_uuid} venue.fees")
