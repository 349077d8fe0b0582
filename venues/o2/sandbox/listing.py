"""What the sandbox lists: its markets, their prices and the market maker that quotes them.

Invariant: every price is a multiple of the tick and every size of the lot, and tick × lot is a whole
quote unit, so any sum of fills stays exact and a position can always be sold to the last lot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from venues.world import draw, price

QUOTE_BUCKET_MS: Final = 15_000  # the market maker renews its sizes this often
LEVELS: Final = 12
PPM: Final = 1_000_000


def power(decimals: int) -> int:
    """10^decimals, a whole number."""
    return int(10**decimals)


def identifier(*names: object) -> str:
    """A 32-byte id that depends only on the names."""
    return "0x" + hashlib.sha256("/".join(str(name) for name in names).encode()).hexdigest()


@dataclass(frozen=True)
class Token:
    """An asset as a market shows it (``max_precision`` may differ from market to market)."""

    symbol: str
    decimals: int
    max_precision: int
    asset: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "asset", identifier("o2-sandbox", "asset", self.symbol))


@dataclass(frozen=True)
class Listed:
    """One market. ``anchor`` is the human price that prices wander around."""

    base: Token
    quote: Token
    anchor: Decimal
    spread_ticks: int
    level_value: int  # whole quote units that the market maker shows per level
    taker_fee: int = 100
    maker_fee: int = 0
    min_order: int = 1_000_000
    dust: int = 1_000
    tick: int = field(init=False)  # price step in chain units
    lot: int = field(init=False)  # size step in chain units
    id: str = field(init=False)
    contract: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tick", power(self.quote.decimals - self.quote.max_precision))
        object.__setattr__(self, "lot", power(self.base.decimals - self.base.max_precision))
        object.__setattr__(self, "id", identifier("o2-sandbox", "market", self.pair))
        object.__setattr__(self, "contract", identifier("o2-sandbox", "book", self.pair))

    @property
    def pair(self) -> str:
        return f"{self.base.symbol}/{self.quote.symbol}"

    def total(self, price_chain: int, quantity: int) -> int:
        """Quote chain units of an execution."""
        return price_chain * quantity // power(self.base.decimals)

    def quantity(self, value: int, price_chain: int) -> int:
        """Base chain units, whole lots, that ``value`` whole quote units buy at that price."""
        raw = value * power(self.quote.decimals) * power(self.base.decimals) // price_chain
        return raw - raw % self.lot

    def middle(self, seed: int, at_ms: int) -> int:
        """The market maker's middle price in chain units; one coin has one price in all its markets."""
        step = Decimal(self.tick).scaleb(-self.quote.decimals)
        return int(price(seed, self.base.symbol, self.anchor, at_ms, step).scaleb(self.quote.decimals))

    def levels(
        self, seed: int, at_ms: int, sign: int, middle: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """(price, quantity) of the market maker's side, best first: sign +1 its bids, -1 its asks."""
        middle = self.middle(seed, at_ms) if middle is None else middle
        bucket = at_ms // QUOTE_BUCKET_MS
        for index in range(LEVELS):
            at = middle - sign * self.tick * (self.spread_ticks + 2 * index * self.spread_ticks)
            if at <= 0:
                return
            share = 0.3 + draw(seed, self.pair, "level", sign, index, bucket)
            quantity = self.quantity(max(1, int(self.level_value * share * (1 + index))), at)
            if quantity:
                yield at, quantity

    def best(self, seed: int, at_ms: int, sign: int) -> int:
        """The market maker's best bid (+1) or ask (-1)."""
        return self.middle(seed, at_ms) - sign * self.tick * self.spread_ticks


def _token(symbol: str, max_precision: int) -> Token:
    decimals = {"FUEL": 9, "ETH": 9, "WBTC": 8, "USDC": 6, "USDT": 6}[symbol]
    return Token(symbol, decimals, max_precision)


FUEL_USDC: Final = Listed(_token("FUEL", 1), _token("USDC", 5), Decimal("0.026"), 2, 400)
ETH_USDC: Final = Listed(_token("ETH", 4), _token("USDC", 2), Decimal("3150"), 20, 900)
WBTC_USDC: Final = Listed(_token("WBTC", 5), _token("USDC", 1), Decimal("64000"), 40, 1500)
ETH_USDT: Final = Listed(_token("ETH", 4), _token("USDT", 2), Decimal("3150"), 30, 600)

MARKETS: Final = (FUEL_USDC, ETH_USDC, WBTC_USDC, ETH_USDT)
BY_ID: Final = {market.id: market for market in MARKETS}
TOKENS: Final = {token.asset: token for market in MARKETS for token in (market.base, market.quote)}
