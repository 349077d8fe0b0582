"""What a contract is worth now, by the venue's own figures.

Precedence: the middle of the best bid and ask when both are there, else the reference price, else the
calculation server's price list. A contract that has none of them has no mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from venues.errors import Broken
from venues.ithaca import parts, schemas
from venues.ithaca.contracts import DERIVED_PRICE_PLACES, instrument_name, quantised
from venues.ithaca.schemas import BestPrices, Contract
from venues.model import Mark
from venues.numbers import decode


class Prices(NamedTuple):
    """The three sources, keyed by contract id."""

    best: Mapping[int, BestPrices]
    reference: Mapping[int, Decimal]
    listed: Mapping[int, Decimal]


def read_prices(bodies: Mapping[str, bytes]) -> Prices:
    """Decode whichever of the price parts there are."""
    best: dict[int, BestPrices] = {}
    if parts.BEST_PRICES in bodies:
        rows = parts.payload_of(bodies, parts.BEST_PRICES, schemas.BEST_PRICES)
        best = {_contract_id(key): row for key, row in rows.items()}
    reference: dict[int, Decimal] = {}
    for name in sorted(part for part in bodies if part.startswith(parts.REFERENCE_PRICES)):
        for price in parts.payload_of(bodies, name, schemas.REFERENCE_PRICES):
            if price.reference_price is not None:
                reference[price.contract_id] = price.reference_price
    listed: dict[int, Decimal] = {}
    if parts.PRICE_LIST in bodies:
        for row in decode(parts.PRICE_LIST, bodies[parts.PRICE_LIST], schemas.PRICE_LIST):
            if row.price is not None:
                listed[row.contract_id] = row.price
    return Prices(best, reference, listed)


def mark_of(contract: Contract, prices: Prices, time_ms: int) -> Mark | None:
    """The contract's mark in USDC per unit, None when no source knows it."""
    number = contract.contract_id
    best = prices.best.get(number)
    bid = _checked(best.best_bid if best else None, number, "bestBid")
    ask = _checked(best.best_ask if best else None, number, "bestAsk")
    reference = _checked(prices.reference.get(number), number, "referencePrice")
    listed = _checked(prices.listed.get(number), number, "price")
    price = (bid + ask) / 2 if bid is not None and ask is not None else reference
    if price is None:
        price = listed
    if price is None:
        return None
    return Mark(instrument=instrument_name(contract), price=price, time_ms=time_ms, bid=bid, ask=ask)


def unpriced(contracts: Iterable[Contract], prices: Prices) -> list[Contract]:
    """The contracts that neither the book nor the reference prices value."""
    return [contract for contract in contracts if mark_of(contract, prices, 0) is None]


def _checked(price: Decimal | None, contract_id: int, name: str) -> Decimal | None:
    if price is None:
        return None
    return quantised(price, DERIVED_PRICE_PLACES, f"prices[{contract_id}].{name}")


def _contract_id(key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 12):
        raise Broken(f"{parts.BEST_PRICES}.payload", "contract ids as keys", key[:40])
    return int(key)
