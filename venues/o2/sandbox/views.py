"""The exchange's facts in the venue's JSON, quirks included.

Rule 1: amounts are decimal strings of chain integers; aggregated routes use human numbers instead.
Rule 2: trade times are milliseconds as numbers, order times seconds as strings.
Rule 3: an id may come without ``0x`` (``market_id`` inside an order does), as at the venue.
"""

from __future__ import annotations

from typing import Any, Final

from venues.o2.sandbox.engine import BUY, TRADE_EPOCH_MS, Account, Exchange, Order, Trade
from venues.o2.sandbox.listing import MARKETS, PPM, Listed, Token, identifier
from venues.world import HOUR_MS, draw

Json = dict[str, Any]

CHAIN_ID: Final = "0x26a1"
CROWD_MS: Final = 20_000  # strangers trade with the market maker this often


def side_name(side: int) -> str:
    return "Buy" if side == BUY else "Sell"


def markets() -> Json:
    """GET /v1/markets."""
    return {
        "books_registry_id": identifier("o2-sandbox", "books-registry"),
        "accounts_registry_id": identifier("o2-sandbox", "accounts-registry"),
        "trade_account_oracle_id": identifier("o2-sandbox", "trade-account-oracle"),
        "fast_bridge_asset_registry_contract_id": identifier("o2-sandbox", "fast-bridge"),
        "chain_id": CHAIN_ID,
        "base_asset_id": MARKETS[1].base.asset,
        "markets": [_market(market) for market in MARKETS],
    }


def _market(market: Listed) -> Json:
    return {
        "contract_id": market.contract,
        "market_id": market.id,
        "maker_fee": str(market.maker_fee),
        "taker_fee": str(market.taker_fee),
        "min_order": str(market.min_order),
        "dust": str(market.dust),
        "price_window": 0,
        "base": _token(market.base),
        "quote": _token(market.quote),
    }


def _token(token: Token) -> Json:
    return {
        "symbol": token.symbol,
        "asset": token.asset,
        "decimals": token.decimals,
        "max_precision": token.max_precision,
    }


def account(found: Account | None) -> Json:
    """GET /v1/accounts: an unknown owner is answered with nulls."""
    if found is None:
        return {"trade_account_id": None, "trade_account": None, "session": None}
    return {
        "trade_account_id": found.id,
        "trade_account": {
            "last_modification": found.modified_ms // 1000,
            "nonce": str(found.nonce),
            "owner": {"Address": found.owner},
            "synced_with_network": True,
            "sync_state": {"V3": {}},
        },
        "session": None,
    }


def balance(found: Account | None, asset: str) -> Json:
    """GET /v1/balance: ``total_unlocked`` includes the trade account's own balance."""
    books = {} if found is None else {book: b for (book, held), b in found.books.items() if held == asset}
    return {
        "order_books": {
            book: {"locked": str(b.locked), "unlocked": str(b.unlocked), "fee": str(b.fee)}
            for book, b in books.items()
        },
        "total_locked": str(0 if found is None else found.locked(asset)),
        "total_unlocked": str(0 if found is None else found.unlocked(asset)),
        "trading_account_balance": str(0 if found is None else found.own.get(asset, 0)),
    }


def order(item: Order) -> Json:
    """One order as every order route shows it."""
    if item.side == BUY:
        rest = {"desired_base_quantity": {"Quantity": item.rest}}
        desired: Json = {"Quote": {**rest, "remaining_quote_token": item.market.total(item.price, item.rest)}}
    else:
        desired = {"Base": {"remaining_quantity": item.rest}}
    return {
        "order_id": item.id,
        "side": side_name(item.side),
        "order_type": item.kind,
        "quantity": str(item.quantity),
        "quantity_fill": str(item.filled),
        "price": str(item.price),
        "price_fill": str(item.filled_value // item.filled if item.filled else 0),
        "timestamp": str(item.created_ms // 1000),
        "close": item.closed,
        "partially_filled": 0 < item.filled < item.quantity,
        "cancel": item.cancelled,
        "desired_quantity": desired,
        "base_decimals": item.market.base.decimals,
        "account": {"ContractId": item.account.id},
        "owner": {"Address": item.account.owner},
        "market_id": item.market.id.removeprefix("0x"),
    }


def trade(item: Trade, viewer: Account | None = None) -> Json:
    """One trade; with a viewer also the part it played."""
    shown: Json = {
        "trade_id": str(item.number),
        "side": side_name(item.maker_side),
        "total": str(item.total),
        "quantity": str(item.quantity),
        "price": str(item.price),
        "timestamp": item.at_ms,
        "market_id": item.market.id,
    }
    for role, party in (("maker", item.maker), ("taker", item.taker)):
        shown[role] = {"ContractId": party.id if party else identifier("o2-sandbox", "crowd", role)}
    if viewer is not None:
        as_maker, as_taker = item.maker is viewer, item.taker is viewer
        shown["trader_side"] = "both" if as_maker and as_taker else "maker" if as_maker else "taker"
    return shown


def crowd_trade(seed: int, market: Listed, index: int) -> Trade:
    """The index-th trade between strangers and the market maker; ``index`` counts from 1970."""
    at_ms = index * CROWD_MS
    side = 1 if draw(seed, market.pair, "crowd", index) < 0.5 else -1
    price = market.best(seed, at_ms, side)
    value = 20 + int(300 * draw(seed, market.pair, "crowd-value", index))
    quantity = market.quantity(value, price)
    number = (at_ms - TRADE_EPOCH_MS) * 1000
    return Trade(number, market, at_ms, price, quantity, market.total(price, quantity), side, None, None)


def depth(exchange: Exchange, market: Listed, at_ms: int, precision: int) -> Json:
    """Both sides, levels rounded to ``precision`` away from the middle and added up."""
    return {
        "buys": _side(exchange, market, at_ms, precision, 1),
        "sells": _side(exchange, market, at_ms, precision, -1),
    }


def _side(exchange: Exchange, market: Listed, at_ms: int, precision: int, sign: int) -> list[Json]:
    levels: dict[int, int] = {}
    rows = [
        *market.levels(exchange.seed, at_ms, sign),
        *((item.price, item.rest) for item in exchange.resting.get(market.id, ()) if item.side == sign),
    ]
    for price, quantity in rows:
        at = price // precision * precision if sign == 1 else -(-price // precision) * precision
        levels[at] = levels.get(at, 0) + quantity
    return [
        {"price": str(price), "quantity": str(levels[price])} for price in sorted(levels, reverse=sign == 1)
    ]


def day(exchange: Exchange, market: Listed, at_ms: int) -> dict[str, int]:
    """The last 24 hours in chain integers: open, high, low, last, base and quote volume."""
    points = [market.middle(exchange.seed, at_ms - step * HOUR_MS) for step in range(25)]
    base = sum(_hour_volume(exchange.seed, market, at_ms // HOUR_MS - step) for step in range(24))
    return {
        "open": points[-1],
        "high": max(points),
        "low": min(points),
        "last": points[0],
        "base_volume": base,
        "quote_volume": market.total(points[0], base),
    }


def _hour_volume(seed: int, market: Listed, hour: int) -> int:
    value = market.level_value * (20 + int(80 * draw(seed, market.pair, "volume", hour)))
    return market.quantity(value, market.middle(seed, hour * HOUR_MS))


def ticker(exchange: Exchange, market: Listed, at_ms: int) -> Json:
    """Both vocabularies in one row: chain integers, and the human names beside them."""
    facts = day(exchange, market, at_ms)
    sides = depth(exchange, market, at_ms, market.tick)
    bid, ask = sides["buys"][0], sides["sells"][0]
    change = facts["last"] - facts["open"]
    return {
        "market_id": market.id,
        "high": str(facts["high"]),
        "low": str(facts["low"]),
        "open": str(facts["open"]),
        "close": str(facts["last"]),
        "last": str(facts["last"]),
        "previous_close": str(facts["open"]),
        "bid": bid["price"],
        "bid_volume": bid["quantity"],
        "ask": ask["price"],
        "ask_volume": ask["quantity"],
        "change": str(change),
        "percentage": round(100 * change / facts["open"], 4),
        "average": str((facts["last"] + facts["open"]) // 2),
        "timestamp": at_ms,
        "last_price": human(facts["last"], market.quote),
        "best_bid": human(int(bid["price"]), market.quote),
        "best_ask": human(int(ask["price"]), market.quote),
        "base_volume": human(facts["base_volume"], market.base),
        "quote_volume": human(facts["quote_volume"], market.quote),
    }


def summary(exchange: Exchange, market: Listed, at_ms: int) -> Json:
    """GET /v1/markets/summary as one object with both sets of names."""
    facts = day(exchange, market, at_ms)
    change = round(100 * (facts["last"] - facts["open"]) / facts["open"], 4)
    return {
        "market_id": market.id,
        "high_price": str(facts["high"]),
        "low_price": str(facts["low"]),
        "last_price": str(facts["last"]),
        "volume_24h": str(facts["base_volume"]),
        "change_24h": change,
        "price": str(facts["last"]),
        "price_change_percent_24h": str(change),
        "highest_price_24h": str(facts["high"]),
        "lowest_price_24h": str(facts["low"]),
        "base_volume": str(facts["base_volume"]),
        "quote_volume": str(facts["quote_volume"]),
    }


def bar(exchange: Exchange, market: Listed, start_ms: int, length_ms: int) -> Json:
    """One candle with both sets of names; ``time`` and ``timestamp`` are ms."""
    seed = exchange.seed
    points = [market.middle(seed, start_ms + length_ms * step // 4) for step in range(5)]
    hours = max(1, -(-length_ms // HOUR_MS))
    volume = _hour_volume(seed, market, start_ms // HOUR_MS) * hours * length_ms // (hours * HOUR_MS)
    bought = int(volume * draw(seed, market.pair, "bought", start_ms))
    return {
        "open": str(points[0]),
        "high": str(max(points)),
        "low": str(min(points)),
        "close": str(points[-1]),
        "buy_volume": str(bought),
        "sell_volume": str(volume - bought),
        "volume": str(volume),
        "timestamp": start_ms,
        "time": start_ms,
    }


def pair(market: Listed) -> str:
    """The aggregated routes' name of a market."""
    return f"{market.base.symbol}_{market.quote.symbol}"


def aggregated_assets() -> Json:
    """Symbol → facts, in human units."""
    tokens = {token.symbol: token for market in MARKETS for token in (market.base, market.quote)}
    return {
        symbol: {
            "name": symbol,
            "unified_cryptoasset_id": None,
            "can_withdraw": True,
            "can_deposit": True,
            "min_withdraw": human(1, token),
            "min_deposit": human(1, token),
            "maker_fee": 0.0,
            "taker_fee": 100 / PPM,
        }
        for symbol, token in tokens.items()
    }


def aggregated_orderbook(exchange: Exchange, market: Listed, at_ms: int, limit: int) -> Json:
    sides = depth(exchange, market, at_ms, market.tick)
    rows = {
        name: [
            [human(int(row["price"]), market.quote), human(int(row["quantity"]), market.base)] for row in side
        ]
        for name, side in (("bids", sides["buys"]), ("asks", sides["sells"]))
    }
    return {"timestamp": at_ms, **{name: side[: limit or None] for name, side in rows.items()}}


def aggregated_summary(exchange: Exchange, market: Listed, at_ms: int) -> Json:
    facts, row = day(exchange, market, at_ms), ticker(exchange, market, at_ms)
    return {
        "trading_pairs": pair(market),
        "base_currency": market.base.symbol,
        "quote_currency": market.quote.symbol,
        "last_price": row["last_price"],
        "lowest_ask": row["best_ask"],
        "highest_bid": row["best_bid"],
        "base_volume": row["base_volume"],
        "quote_volume": row["quote_volume"],
        "price_change_percent_24h": row["percentage"],
        "highest_price_24h": human(facts["high"], market.quote),
        "lowest_price_24h": human(facts["low"], market.quote),
    }


def aggregated_trade(item: Trade) -> Json:
    return {
        "trade_id": item.number,
        "price": human(item.price, item.market.quote),
        "base_volume": human(item.quantity, item.market.base),
        "quote_volume": human(item.total, item.market.quote),
        "timestamp": item.at_ms,
        "type": side_name(-item.maker_side).lower(),
    }


def human(chain: int, token: Token) -> float:
    """A float in whole units, as the aggregated routes print amounts."""
    return round(float(chain) / float(10**token.decimals), token.decimals)
