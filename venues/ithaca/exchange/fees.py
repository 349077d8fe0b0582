"""What the venue charges for an execution: its documented rates, caps and strategy discount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from venues.ithaca.exchange.market import PRICE_STEP, Listing

FORWARD_RATE: Final = Decimal("0.0001")
OPTION_RATE: Final = Decimal("0.0004")
BINARY_RATE: Final = Decimal("0.01")
OPTION_CAP: Final = Decimal("0.125")  # of the premium
BINARY_CAP: Final = Decimal("0.25")
DISCOUNT: Final = Decimal("0.8")
DISCOUNT_STEP: Final = Decimal("0.05")  # further off for each leg beyond the second


@dataclass(frozen=True, slots=True)
class Part:
    """An executed quantity (unsigned) of one contract at a price per unit."""

    listing: Listing
    quantity: Decimal
    price: Decimal


def notional_of(part: Part) -> Decimal:
    """USDC that the fee is a fraction of: at the strike for options, the payout for binaries."""
    if part.listing.is_binary:
        return part.quantity
    return part.quantity * (part.listing.strike if part.listing.strike is not None else abs(part.price))


def fee_of(parts: Sequence[Part]) -> Decimal:
    """USDC charged for executing all parts as one order."""
    total = sum((_single(part) for part in parts), Decimal(0))
    options = sum(1 for part in parts if part.listing.strike is not None)
    if options >= 2:
        total *= DISCOUNT - (options - 2) * DISCOUNT_STEP
    return total.quantize(PRICE_STEP, ROUND_HALF_EVEN)


def _single(part: Part) -> Decimal:
    notional, premium = notional_of(part), abs(part.quantity * part.price)
    if part.listing.is_binary:
        return min(notional * BINARY_RATE, premium * BINARY_CAP)
    if part.listing.strike is not None:
        return min(notional * OPTION_RATE, premium * OPTION_CAP)
    return notional * FORWARD_RATE
