"""Markets and order books in the venue's JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from venues.limitless.sandbox.book import Level, last_trade, levels, touch
from venues.limitless.sandbox.desk import human
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.markets import MILLI, OUTCOMES_OF_GROUP, Market, hex_of
from venues.limitless.signing import iso_ms
from venues.world import draw

USDC: Final = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
COLLATERAL: Final = {"address": USDC, "decimals": 6, "symbol": "USDC"}
MAX_SPREAD: Final = "0.035"
MIN_SIZE: Final = "100000000"
FEE_MODULE: Final = "0x6bEE10cbb8a3a3F49f67A90cA7e6bdB5A9aC51dd"


def is_resolved(engine: Engine, market: Market, at_ms: int) -> bool:
    """Whether the venue knows the outcome at that time."""
    return at_ms >= engine.universe.resolved_ms(market)


def winning(engine: Engine, market: Market, at_ms: int) -> int | None:
    """The winning outcome once resolved."""
    return engine.universe.winner(market) if is_resolved(engine, market, at_ms) else None


def page(engine: Engine, listing: tuple[Market, ...], at_ms: int) -> dict[str, Any]:
    """A market's page, or its group's with the children inside."""
    return single(engine, listing[0], at_ms) if len(listing) == 1 else _group(engine, listing, at_ms)


def single(engine: Engine, market: Market, at_ms: int) -> dict[str, Any]:
    """One tradeable market."""
    shape = {
        **_common(engine, market, at_ms),
        "slug": market.slug,
        "title": market.title,
        "tradeType": "amm" if market.is_amm else "clob",
        "marketType": "single",
        "winningOutcomeIndex": winning(engine, market, at_ms),
        "conditionId": market.condition_id,
        "orderInGroup": market.child,
        "id": market.id,
    }
    yes = engine.universe.yes(market, at_ms)
    if market.is_amm:
        return shape | {"address": market.address, "prices": [yes / 10, (MILLI - yes) / 10]}
    return shape | _clob(engine, market, at_ms, yes)


def venue_of(market: Market) -> dict[str, Any]:
    """The contracts a market trades on."""
    venue: dict[str, Any] = {"exchange": market.exchange, "adapter": market.adapter, "operator": None}
    if market.series.takes_usd_fee:
        venue |= {"feeModule": FEE_MODULE, "feeModuleType": "COLLATERAL"}
    return venue


def order_book(engine: Engine, market: Market, at_ms: int) -> dict[str, Any]:
    """The YES book: the house's quotes and everybody's resting orders, NO orders mirrored."""
    bids, asks = levels(engine.universe, market, at_ms)
    bids, asks = [*bids], [*asks]
    for account in engine.accounts:
        for order in account.live_orders(market.slug):
            assert order.price is not None
            price = order.price if order.outcome == 0 else MILLI - order.price
            side = bids if order.is_buy == (order.outcome == 0) else asks
            side.append(Level(price, order.remaining))
    bids.sort(key=lambda level: -level.price)
    asks.sort(key=lambda level: level.price)
    last = last_trade(engine.universe, market, at_ms)
    middle = (
        (bids[0].price + asks[0].price) / 2 if bids and asks else engine.universe.yes(market, at_ms)
    ) / MILLI
    return {
        "bids": [{"price": b.price / MILLI, "size": b.size, "side": "BUY"} for b in bids],
        "asks": [{"price": a.price / MILLI, "size": a.size, "side": "SELL"} for a in asks],
        "tokenId": market.yes_token,
        "adjustedMidpoint": middle,
        "midpoint": middle,
        "maxSpread": MAX_SPREAD,
        "minSize": MIN_SIZE,
        "lastTradePrice": None if last is None else last / MILLI,
    }


def _common(engine: Engine, market: Market, at_ms: int) -> dict[str, Any]:
    expires = datetime.fromtimestamp(market.expires_ms / 1000, UTC)
    known = engine.universe.resolved_ms(market)
    volume = int(50_000_000_000 * draw(engine.seed, market.slug, "volume"))
    return {
        "proxyTitle": None,
        "description": f"Resolves to YES when: {market.title}.",
        "collateralToken": COLLATERAL,
        "expirationDate": f"{expires:%b} {expires.day}, {expires.year}",
        "expirationTimestamp": market.expires_ms,
        "expired": at_ms >= market.expires_ms,
        "hidden": False,
        "createdAt": iso_ms(market.created_ms),
        "updatedAt": iso_ms(known if at_ms >= known else market.created_ms),
        "categories": ["Economy"] if market.group else ["Crypto"],
        "status": "RESOLVED" if at_ms >= known else "FUNDED",
        "creator": {"name": "Limitless", "imageURI": None, "link": "https://limitless.exchange"},
        "tags": ["Lumy", market.series.label],
        "priorityIndex": market.series.number,
        "metadata": {
            "fee": True,
            "isBannered": False,
            "isPolyArbitrage": False,
            "shouldMarketMake": True,
            "openPrice": str(market.strike),
        },
        "automationType": "lumy",
        "volume": str(volume),
        "volumeFormatted": human(volume),
        "openInterest": str(volume // 3),
        "openInterestFormatted": human(volume // 3),
        "liquidity": str(volume // 5),
        "liquidityFormatted": human(volume // 5),
    }


def _clob(engine: Engine, market: Market, at_ms: int, yes: int) -> dict[str, Any]:
    (yes_bid, yes_ask), (no_bid, no_ask) = (
        touch(engine.universe, market, outcome, at_ms) for outcome in (0, 1)
    )
    buy = [(price or 0) / MILLI for price in (yes_ask, no_ask)]
    sell = [(price or 0) / MILLI for price in (yes_bid, no_bid)]
    asset = market.series.asset
    return {
        "negRiskRequestId": hex_of(32, engine.seed, market.slug, "request") if market.group else None,
        "tokens": {"yes": market.yes_token, "no": market.no_token},
        "positionIds": [market.yes_token, market.no_token],
        "prices": [yes / MILLI, (MILLI - yes) / MILLI],
        "tradePrices": {"buy": {"market": buy, "limit": sell}, "sell": {"market": sell, "limit": buy}},
        "isRewardable": False,
        "settings": {
            "minSize": MIN_SIZE,
            "maxSpread": float(MAX_SPREAD),
            "dailyReward": "0",
            "rewardsEpoch": "0.0138",
            "c": "3",
            "rebateRate": 0,
        },
        "venue": venue_of(market),
        "priceOracleMetadata": {
            "ticker": asset,
            "assetType": "CRYPTO",
            "pythAddress": hex_of(32, asset, "pyth"),
            "symbol": f"Crypto.{asset}/USD",
            "name": asset,
        },
    }


def _group(engine: Engine, listing: tuple[Market, ...], at_ms: int) -> dict[str, Any]:
    first = listing[0]
    return {
        **_common(engine, first, at_ms),
        "id": first.id - 1,
        "slug": first.group,
        "title": "Fed decision",
        "tradeType": "group",
        "marketType": "group",
        "outcomeTokens": list(OUTCOMES_OF_GROUP),
        "negRiskMarketId": hex_of(32, engine.seed, first.group, "market"),
        "markets": [single(engine, market, at_ms) for market in listing],
        "dailyReward": "0",
        "ogImageURI": None,
    }
