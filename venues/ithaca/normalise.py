"""One account's raw answers into a Snapshot. Pure: the same payload always gives the same Snapshot.

Rule 1: a position is what the account holds of one contract; Spot contracts become balances, never
positions. Rule 2: what vanished at its expiry is closed by an ``expiry`` fill at the settled payoff, and by
nothing else; until the settlement is published the list of holdings is not called complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from venues.errors import Broken
from venues.ithaca import contracts, parts, schemas
from venues.ithaca import marks as pricing
from venues.ithaca import orders as reading
from venues.ithaca.contracts import Precision, quantised
from venues.ithaca.fills import fills_of
from venues.ithaca.orders import Report
from venues.ithaca.schemas import Contract, CurrentPosition, Order
from venues.ithaca.settlement import settlement
from venues.model import Fill, Holding, Instrument, Mark, Payload, Snapshot, VenueOrder

ZERO: Final = Decimal(0)
DOLLARS: Final = frozenset({"USDC", "USDT", "USD", "DAI"})
ORDER_PARTS: Final = (parts.OPEN_ORDERS, parts.TRAIL, parts.TRADE_HISTORY)


def normalise(payload: Payload) -> Snapshot:
    """Raises Broken with the field path when the payload has not the documented shape."""
    bodies = payload.parts
    places = parts.payload_of(bodies, parts.SYSTEM_INFO, schemas.SYSTEM_INFO).currency_precision
    known = {c.contract_id: c for c in parts.payload_of(bodies, parts.CONTRACTS, schemas.CONTRACTS)}
    rows = parts.payload_of(bodies, parts.POSITIONS, schemas.POSITIONS)
    spot = _spot_prices(bodies)
    histories = reading.histories(_reports(bodies, rows, known, places))
    fills = [fill for history in histories for fill in fills_of(history, spot)]
    orders = [order for history in histories for order in reading.orders_of(history)]
    settled = settlement(bodies, known, places, fills, payload.observed_ms)
    held = _held(rows, known, settled.contracts)
    holdings = _holdings(rows, held, places, spot)
    marks = _marks(bodies, {**held, **_open_contracts(histories)}.values(), payload.observed_ms)
    mentioned = {**_contracts_of(histories), **held, **{one: known[one] for one in settled.contracts}}
    return Snapshot(
        venue=payload.venue,
        account=payload.account,
        observed_ms=payload.observed_ms,
        instruments=_instruments(mentioned.values(), orders, places),
        fills=tuple(sorted((*fills, *settled.fills), key=_chronological)),
        holdings=holdings,
        holdings_complete=settled.complete,
        orders=tuple(orders),
        marks=marks,
        equity_usd=_equity(bodies, holdings, marks, spot),
    )


def _spot_prices(bodies: Mapping[str, bytes]) -> dict[str, Decimal]:
    prices = parts.payload_of(bodies, parts.SPOT_PRICES, schemas.SPOT_PRICES)
    return {
        pair: quantised(price, contracts.DERIVED_PRICE_PLACES, f"{parts.SPOT_PRICES}.payload[{pair!r}]")
        for pair, price in prices.items()
    }


def _reports(
    bodies: Mapping[str, bytes],
    rows: Iterable[CurrentPosition],
    known: Mapping[int, Contract],
    places: Precision,
) -> list[Report]:
    """Every report of every order, from wherever it came; the same report may come twice."""
    parts.body_of(bodies, parts.OPEN_ORDERS)
    parts.body_of(bodies, f"{parts.TRADE_HISTORY}0")
    found: list[tuple[str, schemas.Order]] = []
    for name in bodies:
        if name.startswith(ORDER_PARTS):
            orders = parts.payload_of(bodies, name, schemas.ORDERS)
            found += [(f"{name}.payload[{index}]", order) for index, order in enumerate(orders)]
        elif name.startswith(parts.ORDER_STATUS):
            found.append((f"{name}.payload", parts.payload_of(bodies, name, schemas.ORDER)))
    for row, position in enumerate(rows):
        path = f"{parts.POSITIONS}.payload[{row}].orders"
        found += [(f"{path}[{index}]", order) for index, order in enumerate(position.orders or ())]
    return [reading.read_report(path, order, known, places) for path, order in found]


def _held(
    rows: Iterable[CurrentPosition], known: Mapping[int, Contract], settled: frozenset[int]
) -> dict[int, Contract]:
    """The contracts held now: no Spot, and nothing that the history shows as settled already."""
    held: dict[int, Contract] = {}
    for index, row in enumerate(rows):
        path = f"{parts.POSITIONS}.payload[{index}]"
        contract = parts.contract_of(known, row.contract_id, path)
        if row.contract_id in held:
            raise Broken(f"{path}.contractId", "each contract once", str(row.contract_id))
        if contracts.is_held(contract) and row.contract_id not in settled:
            held[row.contract_id] = contract
    return held


def _holdings(
    rows: Iterable[CurrentPosition],
    held: Mapping[int, Contract],
    places: Precision,
    spot: Mapping[str, Decimal],
) -> tuple[Holding, ...]:
    """One per contract; what is nothing but float dust is not held."""
    found = [
        _holding(f"{parts.POSITIONS}.payload[{index}]", row, held[row.contract_id], places, spot)
        for index, row in enumerate(rows)
        if row.contract_id in held
    ]
    return tuple(holding for holding in found if holding.quantity)


def _holding(
    path: str, row: CurrentPosition, contract: Contract, places: Precision, spot: Mapping[str, Decimal]
) -> Holding:
    quantity_places = contracts.quantity_places(contract, places)
    price_places = contracts.price_places(contract, places)
    filled_ms = [order.rev_date for order in row.orders or () if _has_fill(order, row.contract_id)]
    return Holding(
        instrument=contracts.instrument_name(contract),
        quantity=quantised(row.positions_qty, quantity_places, f"{path}.positionsQty"),
        average_entry_price=quantised(row.positions_avg_price, price_places, f"{path}.positionsAvgPrice"),
        opened_ms=min(filled_ms, default=None),
        notional_price=contracts.notional_per_unit(contract, spot.get(contract.economics.currency_pair)),
    )


def _has_fill(order: Order, contract_id: int) -> bool:
    return any(
        leg.contract_id == contract_id and leg.original_qty - leg.remaining_qty - leg.cancelled_qty > 0
        for leg in order.details
    )


def _contracts_of(histories: Iterable[tuple[Report, ...]]) -> dict[int, Contract]:
    return {leg.contract.contract_id: leg.contract for history in histories for leg in history[-1].legs}


def _open_contracts(histories: Iterable[tuple[Report, ...]]) -> dict[int, Contract]:
    return _contracts_of(history for history in histories if history[-1].status == "open")


def _marks(bodies: Mapping[str, bytes], wanted: Iterable[Contract], observed_ms: int) -> tuple[Mark, ...]:
    prices = pricing.read_prices(bodies)
    found = (pricing.mark_of(contract, prices, observed_ms) for contract in wanted)
    return tuple(mark for mark in found if mark is not None)


def _instruments(
    every: Iterable[Contract], orders: Iterable[VenueOrder], places: Precision
) -> tuple[Instrument, ...]:
    named = {one.name: one for one in (contracts.instrument(contract, places) for contract in every)}
    strategies = {order.instrument for order in orders} - named.keys()
    pairs = sorted(name.removesuffix("-STRATEGY") for name in strategies)
    return (*named.values(), *(contracts.strategy_instrument(pair) for pair in pairs))


def _equity(
    bodies: Mapping[str, bytes],
    holdings: Iterable[Holding],
    marks: Iterable[Mark],
    spot: Mapping[str, Decimal],
) -> Decimal | None:
    """Deposits with what awaits settlement, plus what the positions are worth; None when it is unknown."""
    worth = {mark.instrument: mark.price for mark in marks}
    total = ZERO
    funds = parts.payload_of(bodies, parts.FUND_LOCK, schemas.FUND_LOCK)
    for index, fund in enumerate(funds):
        path = f"{parts.FUND_LOCK}.payload[{index}]"
        deposited = quantised(fund.fund_lock_value, contracts.DERIVED_PRICE_PLACES, f"{path}.fundLockValue")
        pending = quantised(fund.settle_value, contracts.DERIVED_PRICE_PLACES, f"{path}.settleValue")
        amount = deposited + pending
        rate = Decimal(1) if fund.currency in DOLLARS else spot.get(f"{fund.currency}/USDC")
        if amount and rate is None:
            return None
        total += amount * (rate or ZERO)
    for holding in holdings:
        price = worth.get(holding.instrument, holding.average_entry_price)
        total += holding.quantity * (price or ZERO)
    return total


def _chronological(fill: Fill) -> tuple[int, bool, int, Decimal]:
    if fill.kind == "expiry" or fill.order_id is None:
        return fill.time_ms, True, 0, ZERO
    return fill.time_ms, False, int(fill.order_id), Decimal(fill.fill_id.rpartition(":")[2])
