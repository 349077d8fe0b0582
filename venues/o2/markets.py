"""The listed markets, decoded once, and where each coin's position is kept.

Invariant: a coin is fungible, so it has one position however many markets trade it. Its *home* is its
market quoted in USD (USDC before other dollars, then the lowest market id): the choice depends only on
the listing, so a position never wanders between instruments while the listing stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from venues.model import Instrument
from venues.numbers import decode, scaled
from venues.o2.schemas import PPM, AssetRow, hex_id, is_usd, markets_decoder, whole


@dataclass(frozen=True, slots=True)
class Asset:
    """A token. ``id`` is lower-case hex; amounts are chain integers of 10^-``decimals``."""

    id: str
    symbol: str
    decimals: int
    max_precision: int

    @property
    def is_usd(self) -> bool:
        return is_usd(self.symbol)

    def amount(self, chain: int) -> Decimal:
        """The human amount of a chain integer."""
        return scaled(chain, self.decimals)


@dataclass(frozen=True, slots=True)
class Market:
    """One order book. Fees are fractions; ``dust`` is in whole base coins."""

    id: str
    book_id: str
    base: Asset
    quote: Asset
    maker_fee: Decimal
    taker_fee: Decimal
    dust: Decimal

    @property
    def name(self) -> str:
        return f"{self.base.symbol}/{self.quote.symbol}"

    def price(self, chain: int | Decimal) -> Decimal:
        """Quote per whole base of a chain price."""
        return scaled(chain, self.quote.decimals)

    def instrument(self) -> Instrument:
        """The market as an instrument; prices of this venue's records are always USD."""
        return Instrument(
            name=self.name,
            base=self.base.symbol,
            quote=self.quote.symbol if self.quote.is_usd else "USD",
            display=self.name,
            fee=self.taker_fee,
            max_leverage=Decimal(1),
            lot=scaled(1, min(self.base.max_precision, self.base.decimals)),
            dust=self.dust,
            can_short=False,
        )


def read_markets(body: bytes) -> dict[str, Market]:
    """``{market_id: Market}`` of GET /v1/markets. Raises Broken with the field path."""
    markets: dict[str, Market] = {}
    for index, row in enumerate(decode("markets", body, markets_decoder).markets):
        path = f"markets.markets[{index}]"
        market_id = hex_id(f"{path}.market_id", row.market_id)
        base = _asset(f"{path}.base", row.base)
        markets[market_id] = Market(
            id=market_id,
            book_id=hex_id(f"{path}.contract_id", row.contract_id),
            base=base,
            quote=_asset(f"{path}.quote", row.quote),
            maker_fee=whole(f"{path}.maker_fee", row.maker_fee) / PPM,
            taker_fee=whole(f"{path}.taker_fee", row.taker_fee) / PPM,
            dust=base.amount(whole(f"{path}.dust", row.dust)),
        )
    return markets


def homes(markets: Iterable[Market]) -> dict[str, Market]:
    """``{asset_id: its home market}`` for every traded coin that is not itself a dollar."""
    best: dict[str, Market] = {}
    for market in sorted(markets, key=_preference):
        if not market.base.is_usd:
            best.setdefault(market.base.id, market)
    return best


def assets(markets: Iterable[Market]) -> dict[str, Asset]:
    """``{asset_id: Asset}`` of every base and quote."""
    return {asset.id: asset for market in markets for asset in (market.base, market.quote)}


def usd_rates(markets: Mapping[str, Market], prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """USD per whole unit of each asset, from the markets' prices in their own quote currencies.

    Dollars are 1. A coin's rate comes from its home; a coin traded only against another coin takes
    that coin's rate on the way. An asset without a path to USD is left out.
    """
    rates = {asset.id: Decimal(1) for asset in assets(markets.values()).values() if asset.is_usd}
    found = True
    waiting = homes(markets.values())
    while found:
        found = False
        for asset_id, home in list(waiting.items()):
            if home.quote.id in rates and home.id in prices:
                rates[asset_id] = prices[home.id] * rates[home.quote.id]
                del waiting[asset_id]
                found = True
    return rates


def _preference(market: Market) -> tuple[bool, bool, str]:
    return (not market.quote.is_usd, not market.quote.symbol.upper().endswith("USDC"), market.id)


def _asset(path: str, row: AssetRow) -> Asset:
    return Asset(hex_id(f"{path}.asset", row.asset), row.symbol, row.decimals, row.max_precision)
