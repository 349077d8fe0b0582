"""What everybody sees: contracts, prices, the system."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from venues.ithaca.exchange import views
from venues.ithaca.exchange.ledger import Account
from venues.ithaca.exchange.market import PAIR_BY_NAME, PAIRS, Listing, Market, expiry_ms_of, quote_time

CHAIN_ID: Final = 421614
TOKEN_DECIMALS: Final = {"WETH": 18, "WBTC": 8, "USDC": 6}
PRECISION: Final = {"WETH": 7, "WBTC": 7, "USDC": 4}


def token_address(name: str) -> str:
    """A made-up but stable contract address."""
    return "0x" + hashlib.blake2b(name.encode(), digest_size=20).hexdigest()


FUND_LOCK_ADDRESS: Final = token_address("fundlock")
TOKENS: Final = {name: token_address(name) for name in TOKEN_DECIMALS}


def system_info() -> dict[str, Any]:
    """Addresses, decimals and the precision the venue keeps."""
    return {
        "chainId": CHAIN_ID,
        "fundlockAddress": FUND_LOCK_ADDRESS,
        "tokenManagerAddress": token_address("token manager"),
        "tokenAddress": TOKENS,
        "tokenDecimals": TOKEN_DECIMALS,
        "currencyPrecision": PRECISION,
        "networks": [],
    }


def contracts(listed: Iterable[Listing | None], now_ms: int) -> list[dict[str, Any]]:
    """Contracts as the venue describes them; unknown ones are left out."""
    return [one.wire(now_ms) for one in listed if one is not None]


def historical_contracts(market: Market, expiry: int, now_ms: int) -> list[dict[str, Any]]:
    """The contracts of a past expiry, none for one that is not past."""
    at_ms = expiry_ms_of(expiry)
    if at_ms is None or at_ms > now_ms:
        return []
    return contracts(market.contracts_of(at_ms), now_ms)


def spot_prices(market: Market, now_ms: int) -> dict[str, float]:
    """The underlyings' prices now."""
    return {pair.name: float(market.spot(pair, now_ms)) for pair in PAIRS}


def reference_prices(market: Market, pair: str, expiry: int, now_ms: int) -> list[dict[str, Any]]:
    """The venue's own valuation of the contracts of a pair; ``expiry`` 0 means all."""
    at_ms = quote_time(now_ms)
    stamp = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        _reference(market, one, at_ms, stamp)
        for one in _of_pair(market, pair, now_ms)
        if expiry in (0, one.expiry) and not _is_unvalued(one)
    ]


def best_bid_ask(market: Market, now_ms: int) -> dict[str, dict[str, Any]]:
    """Best prices per unit, estimated where the house does not quote."""
    found: dict[str, dict[str, Any]] = {}
    for one in market.contracts(now_ms):
        quote = market.quote(one, quote_time(now_ms))
        kind = "PRICER_ESTIMATION" if _is_one_sided(one) or _is_unvalued(one) else "PRECISE"
        found[str(one.id)] = {
            "bestAsk": float(quote.ask),
            "bestAskType": kind,
            "bestBid": None if quote.bid is None else float(quote.bid),
            "bestBidType": kind,
        }
    return found


def best_bid_ask_precise(market: Market, now_ms: int) -> dict[str, dict[str, Any]]:
    """Best prices per unit where there are real orders; a side may be missing."""
    found: dict[str, dict[str, Any]] = {}
    for one in market.contracts(now_ms):
        if _is_unvalued(one):
            continue
        quote = market.quote(one, quote_time(now_ms))
        row: dict[str, Any] = {"bestAsk": float(quote.ask), "askVolume": float(one.pair.size)}
        if quote.bid is not None and not _is_one_sided(one):
            row |= {"bestBid": float(quote.bid), "bidVolume": float(one.pair.size)}
        found[str(one.id)] = row
    return found


def order_book(accounts: Iterable[Account], now_ms: int) -> list[dict[str, Any]]:
    """The open orders of all clients."""
    return [row for account in accounts for row in views.orders(account, account.live.values(), now_ms)]


def _of_pair(market: Market, pair: str, now_ms: int) -> list[Listing]:
    return [one for one in market.contracts(now_ms) if one.pair is PAIR_BY_NAME.get(pair)]


def _reference(market: Market, one: Listing, at_ms: int, stamp: str) -> dict[str, Any]:
    quote = market.quote(one, at_ms)
    return {
        "contractId": one.id,
        "referencePrice": float(quote.mid),
        "lowRange": float(round(quote.mid * 9 / 10, 4)),
        "highRange": float(round(quote.mid * 11 / 10, 4)),
        "lastPrice": float(quote.ask),
        "updatedAt": stamp,
    }


def _is_one_sided(one: Listing) -> bool:
    """Some contracts have only sellers, so that a reader needs the reference price."""
    return one.id % 7 == 3


def _is_unvalued(one: Listing) -> bool:
    """A few have neither quotes nor a reference price, so that a reader needs the calculation server."""
    return one.strike is not None and one.id % 11 == 5
