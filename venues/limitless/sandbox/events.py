"""What the stream says about an account's orders: frames of the book, of settlement, of transactions."""

from __future__ import annotations

from typing import Any

from venues.limitless.sandbox.accounts import Account, Order
from venues.limitless.sandbox.book import usd_of
from venues.limitless.sandbox.markets import MILLI
from venues.limitless.signing import iso_ms

SIDES = ("YES", "NO")


def book_event(account: Account, order: Order, at_ms: int, kind: str) -> dict[str, Any]:
    """PLACEMENT, UPDATE or CANCELLATION of a resting order; the engine numbers it."""
    return {
        "source": "OME",
        "type": kind,
        "orderId": order.id,
        **_order(account, order, at_ms),
        "price": (order.price or 0) / MILLI,
        "remainingSize": order.remaining,
    }


def terminal(account: Account, order: Order, at_ms: int, price: int) -> dict[str, Any]:
    """The end of an order that never rests."""
    return {
        "source": "OME",
        "type": "EXECUTION",
        "status": "PARTIALLY_FILLED" if order.remaining else "FILLED",
        "eventId": f"terminal:{order.id}",
        "orderId": order.id,
        **_order(account, order, at_ms),
        "price": price / MILLI,
        "remainingSize": order.remaining,
    }


def settled(account: Account, order: Order, at_ms: int, price: int, kind: str) -> dict[str, Any]:
    """MATCHED (an estimate), MINED or FAILED."""
    frame: dict[str, Any] = {
        "source": "SETTLEMENT",
        "type": kind,
        "eventId": f"{order.trade_event_id}:{kind}",
        "tradeEventId": order.trade_event_id,
        "orderId": order.id,
        "takerOrderId": order.id,
        "takerAccount": account.wallet,
        "marketSlug": order.market.slug,
        "token": SIDES[order.outcome],
        "tokenId": order.market.tokens[order.outcome],
        "side": "BUY" if order.is_buy else "SELL",
        "price": f"{price / MILLI:g}",
        "amountContracts": str(order.gross),
        "amountCollateral": str(order.usd),
        "feeAmountContracts": str(order.fee_shares),
        "feeAmountCollateral": str(order.fee_usd),
        "configuredFeeRateBps": order.fee_rate_bps,
        "effectiveFeeBps": order.effective_bps,
        "makerMatches": [
            {
                "account": match.account,
                "matchedSize": str(match.shares),
                "orderId": match.order_id,
                "price": f"{match.price / MILLI:g}",
            }
            for match in order.matches
        ],
        "timestamp": iso_ms(at_ms),
    }
    if kind == "MATCHED":
        frame["isEstimate"] = True
    if order.tx_hash is not None:
        frame["txHash"] = order.tx_hash
    return frame


def transaction(account: Account, order: Order, at_ms: int, price: int) -> dict[str, Any]:
    """A confirmed transaction: what arrived."""
    return {
        "userId": account.profile_id,
        "txHash": order.tx_hash,
        "status": "CONFIRMED",
        "source": "CLOB",
        "timestamp": iso_ms(at_ms),
        "marketSlug": order.market.slug,
        "tokenId": order.market.tokens[order.outcome],
        "conditionId": order.market.condition_id,
        "amountContracts": str(order.gross - order.fee_shares),
        "amountCollateral": str(usd_of(order.gross, price, up=order.is_buy)),
        "price": f"{price / MILLI:g}",
        "side": "BUY" if order.is_buy else "SELL",
    }


def _order(account: Account, order: Order, at_ms: int) -> dict[str, Any]:
    return {
        "marketId": str(order.market.id),
        "token": order.market.tokens[order.outcome],
        "side": "BUY" if order.is_buy else "SELL",
        "timestamp": iso_ms(at_ms),
        "userId": account.profile_id,
    }
