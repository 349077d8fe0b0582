"""Numbers as the venue writes them, turned into numbers we can use, or refused with their field path.

Invariant: every amount that leaves this module is finite and of a sane size, so that later arithmetic
cannot fail; units that changed (decimals for raw integers, cents for dollars) are noticed here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from venues.errors import Broken
from venues.limitless import schemas
from venues.limitless.signing import parse_iso_ms
from venues.numbers import scaled

OUTCOMES: Final = ("YES", "NO")
ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)
DUST: Final = Decimal("0.001")  # what tick rounding and fees in shares leave behind counts as nothing
MAX_DIGITS: Final = 30  # before or behind the point; all the world's USDC has 17


def instrument(slug: str, outcome: int) -> str:
    """``<slug>:YES`` or ``<slug>:NO``."""
    return f"{slug}:{OUTCOMES[outcome]}"


def amount(path: str, value: Decimal) -> Decimal:
    """The value itself. Raises Broken when it is not a number of a size that money has."""
    if not value.is_finite() or (value and not -MAX_DIGITS <= value.adjusted() <= MAX_DIGITS):
        raise Broken(path, "a finite amount", str(value)[:40])
    return value


def raw(path: str, value: Decimal, decimals: int = 6) -> Decimal:
    """Human units of a raw amount. Raises Broken when it has a fraction (the units would have changed)."""
    whole = amount(path, value)
    if whole != whole.to_integral_value():
        raise Broken(path, "an integer of raw units", str(value)[:40])
    return scaled(whole, decimals)


def price(path: str, value: Decimal, highest: Decimal = ONE) -> Decimal:
    """The value itself. Raises Broken when it is no price of a share (0 to 1): cents, or raw units."""
    if not ZERO <= amount(path, value) <= highest:
        raise Broken(path, f"a price between 0 and {highest}", str(value)[:40])
    return value


def moment(path: str, text: str) -> int:
    """Milliseconds of an ISO time. Raises Broken."""
    try:
        return parse_iso_ms(text)
    except (ValueError, OverflowError):
        raise Broken(path, "an ISO 8601 time", repr(text[:40])) from None


def seconds(path: str, value: Decimal) -> int:
    """Milliseconds of a block timestamp in unix seconds. Raises Broken."""
    at = amount(path, value)
    if not 0 < at < 10**11:
        raise Broken(path, "unix seconds", str(value)[:40])
    return int(at * 1000)


def amm_shares(path: str, row: schemas.AmmRow) -> Decimal:
    """Shares of an AMM row, whose amounts are decimals (today) or raw units (once)."""
    shares = amount(f"{path}.outcomeTokenAmount", row.outcome_token_amount)
    return raw(f"{path}.outcomeTokenAmount", shares) if amm_is_raw(path, row) else shares


def amm_is_raw(path: str, row: schemas.AmmRow) -> bool:
    """Whether the row's amounts are raw units: no point anywhere, and a price above 1."""
    price = None if row.average_fill_price is None else amount(path, row.average_fill_price)
    has_point = any(
        value is not None and value.is_finite() and int(value.as_tuple().exponent) < 0
        for value in (row.outcome_token_amount, price, row.total_buys_cost)
    )
    return not has_point and (price is None or price > 1 or row.outcome_token_amount >= 10**6)


def row_shares(path: str, row: schemas.HistoryRow) -> Decimal:
    """Shares of a history row, unsigned; a pair split or merged names only its collateral."""
    value = row.outcome_token_amount if row.outcome_token_amount is not None else row.collateral_amount
    if value is None:
        raise Broken(f"{path}.outcomeTokenAmount", "decimal", "null")
    return abs(amount(f"{path}.outcomeTokenAmount", value))
