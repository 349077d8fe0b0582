"""Fills out of order reports.

The venue has no list of fills. A report of an order says how much of each leg is filled by now, at which
average price, and how much and at what price the *last* fill was. So:

Rule 1: a fill is named after the quantity its leg had reached with it (``order:contract:reached``); the
same report, or a later one that still shows the same last fill, gives the same name.
Rule 2: what was filled before the last fill and was never reported on its own is one fill, priced so that
everything together has the reported average.
Rule 3: a report never takes back what an earlier one said was filled.
Rule 4: a fill's time is that of the first report that tells of it: never too early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from vanta_api.records import plain
from venues.ithaca import contracts
from venues.ithaca.orders import LegState, Report, spot_at_creation, unit_price
from venues.ithaca.schemas import Contract, Order
from venues.model import Fill

ZERO: Final = Decimal(0)


def fills_of(history: Sequence[Report], spot: Mapping[str, Decimal]) -> list[Fill]:
    """Every fill the reports of one order tell of; ``spot`` values options whose order tells no price."""
    fills: list[Fill] = []
    for leg in history[-1].legs:
        if contracts.is_held(leg.contract):
            fills += _fills_of_leg(history, leg.contract, spot)
    return fills


def _fills_of_leg(history: Sequence[Report], contract: Contract, spot: Mapping[str, Decimal]) -> list[Fill]:
    fills: list[Fill] = []
    reached, cost = ZERO, ZERO
    for report in history:
        leg = next((one for one in report.legs if one.contract.contract_id == contract.contract_id), None)
        if leg is None or leg.filled <= reached:
            continue
        for quantity, price in _steps(leg, reached, cost):
            reached, cost = reached + quantity, cost + quantity * price
            fills.append(_fill(report.order, leg, quantity, price, reached, spot))
    return fills


def _steps(leg: LegState, reached: Decimal, cost: Decimal) -> list[tuple[Decimal, Decimal]]:
    """Quantities and prices of what happened since ``reached``: the last fill, and one for all before it."""
    new = leg.filled - reached
    whole_cost = leg.filled * leg.average
    if leg.last is None or not 0 < leg.last <= new:  # nothing usable is known about the last fill
        return [(new, unit_price(whole_cost - cost, new) if reached else leg.average)]
    last_price = leg.last_price
    if leg.last == new:
        alone = leg.average if not reached else unit_price(whole_cost - cost, new)
        return [(new, alone if last_price is None else last_price)]
    if last_price is None:
        last_price = leg.average
    earlier = new - leg.last
    return [(earlier, unit_price(whole_cost - cost - leg.last * last_price, earlier)), (leg.last, last_price)]


def _fill(
    order: Order,
    leg: LegState,
    quantity: Decimal,
    price: Decimal,
    reached: Decimal,
    spot: Mapping[str, Decimal],
) -> Fill:
    underlying = spot_at_creation(order) or spot.get(leg.contract.economics.currency_pair)
    unit = contracts.notional_per_unit(leg.contract, underlying)
    return Fill(
        fill_id=f"{order.order_id}:{leg.contract.contract_id}:{plain(reached)}",
        instrument=contracts.instrument_name(leg.contract),
        quantity=leg.sign * quantity,
        price=price,
        time_ms=order.rev_date,
        order_id=str(order.order_id),
        notional_usd=None if unit is None else quantity * unit,
    )
