"""An account's portfolio and history in the venue's JSON, quirks included.

Order-book figures are raw integers as text, AMM figures decimals as text, history amounts decimals, its
``pnl`` raw; order-book rows say realisedPnl and AMM rows realizedPnl; unrealizedPnl of order-book rows is
always "0", and the market value follows the middle of the book rather than the last trade.
"""

from __future__ import annotations

from typing import Any

from venues.limitless.sandbox.accounts import Account, Row, Stake
from venues.limitless.sandbox.book import last_trade
from venues.limitless.sandbox.desk import human
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.markets import MILLI, Market
from venues.limitless.sandbox.shapes import USDC, venue_of, winning
from venues.limitless.signing import iso_ms

COLLATERAL_ID = 7


def positions(engine: Engine, account: Account, at_ms: int) -> dict[str, Any]:
    """The whole portfolio."""
    listed = account.listed()
    return {
        "rewards": {
            "todaysRewards": "0",
            "totalUnpaidRewards": "0",
            "totalUserRewardsLastEpoch": "0",
            "rewardsChartData": [],
            "rewardsByEpoch": [],
        },
        "points": "0.00000000",
        "accumulativePoints": "0.00000000",
        "clob": [_clob_row(engine, account, market, at_ms) for market in listed if not market.is_amm],
        "amm": [
            _amm_row(engine, account, market, outcome, at_ms)
            for market in listed
            for outcome in (0, 1)
            if market.is_amm and _stake(account, market, outcome).shares
        ],
        "group": [],
    }


def _stake(account: Account, market: Market, outcome: int) -> Stake:
    return account.stakes.get((market.slug, outcome)) or Stake()


def _market(engine: Engine, market: Market, at_ms: int) -> dict[str, Any]:
    resolved = winning(engine, market, at_ms)
    return {
        "id": market.id,
        "slug": market.slug,
        "title": market.title,
        "status": "FUNDED" if resolved is None else "RESOLVED",
        "closed": at_ms >= market.expires_ms,
        "address": market.address,
        "conditionId": market.condition_id,
        "negRiskRequestId": None,
        "winningOutcomeIndex": resolved,
        "expirationDate": iso_ms(market.expires_ms),
        "deadline": iso_ms(market.expires_ms),
    }


def _clob_row(engine: Engine, account: Account, market: Market, at_ms: int) -> dict[str, Any]:
    yes = engine.universe.yes(market, at_ms)
    last = last_trade(engine.universe, market, at_ms)
    live = account.live_orders(market.slug)
    stakes = [_stake(account, market, outcome) for outcome in (0, 1)]
    latest = {} if last is None else {"latestYesPrice": last / MILLI, "latestNoPrice": (MILLI - last) / MILLI}
    facts = {
        "yesPositionId": market.yes_token,
        "noPositionId": market.no_token,
        "collateralToken": {"id": COLLATERAL_ID, "decimals": 6, "symbol": "USDC", "address": USDC},
        "venue": venue_of(market),
        "group": {"slug": market.group} if market.group else {},
    }
    return {
        "market": _market(engine, market, at_ms) | facts,
        "makerAddress": account.wallet,
        "positions": {
            "yes": _side(stakes[0], yes),
            "no": _side(stakes[1], MILLI - yes),
        },
        "tokensBalance": {"yes": str(stakes[0].shares), "no": str(stakes[1].shares)},
        "latestTrade": {**latest, "outcomeTokenPrice": latest["latestYesPrice"]} if latest else None,
        "orders": {
            "liveOrders": [
                {
                    "id": order.id,
                    "side": "BUY" if order.is_buy else "SELL",
                    "price": f"{(order.price or 0) / MILLI:g}",
                    "originalSize": str(order.size),
                    "remainingSize": str(order.remaining),
                    "status": "LIVE",
                }
                for order in live
            ],
            "totalCollateralLocked": str(sum(order.reserved for order in live if order.is_buy)),
        },
        "rewards": {"isEarning": False, "epochs": []},
    }


def _side(stake: Stake, price: int) -> dict[str, str]:
    return {
        "cost": str(stake.cost),
        "fillPrice": str(stake.fill_price),
        "marketValue": str(stake.shares * price // MILLI),
        "realisedPnl": str(stake.realised),
        "unrealizedPnl": "0",
    }


def _amm_row(engine: Engine, account: Account, market: Market, outcome: int, at_ms: int) -> dict[str, Any]:
    stake = _stake(account, market, outcome)
    yes = engine.universe.yes(market, at_ms)
    price = MILLI - yes if outcome else yes
    return {
        "market": _market(engine, market, at_ms),
        "account": account.wallet,
        "outcomeIndex": outcome,
        "collateralAmount": human(stake.cost),
        "outcomeTokenAmount": human(stake.shares),
        "averageFillPrice": human(stake.fill_price),
        "totalBuysCost": human(stake.bought_usd),
        "totalSellsCost": human(stake.sold_usd),
        "realizedPnl": human(stake.realised),
        "unrealizedPnl": human(stake.shares * price // MILLI - stake.cost),
        "latestTrade": {"outcomeTokenPrice": f"{price / MILLI:g}"},
    }


def history_row(row: Row, at_ms: int) -> dict[str, Any]:
    """A line of history: trades have a strategy, settlements an action."""
    market = row.market
    shape: dict[str, Any] = {
        "blockTimestamp": row.at_s,
        "collateralAmount": human(row.usd),
        "market": {
            "closed": at_ms >= market.expires_ms,
            "collateral": {"symbol": "USDC", "id": str(COLLATERAL_ID), "decimals": 6},
            "group": {"slug": market.group} if market.group else None,
            "condition_id": market.condition_id,
            "conditionId": market.condition_id,
            "funding": "0",
            "id": str(market.id),
            "slug": market.slug,
            "title": market.title,
            "expirationDate": iso_ms(market.expires_ms),
        },
        "outcomeIndex": row.outcome,
    }
    if row.action is not None:
        shape |= {"action": row.action, "collateralSymbol": "USDC", "collateralToken": str(COLLATERAL_ID)}
        shape |= {"conditionId": market.condition_id, "title": market.title}
    else:
        shape |= {"strategy": row.strategy, "outcomeTokenPrice": row.price}
    if row.pnl is not None:
        shape["pnl"] = str(row.pnl)
    if row.shares is not None:
        both = row.strategy in ("Split", "Merge")
        shape["outcomeTokenAmount"] = human(row.shares)
        shape["outcomeTokenAmounts"] = [
            human(row.shares) if both or outcome == row.outcome else "0" for outcome in (0, 1)
        ]
    if row.tx_hash is not None:
        shape["transactionHash"] = row.tx_hash
    return shape
