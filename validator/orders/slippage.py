"""What a market order pays beyond the price, as a fraction of it.

The original keeps tables for crypto and a fitted model for equities that are not published; crypto pays its
fallback here, and equities nothing (no position can be opened in them).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

from validator.trade_pairs import TradePair

FREE_VALUE: Final = 1_000.0  # USD; smaller orders pay nothing
MOST: Final = 0.03
FOREX: Final = 0.0002
FOREX_ROLLOVER: Final = 0.0005
ROLLOVER_HOUR: Final = 17  # of the clock in New York
CRYPTO: Final = 0.0001


def slippage(pair: TradePair, value: float, at_ms: int) -> float:
    """The fraction for an order of this value (USD, signed)."""
    if abs(value) <= FREE_VALUE:
        return 0.0
    if pair.category == "forex":
        return min(MOST, FOREX_ROLLOVER if new_york(at_ms).hour == ROLLOVER_HOUR else FOREX)
    return CRYPTO if pair.category == "crypto" else 0.0


def new_york(at_ms: int) -> datetime:
    """The clock in New York, by the rule of daylight saving in force since 2007."""
    utc = datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None)
    winter = utc - timedelta(hours=5)
    starts = datetime.combine(_sunday(winter.year, 3, 2), datetime.min.time()) + timedelta(hours=2)
    ends = datetime.combine(_sunday(winter.year, 11, 1), datetime.min.time()) + timedelta(hours=1)
    return winter + timedelta(hours=1) if starts <= winter < ends else winter


def _sunday(year: int, month: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (count - 1))
