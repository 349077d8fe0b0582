"""An account's orders: per market, and by id with execution, settlement and fees."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from venues.limitless.sandbox.accounts import Account, Match, Order
from venues.limitless.sandbox.book import usd_of
from venues.limitless.sandbox.desk import Desk, answer, human, refusal, whole
from venues.limitless.sandbox.markets import MILLI, hex_of
from venues.limitless.signing import iso_ms

STATUSES: Final = frozenset({"LIVE", "MATCHED"})
MAX_ITEMS: Final = 50
ZERO_ADDRESS: Final = "0x" + "00" * 20
SIGNATURE_BYTES: Final = 64


def routes(desk: Desk) -> list[web.RouteDef]:
    """The handlers of this module."""
    handlers = Orders(desk)
    return [
        web.get("/markets/{market}/user-orders", handlers.user_orders),
        web.get("/markets/{market}/locked-balance", handlers.locked),
        web.post("/orders/status/batch", handlers.statuses),
    ]


class Orders:
    """Handlers; each is named after its route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def user_orders(self, request: web.Request) -> web.Response:
        """A bare list, newest first; cancelled orders are not in it."""
        account, market = await self._desk.account(request), self._desk.market(request, clob=True)
        wanted = set(request.query.getall("statuses", ["LIVE"]))
        if not wanted <= STATUSES:
            raise refusal(400, [{"property": "statuses", "constraints": "LIVE or MATCHED"}])
        limit = whole(request, "limit", 1000, 1, 1000)
        orders = [o for o in reversed(account.orders_of.get(market.slug, [])) if o.status in wanted]
        return answer([_listed(account, order) for order in orders[:limit]])

    async def locked(self, request: web.Request) -> web.Response:
        account, market = await self._desk.account(request), self._desk.market(request, clob=True)
        live = account.live_orders(market.slug)
        locked = sum(order.reserved for order in live if order.is_buy)
        return answer(
            {
                "lockedBalance": str(locked),
                "lockedBalanceFormatted": human(locked),
                "currency": "USDC",
                "orderCount": len(live),
            }
        )

    async def statuses(self, request: web.Request) -> web.Response:
        account = await self._desk.account(request)
        try:
            items = json.loads(await request.read())["items"]
        except (ValueError, TypeError, KeyError):
            raise refusal(400, "items should be an array") from None
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
            raise refusal(400, [{"property": "items", "constraints": f"1 to {MAX_ITEMS} items"}])
        return answer({"results": [self._status(account, n, item) for n, item in enumerate(items)]})

    def _status(self, account: Account, index: int, item: Any) -> dict[str, Any]:
        if not isinstance(item, dict) or ("orderId" in item) == ("clientOrderId" in item):
            raise refusal(400, [{"property": f"items.{index}", "constraints": "orderId or clientOrderId"}])
        order = account.orders.get(str(item.get("orderId")))
        if order is None:
            return {"index": index, "status": "not_found", "error": "Order not found", **item}
        data = order_data(self._desk.engine.seed, account, order)
        return {"index": index, "status": "found", "orderId": order.id, "data": data}


def order_data(seed: int, account: Account, order: Order) -> dict[str, Any]:
    """An order with its counterparties and its execution."""
    return {
        "order": _order(seed, account, order),
        "makerMatches": [_match(order, match) for match in order.matches],
        "execution": _execution(order),
    }


def _listed(account: Account, order: Order) -> dict[str, Any]:
    return {
        "createdAt": iso_ms(order.created_ms),
        "id": order.id,
        "ownerId": account.profile_id,
        "marketId": str(order.market.id),
        "token": order.market.tokens[order.outcome],
        "type": order.kind,
        "status": order.status,
        "side": "BUY" if order.is_buy else "SELL",
        "makerAmount": str(order.maker_amount),
        "takerAmount": str(order.taker_amount),
        "price": _price(order.price),
        "originalSize": str(order.size),
        "remainingSize": str(order.remaining),
    }


def _price(price: int | None) -> str | None:
    return None if price is None else f"{price / MILLI:g}"


def _order(seed: int, account: Account, order: Order) -> dict[str, Any]:
    market = order.market
    return {
        "id": order.id,
        "createdAt": iso_ms(order.created_ms),
        "makerAmount": str(order.maker_amount),
        "takerAmount": str(order.taker_amount),
        "expiration": None,
        "signatureType": 2 if account.smart_wallet else 0,
        "salt": str(order.created_ms),
        "maker": account.wallet,
        "signer": account.address,
        "taker": ZERO_ADDRESS,
        "tokenId": market.tokens[order.outcome],
        "side": 0 if order.is_buy else 1,
        "feeRateBps": order.fee_rate_bps,
        "nonce": "0",
        "signature": hex_of(SIGNATURE_BYTES, seed, order.id, "signature") + "1b",
        "orderType": order.kind,
        "price": _price(order.price),
        "marketId": market.id,
        "ownerId": account.profile_id,
        "market": {
            "id": market.id,
            "slug": market.slug,
            "title": market.title,
            "yesPositionId": market.yes_token,
            "noPositionId": market.no_token,
            "group": {"slug": market.group} if market.group else None,
        },
    }


def _match(order: Order, match: Match) -> dict[str, Any]:
    return {
        "id": match.id,
        "createdAt": None,
        "matchedSize": str(match.shares),
        "orderId": match.order_id,
        "fillPrice": _price(match.price),
        "fillCost": str(usd_of(match.shares, match.price, up=False)),
        "order": {
            "id": match.order_id,
            "tokenId": order.market.tokens[match.outcome],
            "side": 0 if match.is_buy else 1,
            "price": _price(match.price),
            "owner": {"account": match.account},
        },
    }


def _execution(order: Order) -> dict[str, Any]:
    """A taker's trade, or what a resting order has come to so far."""
    shape: dict[str, Any] = {
        "matched": order.gross > 0,
        "settlementStatus": order.settlement,
        "feeRateBps": order.fee_rate_bps,
        "effectiveFeeBps": order.effective_bps,
        "totalsRaw": {
            "contractsGross": str(order.gross),
            "contractsFee": str(order.fee_shares),
            "contractsNet": str(order.gross - order.fee_shares),
            "usdGross": str(order.usd),
            "usdFee": str(order.fee_usd),
            "usdNet": str(order.usd + order.fee_usd if order.is_buy else order.usd - order.fee_usd),
        },
    }
    if order.trade_event_id is not None:
        shape["tradeEventId"] = order.trade_event_id
    if order.tx_hash is not None:
        shape["txHash"] = order.tx_hash
    if order.settlement == "DELAYED" and order.eligible_ms is not None:
        shape["eligibleAt"] = iso_ms(order.eligible_ms)
    return shape
