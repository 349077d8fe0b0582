"""How much must be locked so that every promise of a portfolio can be kept, whatever the price does.

The payoff of a portfolio is piecewise linear in the settlement price. What it loses without bound as the
price rises is locked in the underlying; the worst that remains is locked in USDC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from venues.ithaca.exchange.ledger import Account, Leg, Order
from venues.ithaca.exchange.market import PRICE_STEP, Listing

ZERO = Decimal(0)


class Lock(NamedTuple):
    """Amounts locked for one pair."""

    underlier: Decimal
    numeraire: Decimal

    def wire(self, pair: str) -> dict[str, Any]:
        return {
            "currencyPair": pair,
            "underlierAmount": float(round(self.underlier, 7)),
            "numeraireAmount": float(round(self.numeraire, 4)),
        }


Holdings = Sequence[tuple[Listing, Decimal]]  # contract, signed quantity


def lock_of(holdings: Holdings) -> Lock:
    """The lock of contracts of one pair and expiry."""
    slope = sum((quantity * _slope(listing) for listing, quantity in holdings), ZERO)
    underlier = max(-slope, ZERO)
    worst = min((_worth(holdings, price) + underlier * price for price in _corners(holdings)), default=ZERO)
    return Lock(underlier, max(-worst, ZERO))


def lock_by_expiry(holdings: Holdings) -> Lock:
    """The lock of contracts of one pair: each expiry has to stand by itself."""
    locks = [lock_of(group) for _, group in grouped(holdings)]
    return Lock(sum((lock.underlier for lock in locks), ZERO), sum((lock.numeraire for lock in locks), ZERO))


def grouped(holdings: Holdings) -> list[tuple[int, Holdings]]:
    """Holdings by expiry, nearest first."""
    by_expiry: dict[int, list[tuple[Listing, Decimal]]] = {}
    for listing, quantity in holdings:
        by_expiry.setdefault(listing.expiry_ms, []).append((listing, quantity))
    return sorted(by_expiry.items())


def held(account: Account, pair: str) -> Holdings:
    """The account's positions in a pair."""
    every = account.positions.values()
    return [(one.listing, one.quantity) for one in every if one.listing.pair.name == pair]


def ordered(orders: Iterable[Order], pair: str) -> Holdings:
    """What the open parts of orders would add in a pair."""
    return [
        (leg.listing, leg.sign * leg.remaining)
        for order in orders
        for leg in order.legs
        if leg.listing.pair.name == pair and leg.remaining
    ]


def order_lock(legs: Sequence[Leg]) -> Lock:
    """What an open order locks: nothing while it only buys (its premium is not counted here)."""
    pair = legs[0].listing.pair.name
    return lock_by_expiry(
        [(leg.listing, leg.sign * leg.remaining) for leg in legs if leg.listing.pair.name == pair]
    )


def _slope(listing: Listing) -> Decimal:
    """Payoff per unit of price when the price is very high."""
    return Decimal(1) if listing.payoff in ("Call", "Forward", "Spot") else ZERO


def _worth(holdings: Holdings, price: Decimal) -> Decimal:
    return sum((quantity * listing.pays(price) for listing, quantity in holdings), ZERO)


def _corners(holdings: Holdings) -> set[Decimal]:
    """Where the payoff can bend or jump: zero, each strike, and just beside it."""
    strikes = {listing.strike for listing, _ in holdings if listing.strike is not None}
    around = {strike + offset for strike in strikes for offset in (-PRICE_STEP, ZERO, PRICE_STEP)}
    return around | {ZERO}
