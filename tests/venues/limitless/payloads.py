"""Payloads made by hand: one market, one account, and the rows a test needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from venues.limitless.normalise import normalise
from venues.model import Fill, Payload, Snapshot

SAMPLES = Path(__file__).parents[3] / "venues" / "limitless" / "samples"
SLUG = "btc-up"
YES, NO = f"{SLUG}:YES", f"{SLUG}:NO"
YES_TOKEN = str(2**255 + 11)
NO_TOKEN = str(2**255 + 12)
DEADLINE = "2026-05-11T10:00:00.000Z"
OBSERVED_MS = 1_778_200_000_000  # 8 May 2026, before the deadline
SECOND = 1_778_100_000
TX = "0x" + "ab" * 32


def sample(name: str) -> bytes:
    """A documented answer."""
    return (SAMPLES / name).read_bytes()


def payload(parts: dict[str, Any], *, since_ms: int | None = None, observed_ms: int = OBSERVED_MS) -> Payload:
    """A payload of these parts; an empty portfolio where none is given."""
    bodies = {
        name: part if isinstance(part, bytes) else msgspec.json.encode(part) for name, part in parts.items()
    }
    bodies.setdefault("positions", msgspec.json.encode(portfolio()))
    return Payload(
        venue="limitless", account="0xme", observed_ms=observed_ms, since_ms=since_ms, parts=bodies
    )


def snapshot(parts: dict[str, Any], **options: Any) -> Snapshot:
    """What the normaliser makes of these parts."""
    return normalise(payload(parts, **options))


def portfolio(*clob: dict[str, Any], amm: list[Any] | None = None, group: list[Any] | None = None) -> Any:
    """A portfolio answer."""
    return {"clob": list(clob), "amm": amm or [], "group": group or [], "rewards": {}}


def market(slug: str = SLUG, **changes: Any) -> dict[str, Any]:
    """The market inside a portfolio row."""
    return {
        "id": 1,
        "slug": slug,
        "title": "BTC up",
        "status": "FUNDED",
        "closed": False,
        "winningOutcomeIndex": None,
        "deadline": DEADLINE,
        "yesPositionId": YES_TOKEN,
        "noPositionId": NO_TOKEN,
        **changes,
    }


def clob(
    yes: str = "0", no: str = "0", *, price: str = "400000", of: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """An order-book row with raw balances."""
    side = {"cost": "0", "fillPrice": price, "marketValue": "0", "realisedPnl": "0", "unrealizedPnl": "0"}
    return {
        "market": of or market(),
        "makerAddress": "0xme",
        "positions": {"yes": side, "no": side},
        "tokensBalance": {"yes": yes, "no": no},
        "latestTrade": {"latestYesPrice": 0.4, "latestNoPrice": 0.6, "outcomeTokenPrice": 0.4},
        "orders": {"liveOrders": [], "totalCollateralLocked": "0"},
        **changes,
    }


def amm(outcome: int = 0, amount: str = "9.5", price: str = "0.5", **changes: Any) -> dict[str, Any]:
    """An AMM row."""
    return {
        "market": market("pool"),
        "account": "0xme",
        "outcomeIndex": outcome,
        "collateralAmount": "4.75",
        "outcomeTokenAmount": amount,
        "averageFillPrice": price,
        "totalBuysCost": "4.75",
        "totalSellsCost": "0",
        "realizedPnl": "0.25",
        "unrealizedPnl": "0",
        "latestTrade": {"outcomeTokenPrice": "0.572"},
        **changes,
    }


def trade(
    strategy: str = "Limit Buy",
    shares: str | None = "10",
    usd: str | None = "2",
    outcome: int | None = 0,
    **changes: Any,
) -> dict[str, Any]:
    """A trade row of the history."""
    row = {
        "blockTimestamp": SECOND,
        "collateralAmount": usd,
        "market": {"slug": SLUG, "title": "BTC up", "id": "1"},
        "outcomeTokenAmount": shares,
        "outcomeIndex": outcome,
        "outcomeTokenPrice": "0.2",
        "strategy": strategy,
        "transactionHash": TX,
        **changes,
    }
    return {key: value for key, value in row.items() if value is not None}


def settlement(action: str, winner: int, **changes: Any) -> dict[str, Any]:
    """A settlement row of the history."""
    return {
        "action": action,
        "blockTimestamp": SECOND + 900,
        "collateralAmount": "2",
        "market": {"slug": SLUG, "title": "BTC up", "id": "1"},
        "outcomeIndex": winner,
        "pnl": "-2000000",
        **changes,
    }


def history(*rows: dict[str, Any]) -> dict[str, Any]:
    """A history page."""
    return {"data": list(rows), "nextCursor": None}


def fills(*rows: dict[str, Any], **options: Any) -> tuple[Fill, ...]:
    """The fills of these history rows."""
    return snapshot({"history:0": history(*rows)}, **options).fills


def status(
    settlement_status: str = "MINED",
    *,
    gross: int = 10_000_000,
    fee: int = 0,
    usd: int = 2_000_000,
    usd_fee: int = 0,
    side: str | int = 0,
    token: str = YES_TOKEN,
    tx: str | None = TX,
    is_taker: bool = True,
    order_id: str = "order-1",
    **order: Any,
) -> dict[str, Any]:
    """A found row of the order status answer."""
    execution: dict[str, Any] = {
        "matched": gross > 0,
        "settlementStatus": settlement_status,
        "feeRateBps": 300,
        "effectiveFeeBps": 59,
        "tradeEventId": "event",
        "totalsRaw": {
            "contractsGross": str(gross),
            "contractsFee": str(fee),
            "contractsNet": str(gross - fee),
            "usdGross": str(usd),
            "usdFee": str(usd_fee),
            "usdNet": str(usd - usd_fee),
        },
    }
    if tx is not None:
        execution["txHash"] = tx
    shape = {
        "id": order_id,
        "createdAt": "2026-05-06T20:00:00.000Z",
        "makerAmount": str(usd),
        "takerAmount": str(gross),
        "tokenId": token,
        "side": side,
        "orderType": "GTC",
        "price": "0.2",
        "market": {"slug": SLUG},
        **order,
    }
    matches = [{"id": "m", "orderId": "o", "matchedSize": str(gross)}] if is_taker else []
    data = {"order": shape, "makerMatches": matches, "execution": execution}
    return {"index": 0, "status": "found", "orderId": order_id, "data": data}


def statuses(*rows: dict[str, Any]) -> dict[str, Any]:
    """An order status answer."""
    return {"results": list(rows)}


def user_order(**changes: Any) -> dict[str, Any]:
    """A row of a market's order list."""
    return {
        "createdAt": "2026-05-06T20:00:00.000Z",
        "id": "order-1",
        "ownerId": 7,
        "marketId": "1",
        "token": YES_TOKEN,
        "type": "GTC",
        "status": "LIVE",
        "side": "BUY",
        "makerAmount": "2000000",
        "takerAmount": "10000000",
        "price": "0.2",
        "originalSize": "10000000",
        "remainingSize": "10000000",
        **changes,
    }


def page(slug: str = SLUG, **changes: Any) -> dict[str, Any]:
    """A market's own page."""
    return {
        "id": 1,
        "slug": slug,
        "title": "BTC up",
        "status": "FUNDED",
        "tradeType": "clob",
        "expired": False,
        "expirationTimestamp": 1_778_493_600_000,
        "tokens": {"yes": YES_TOKEN, "no": NO_TOKEN},
        "prices": [0.4, 0.6],
        "winningOutcomeIndex": None,
        **changes,
    }


def book(
    bids: list[tuple[float, int]], asks: list[tuple[float, int]], last: float | None = None
) -> dict[str, Any]:
    """An order book quoted for YES."""
    return {
        "bids": [{"price": price, "size": size, "side": "BUY"} for price, size in bids],
        "asks": [{"price": price, "size": size, "side": "SELL"} for price, size in asks],
        "tokenId": YES_TOKEN,
        "adjustedMidpoint": 0.5,
        "maxSpread": "0.035",
        "minSize": "100000000",
        "lastTradePrice": last,
    }


def loaded(name: str) -> Any:
    """A documented answer as Python values."""
    return json.loads(sample(name))
