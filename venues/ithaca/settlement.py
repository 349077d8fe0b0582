"""What happened at the expiries: the closing fills, from the venue's list of historical positions.

Invariant: a position that was held at its expiry is closed once, at the settled payoff, after every other
fill of its contract. Until the venue publishes a settlement, nothing is closed in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from venues.ithaca import contracts, parts, schemas
from venues.ithaca.contracts import Precision, quantised
from venues.ithaca.schemas import Contract, CurrentPosition, HistoricalPositions
from venues.model import Fill
from venues.numbers import decode

DAY_MS: Final = 86_400_000
EXPIRY_OF_DAY_MS: Final = 8 * 3_600_000  # every expiry is at 08:00 UTC
SETTLEMENT_GRACE_MS: Final = 30 * 60_000  # how long after it the history may still be silent


class Settlement(NamedTuple):
    """Closing fills, the contracts they closed (flat ones too), and whether all is published."""

    fills: list[Fill]
    contracts: frozenset[int]
    complete: bool


def settlement(
    payload: Mapping[str, bytes],
    known: Mapping[int, Contract],
    places: Precision,
    fills: Iterable[Fill],
    observed_ms: int,
) -> Settlement:
    """Read the ``historical`` parts. ``fills`` are the account's other fills, for their times."""
    parts.body_of(payload, f"{parts.HISTORICAL}0")
    last_fill_ms: dict[str, int] = {}
    for fill in fills:
        last_fill_ms[fill.instrument] = max(fill.time_ms, last_fill_ms.get(fill.instrument, 0))
    closing: dict[int, Fill] = {}
    expiries: set[int] = set()
    complete = True
    for path, past in _historical(payload):
        for index, row in enumerate(past.positions):
            where = f"{path}.positions[{index}]"
            contract = parts.contract_of(known, row.contract_id, where)
            if not contracts.is_held(contract):
                continue
            price = past.expiry_prices.get(contract.economics.currency_pair)
            if price is None:
                complete = False  # listed as past but not settled yet
                continue
            price = quantised(price, contracts.DERIVED_PRICE_PLACES, f"{path}.expiryPrices")
            expiries.add(contracts.expiry_ms(contract))
            closing[row.contract_id] = _expiry_fill(where, row, contract, price, places, last_fill_ms)
    latest = observed_ms - observed_ms % DAY_MS + EXPIRY_OF_DAY_MS
    is_fresh = latest <= observed_ms < latest + SETTLEMENT_GRACE_MS
    return Settlement(
        fills=[fill for fill in closing.values() if fill.quantity],
        contracts=frozenset(closing),
        complete=complete and (not is_fresh or latest in expiries),
    )


def _historical(payload: Mapping[str, bytes]) -> Iterable[tuple[str, HistoricalPositions]]:
    """``(path, positions)`` of each expiry. The answer is keyed by expiry, or for one expiry bare."""
    for name in payload:
        if not name.startswith(parts.HISTORICAL):
            continue
        by_expiry = parts.payload_of(payload, name, schemas.HISTORICAL)
        if "positions" in by_expiry:
            yield f"{name}.payload", parts.payload_of(payload, name, schemas.HISTORICAL_BARE)
            continue
        for expiry, raw in by_expiry.items():
            path = f"{name}.payload[{expiry!r}]"
            yield path, decode(path, bytes(raw), schemas.HISTORICAL_ONE)


def _expiry_fill(
    path: str,
    row: CurrentPosition,
    contract: Contract,
    price: Decimal,
    places: Precision,
    last_fill_ms: Mapping[str, int],
) -> Fill:
    name = contracts.instrument_name(contract)
    held = quantised(row.positions_qty, contracts.quantity_places(contract, places), f"{path}.positionsQty")
    unit = contracts.notional_per_unit(contract, price)
    return Fill(
        fill_id=f"expiry:{contract.contract_id}",
        instrument=name,
        quantity=-held,
        price=contracts.payoff_at(contract, price),
        # The auction at the expiry is stamped a moment after it: nothing may follow the closing fill.
        time_ms=max(contracts.expiry_ms(contract), last_fill_ms.get(name, 0)),
        notional_usd=None if unit is None else abs(held) * unit,
        kind="expiry",
    )
