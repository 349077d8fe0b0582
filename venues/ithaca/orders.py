"""Reports of orders: what they say, and the orders as they stand.

A report says how much of each leg is filled and cancelled by now. An order may be reported several times,
by several answers; the report with the most progress is its state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, NamedTuple

from venues.errors import Broken
from venues.ithaca import contracts
from venues.ithaca.contracts import DERIVED_PRICE_PLACES, Precision, quantised
from venues.ithaca.schemas import Contract, Leg, Order
from venues.model import OrderStatus, VenueOrder

STATUSES: Final[Mapping[str, OrderStatus]] = {
    "NEW": "open",
    "PENDING": "open",
    "PARTIALLY_FILLED": "open",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "REJECTED": "rejected",
}
ZERO: Final = Decimal(0)
DERIVED_STEP: Final = Decimal(1).scaleb(-DERIVED_PRICE_PLACES)


class LegState(NamedTuple):
    """One leg as one report shows it, without float dust. ``average`` and ``last_price`` are per unit."""

    contract: Contract
    sign: int
    original: Decimal
    filled: Decimal
    cancelled: Decimal
    average: Decimal
    last: Decimal | None
    last_price: Decimal | None


class Report(NamedTuple):
    """One report of an order."""

    order: Order
    legs: tuple[LegState, ...]
    status: OrderStatus

    @property
    def progress(self) -> tuple[Decimal, bool, int, int]:
        """Later reports of one order compare greater."""
        filled = sum((leg.filled for leg in self.legs), ZERO)
        return filled, self.status != "open", self.order.rev_date, self.made_ms

    @property
    def made_ms(self) -> int:
        """When the report was made."""
        return self.order.rev_date if self.order.insertion_date is None else self.order.insertion_date


def read_report(path: str, order: Order, known: Mapping[int, Contract], precision: Precision) -> Report:
    """Take one report apart. Raises Broken with the field path when it contradicts itself."""
    if not order.details:
        raise Broken(f"{path}.details", "at least one leg", "none")
    legs = tuple(
        _read_leg(f"{path}.details[{index}]", leg, known, precision)
        for index, leg in enumerate(order.details)
    )
    if len({leg.contract.contract_id for leg in legs}) != len(legs):
        raise Broken(f"{path}.details", "each contract once", "a repeated contract")
    return Report(order, legs, _status(order.order_status, legs))


def histories(reports: Iterable[Report]) -> list[tuple[Report, ...]]:
    """The reports of each order, earliest first; orders in order of their ids."""
    by_order: dict[int, list[Report]] = {}
    for report in reports:
        by_order.setdefault(report.order.order_id, []).append(report)
    return [
        tuple(sorted(by_order[order_id], key=lambda report: report.progress)) for order_id in sorted(by_order)
    ]


def orders_of(history: Sequence[Report]) -> list[VenueOrder]:
    """The order as it stands: one record, or for a strategy one for the whole and one for each leg."""
    latest = history[-1]
    created_ms = min(report.made_ms for report in history)
    if len(latest.legs) == 1:
        return [_single(latest, created_ms)]
    return [_whole(latest, created_ms), *(_part(latest, leg, created_ms) for leg in latest.legs)]


def unit_price(cost: Decimal, quantity: Decimal) -> Decimal:
    """Cost per unit, to eight decimals."""
    with localcontext() as context:
        context.prec = 80  # a drifted quantity near zero must not overflow the quantisation
        return (cost / quantity).quantize(DERIVED_STEP, ROUND_HALF_EVEN)


def spot_at_creation(order: Order) -> Decimal | None:
    """The underlying's price when the order was made, None in old answers."""
    if order.spot_price_at_creation is None:
        return None
    path = f"order[{order.order_id}].spotPriceAtCreation"
    return quantised(order.spot_price_at_creation, DERIVED_PRICE_PLACES, path)


def _read_leg(path: str, leg: Leg, known: Mapping[int, Contract], precision: Precision) -> LegState:
    contract = leg.contract_dto or known.get(leg.contract_id)
    if contract is None:
        raise Broken(f"{path}.contractDto", f"contract {leg.contract_id}", "nothing")
    places = contracts.quantity_places(contract, precision)
    price_places = contracts.price_places(contract, precision)
    original = quantised(leg.original_qty, places, f"{path}.originalQty")
    cancelled = quantised(leg.cancelled_qty, places, f"{path}.cancelledQty")
    filled = original - quantised(leg.remaining_qty, places, f"{path}.remainingQty") - cancelled
    if original < 0 or filled < 0 or filled > original:
        raise Broken(f"{path}.remainingQty", f"a part of {original}", f"{filled} filled")
    if filled and leg.avg_price is None:
        raise Broken(f"{path}.avgPrice", "a price", "nothing")
    return LegState(
        contract=contract,
        sign=1 if leg.side == "BUY" else -1,
        original=original,
        filled=filled,
        cancelled=cancelled,
        average=quantised(leg.avg_price or ZERO, price_places, f"{path}.avgPrice"),
        last=_optional(leg.this_fill_qty, places, f"{path}.thisFillQty"),
        last_price=_optional(leg.exec_price, price_places, f"{path}.execPrice"),
    )


def _optional(amount: Decimal | None, places: int, path: str) -> Decimal | None:
    return None if amount is None else quantised(amount, places, path)


def _status(text: str, legs: Sequence[LegState]) -> OrderStatus:
    """A refused cancellation, or a status not known to us, says nothing: the quantities decide."""
    if text in STATUSES:
        return STATUSES[text]
    if any(leg.filled + leg.cancelled < leg.original for leg in legs):
        return "open"
    return "cancelled" if any(leg.cancelled for leg in legs) else "filled"


def _net_price(order: Order) -> Decimal:
    return quantised(order.net_price, DERIVED_PRICE_PLACES, f"order[{order.order_id}].netPrice")


def _single(report: Report, created_ms: int) -> VenueOrder:
    """The net price is the premium of the whole order, negative when received: per unit it is a price."""
    (leg,) = report.legs
    total = abs(_net_price(report.order))
    price = unit_price(total, leg.original) if leg.original else total
    return _venue_order(report, leg, str(report.order.order_id), price, created_ms)


def _part(report: Report, leg: LegState, created_ms: int) -> VenueOrder:
    """A leg has no limit of its own: its price is what it has cost so far, 0 before the first fill."""
    order_id = f"{report.order.order_id}:{leg.contract.contract_id}"
    return _venue_order(report, leg, order_id, leg.average if leg.filled else ZERO, created_ms)


def _venue_order(report: Report, leg: LegState, order_id: str, price: Decimal, created_ms: int) -> VenueOrder:
    return VenueOrder(
        order_id=order_id,
        instrument=contracts.instrument_name(leg.contract),
        quantity=leg.sign * leg.original,
        price=price,
        created_ms=created_ms,
        updated_ms=report.order.rev_date,
        filled=leg.filled,
        status=report.status,
        notional_price=contracts.notional_per_unit(leg.contract, spot_at_creation(report.order)),
        venue_status=_venue_status(report.order),
    )


def _whole(report: Report, created_ms: int) -> VenueOrder:
    """A strategy as one package: bought when its premium is paid, sold when it is received."""
    net = _net_price(report.order)
    first = report.legs[0]
    filled = min(unit_price(leg.filled, leg.original) if leg.original else ZERO for leg in report.legs)
    return VenueOrder(
        order_id=str(report.order.order_id),
        instrument=contracts.strategy_name("/".join(contracts.split_pair(first.contract))),
        quantity=Decimal(1 if net >= 0 else -1),
        price=net,
        created_ms=created_ms,
        updated_ms=report.order.rev_date,
        filled=filled,
        status=report.status,
        venue_status=_venue_status(report.order),
    )


def _venue_status(order: Order) -> str:
    return f"{order.order_status}: {order.ord_rej_reason}" if order.ord_rej_reason else order.order_status
