"""Runs every read method of the official o2-sdk against one server and prints what they return.

usage: python o2_conformance.py BASE_URL TRADE_ACCOUNT_ID OWNER_ID (rest|streams)

Prints one JSON object: ``{call: {"ok": value} | {"error": text}}``. Imports nothing of this project.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from o2_sdk import NetworkConfig, O2Client
from o2_sdk.errors import O2Error
from o2_sdk.models import DepthBook

STREAM_TIMEOUT_S = 30.0
FAILURES = (O2Error, aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError, AttributeError)
PAIR = "FUEL/USDC"


def plain(value: Any) -> Any:
    """The value in JSON's terms."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return value if isinstance(value, (int, float, bool, type(None))) else repr(value)


class Recorder:
    """Collects the outcome of each call."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Any] = {}

    async def call(self, name: str, made: Callable[[], Awaitable[Any]]) -> Any:
        """Await the call and note its value, or its error."""
        try:
            value = await asyncio.wait_for(made(), STREAM_TIMEOUT_S)
        except FAILURES as error:
            self.outcomes[name] = {"error": f"{type(error).__name__}: {error}"}
            return None
        self.outcomes[name] = {"ok": plain(value)}
        return value


def network(base: str) -> NetworkConfig:
    return NetworkConfig(
        api_base=base,
        ws_url=base.replace("http", "ws", 1) + "/v1/ws",
        fuel_rpc=base + "/gql",
        faucet_url=None,
        whitelist_required=False,
    )


async def rest(base: str, account: str, owner: str) -> dict[str, Any]:
    recorder = Recorder()
    client = O2Client(custom_config=network(base))
    try:
        await low_level(recorder, client, account, owner)
        await high_level(recorder, client, account)
        await known_faults(recorder, client, base, account)
    finally:
        await client.close()
    return recorder.outcomes


async def low_level(recorder: Recorder, client: O2Client, account: str, owner: str) -> None:
    api, call = client.api, recorder.call
    markets = await call("api.get_markets", api.get_markets)
    market = next(item for item in markets.markets if item.pair == PAIR)
    mid, asset = market.market_id, market.base.asset
    await call("api.get_market_summary", lambda: api.get_market_summary(mid))
    ticker = await call("api.get_market_ticker", lambda: api.get_market_ticker(mid))
    await call("api.get_depth", lambda: api.get_depth(mid, precision=100, limit=3))
    await call("api.get_trades", lambda: api.get_trades(mid, count=20))
    await call("api.get_trades.asc", lambda: api.get_trades(mid, direction="asc", count=20))
    await call("api.get_trades_by_account", lambda: api.get_trades_by_account(mid, account))
    end = int(ticker.data["timestamp"])
    await call("api.get_bars", lambda: api.get_bars(mid, end - 6 * 3_600_000, end, "1h"))
    await call("api.get_account", lambda: api.get_account(trade_account_id=account))
    await call("api.get_account.owner", lambda: api.get_account(owner=owner))
    await call("api.get_account.unknown", lambda: api.get_account(owner="0x" + "12" * 32))
    await call("api.get_account_window", lambda: api.get_account_window(account, 1))
    await call("api.get_balance", lambda: api.get_balance(asset, contract=account))
    await call("api.get_balance.address", lambda: api.get_balance(asset, address=owner))
    orders = await call("api.get_orders", lambda: api.get_orders(mid, contract=account, count=30))
    await call("api.get_orders.open", lambda: api.get_orders(mid, contract=account, is_open=True))
    await call("api.get_order", lambda: api.get_order(mid, orders.orders[0].order_id))
    await call("api.get_referral_info", lambda: api.get_referral_info("NOPE"))
    await call("api.get_aggregated_assets", api.get_aggregated_assets)
    await call("api.get_aggregated_orderbook", lambda: api.get_aggregated_orderbook("FUEL_USDC", 10))
    await call("api.get_aggregated_summary", api.get_aggregated_summary)
    await call("api.get_aggregated_ticker", api.get_aggregated_ticker)
    await call("api.get_aggregated_trades", lambda: api.get_aggregated_trades("FUEL_USDC"))
    await call("api.get_depth.unknown_market", lambda: api.get_depth("0x" + "99" * 32))


async def high_level(recorder: Recorder, client: O2Client, account: str) -> None:
    call = recorder.call
    await call("get_markets", client.get_markets)
    market = await call("get_market", lambda: client.get_market(PAIR))
    await call("get_ticker", lambda: client.get_ticker(PAIR))
    await call("get_depth", lambda: client.get_depth(market, precision=2, limit=3))
    trades = await call("get_trades.account", lambda: client.get_trades(PAIR, account=account, count=10))
    last = trades[-1]
    await call(
        "get_trades.account.page",
        lambda: client.get_trades(
            PAIR,
            account=account,
            count=10,
            start_timestamp=last.timestamp,
            start_trade_id=last.trade_id,
        ),
    )
    await call("get_trades", lambda: client.get_trades(PAIR, count=5))
    end = trades[0].timestamp
    await call("get_bars", lambda: client.get_bars(PAIR, "15m", end - 3_600_000, end))
    await call("get_balances", lambda: client.get_balances(account))
    orders = await call("get_orders", lambda: client.get_orders(PAIR, account, count=25))
    oldest = orders[-1]
    await call(
        "get_orders.page",
        lambda: client.get_orders(
            PAIR,
            account,
            count=25,
            start_timestamp=int(oldest.timestamp),
            start_order_id=oldest.order_id,
        ),
    )
    await call("get_order", lambda: client.get_order(PAIR, oldest.order_id))
    await call("get_nonce", lambda: client.get_nonce(account))


async def known_faults(recorder: Recorder, client: O2Client, base: str, account: str) -> None:
    """Weaknesses of the SDK that users meet, shown with the server failing on purpose."""
    async with aiohttp.ClientSession() as session:
        for path in ("/v1/balance", "/v1/markets"):
            fault = {"kind": "500", "path": path, "count": -1}
            async with session.post(base + "/_sandbox/faults", json=fault) as answer:
                assert answer.status == 200
        await recorder.call("get_balances.failing", lambda: client.get_balances(account))
        await recorder.call("get_markets.failing", client.get_markets)
        await session.delete(base + "/_sandbox/faults")


async def streams(base: str, account: str) -> dict[str, Any]:
    recorder = Recorder()
    client = O2Client(custom_config=network(base))

    async def take(stream: Any, count: int) -> list[Any]:
        found: list[Any] = []
        async for item in stream:
            found.append(item)
            if len(found) == count:
                break
        return found

    async def book() -> Any:
        """A local book kept from the depth stream, after a few changes."""
        kept, seen = DepthBook(), 0
        async for update in client.stream_depth(PAIR, 1):
            kept.apply(update)
            seen += 1
            if seen == 4:
                break
        return {"bids": len(kept.bids), "asks": len(kept.asks), "crossed": kept.best_bid >= kept.best_ask}

    try:
        await recorder.call("stream_depth", book)
        await recorder.call("stream_trades", lambda: take(client.stream_trades(PAIR), 2))
        await recorder.call("stream_orders", lambda: take(client.stream_orders(account), 2))
        await recorder.call("stream_balances", lambda: take(client.stream_balances(account), 6))
        await recorder.call("stream_nonce", lambda: take(client.stream_nonce(account), 2))
    finally:
        await client.close()
    return recorder.outcomes


def main(base: str, account: str, owner: str, what: str) -> None:
    made = streams(base, account) if what == "streams" else rest(base, account, owner)
    print(json.dumps(asyncio.run(made)))


if __name__ == "__main__":
    main(*sys.argv[1:5])
