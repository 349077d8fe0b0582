"""The house's order book around a market's price, its fees and its AMM: pure functions of time.

Units: prices in thousandths of a USDC, shares and USDC in raw units (millionths).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from venues.limitless.sandbox.markets import MILLI, Market, Universe
from venues.world import draw

LOT: Final = 1000  # raw units: order sizes come in thousandths of a share
LEVELS: Final = 5
BUCKET_MS: Final = 5000  # how long the house leaves its quotes where they are
AMM_FEE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Level:
    """Raw ``size`` of shares offered at ``price`` thousandths."""

    price: int
    size: int


def levels(universe: Universe, market: Market, at_ms: int) -> tuple[list[Level], list[Level]]:
    """Bids and asks for YES, best first; both empty once the market expired."""
    if at_ms >= market.expires_ms or market.is_amm:
        return [], []
    bucket = at_ms // BUCKET_MS
    middle = universe.yes(market, max(bucket * BUCKET_MS, market.created_ms))
    gap = 1 + int(4 * draw(universe.seed, market.slug, bucket, "gap"))
    bids, asks = [], []
    for level in range(LEVELS):
        step = gap + level * (1 + level)
        size = LOT * (20_000 + int(480_000 * draw(universe.seed, market.slug, bucket, level)))
        if middle - step >= 1:
            bids.append(Level(middle - step, size))
        if middle + step <= MILLI - 1:
            asks.append(Level(middle + step, size))
    return bids, asks


def touch(universe: Universe, market: Market, outcome: int, at_ms: int) -> tuple[int | None, int | None]:
    """Best bid and ask of an outcome; NO is the mirror of YES."""
    bids, asks = levels(universe, market, at_ms)
    bid, ask = (bids[0].price if bids else None), (asks[0].price if asks else None)
    if outcome == 0:
        return bid, ask
    return (None if ask is None else MILLI - ask), (None if bid is None else MILLI - bid)


def last_trade(universe: Universe, market: Market, at_ms: int) -> int | None:
    """Price of the last public trade of YES; None in a market's first minute."""
    at_ms = min(at_ms, market.expires_ms)
    if at_ms - market.created_ms < 60_000:
        return None
    return universe.yes(market, at_ms // 30_000 * 30_000)


def fee_bps(ceiling: int, price: int) -> int:
    """What a taker is charged of the ceiling: most in the middle, little near certainty.

    The venue publishes no formula; this one gives its published example (59 of 300 at 0.93).
    """
    return round(3 * ceiling * price * (MILLI - price) / MILLI**2)


def usd_of(shares: int, price: int, *, up: bool) -> int:
    """Raw USDC for raw shares at a price: buyers' amounts are rounded up, sellers' down."""
    exact = shares * price
    return -(-exact // MILLI) if up else exact // MILLI


def amm_price(universe: Universe, market: Market, outcome: int, at_ms: int, *, is_buy: bool) -> float:
    """USDC per share at the AMM, its fee included."""
    yes = universe.yes(market, at_ms)
    middle = (yes if outcome == 0 else MILLI - yes) / MILLI
    return middle * (1 + AMM_FEE if is_buy else 1 - AMM_FEE)
