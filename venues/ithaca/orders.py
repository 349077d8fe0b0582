"""Reports of orders into fills and resting orders.

The venue has no list of fills. A report of an order says how much of each leg is filled by now, at which
average price, and how much and at what price the *last* fill was. So:

Rule 1: a fill is named after the quantity its leg had reached with it (``order:contract:reached``); the
same report, or a later one that still shows the same last fill, gives the same name.
Rule 2: what was filled before the last fill and was never reported on its own is one fill, priced so that
everything together has the reported average.
Rule 3: a report never takes back what an earlier one said was filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, NamedTuple

from vanta_api.records import plain
from venues.errors import Broken
from venues.ithaca import contracts
from venues.ithaca.contracts import DERIVED_PRICE_PLACES, Precision, quantised
from venues.ithaca.schemas import Contract, Leg, Order
from venues.model import Fill, OrderStatus, VenueOrder

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


def fills_of(history: Sequence[Report], spot: Mapping[str, Decimal]) -> list[Fill]:
    """Every fill the reports of one order tell of; ``spot`` values options whose order tells no price."""
    fills: list[Fill] = []
    for leg in history[-1].legs:
        if contracts.is_held(leg.contract):
            fills += _fills_of_leg(history, leg.contract, spot)
    return fills


def orders_of(history: Sequence[Report]) -> list[VenueOrder]:
    """The order as it stands: one record, or for a strategy one for the whole and one for each leg."""
    latest = history[-1]
    created_ms = min(report.made_ms for report in history)
    if len(latest.legs) == 1:
        return [_single(latest, created_ms)]
    return [_whole(latest, created_ms), *(_part(latest, leg, created_ms) for leg in latest.legs)]


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


def _fills_of_leg(history: Sequence[Report], contract: Contract, spot: Mapping[str, Decimal]) -> list[Fill]:
    fills: list[Fill] = []
    reached, cost, before_ms = ZERO, ZERO, None
    for report in history:
        leg = next((one for one in report.legs if one.contract.contract_id == contract.contract_id), None)
        if leg is None or leg.filled <= reached:
            before_ms = before_ms or min(report.made_ms, report.order.rev_date)
            continue
        for quantity, price, is_last in _steps(leg, reached, cost):
            reached, cost = reached + quantity, cost + quantity * price
            at_ms = report.order.rev_date
            if not is_last:
                at_ms = before_ms or min(report.made_ms, report.order.rev_date)
            fills.append(_fill(report.order, leg, quantity, price, reached, at_ms, spot))
        before_ms = report.order.rev_date
    return fills


def _steps(leg: LegState, reached: Decimal, cost: Decimal) -> list[tuple[Decimal, Decimal, bool]]:
    """What happened since ``reached``: ``(quantity, price, is the last fill)``, one or two of them."""
    new = leg.filled - reached
    whole_cost = leg.filled * leg.average
    if leg.last is None or not 0 < leg.last <= new:  # nothing usable is known about the last fill
        return [(new, _price(whole_cost - cost, new) if reached else leg.average, True)]
    last_price = leg.last_price
    if leg.last == new:
        alone = leg.average if not reached else _price(whole_cost - cost, new)
        return [(new, alone if last_price is None else last_price, True)]
    if last_price is None:
        last_price = leg.average
    earlier = new - leg.last
    return [
        (earlier, _price(whole_cost - cost - leg.last * last_price, earlier), False),
        (leg.last, last_price, True),
    ]


def _price(cost: Decimal, quantity: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = 80  # a drifted quantity near zero must not overflow the quantisation
        return (cost / quantity).quantize(DERIVED_STEP, ROUND_HALF_EVEN)


def _fill(
    order: Order,
    leg: LegState,
    quantity: Decimal,
    price: Decimal,
    reached: Decimal,
    at_ms: int,
    spot: Mapping[str, Decimal],
) -> Fill:
    underlying = _spot_at_creation(order) or spot.get(leg.contract.economics.currency_pair)
    unit = contracts.notional_per_unit(leg.contract, underlying)
    return Fill(
        fill_id=f"{order.order_id}:{leg.contract.contract_id}:{plain(reached)}",
        instrument=contracts.instrument_name(leg.contract),
        quantity=leg.sign * quantity,
        price=price,
        time_ms=at_ms,
        order_id=str(order.order_id),
        notional_usd=None if unit is None else quantity * unit,
    )


def _spot_at_creation(order: Order) -> Decimal | None:
    if order.spot_price_at_creation is None:
        return None
    path = f"order[{order.order_id}].spotPriceAtCreation"
    return quantised(order.spot_price_at_creation, DERIVED_PRICE_PLACES, path)


def _net_price(order: Order) -> Decimal:
    return quantised(order.net_price, DERIVED_PRICE_PLACES, f"order[{order.order_id}].netPrice")


def _single(report: Report, created_ms: int) -> VenueOrder:
    """The net price is the premium of the whole order, negative when received: per unit it is a price."""
    (leg,) = report.legs
    total = abs(_net_price(report.order))
    price = _price(total, leg.original) if leg.original else total
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
        notional_price=contracts.notional_per_unit(leg.contract, _spot_at_creation(report.order)),
        venue_status=_venue_status(report.order),
    )


def _whole(report: Report, created_ms: int) -> VenueOrder:
    """A strategy as one package: bought when its premium is paid, sold when it is received."""
    net = _net_price(report.order)
    first = report.legs[0]
    filled = min(_price(leg.filled, leg.original) if leg.original else ZERO for leg in report.legs)
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
