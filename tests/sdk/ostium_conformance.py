"""Runs every read method of the official ostium-python-sdk against one server and prints what they return.

usage: python ostium_conformance.py BASE_URL KEY_FILE CONTRACTS_JSON

CONTRACTS_JSON holds the addresses ``{"usdc", "trading", "tradingStorage"}``. Prints one JSON object:
``{call: {"ok": value} | {"error": text}}``. Imports nothing of this project.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from ostium_python_sdk import NetworkConfig, OstiumSDK

FAILURES = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RuntimeError)
HISTORY = 40


def plain(value: Any) -> Any:
    """The value in JSON's terms; decimals as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


class Recorder:
    """Collects the outcome of each call."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Any] = {}

    async def call(self, name: str, made: Callable[[], Any]) -> Any:
        """Make the call (await it where it has to be) and note its value, or its error."""
        try:
            value = made()
            if inspect.isawaitable(value):
                value = await asyncio.wait_for(value, 60)
        except FAILURES as error:
            self.outcomes[name] = {"error": f"{type(error).__name__}: {error}"}
            return None
        self.outcomes[name] = {"ok": plain(value)}
        return value


class NoSubgraph:
    """A subgraph that has not indexed anything yet."""

    async def get_order_by_id(self, _order_id: str) -> None:
        return None


async def read_subgraph(record: Recorder, sdk: OstiumSDK, trader: str) -> None:
    graph = sdk.subgraph
    await record.call("subgraph.get_pairs", graph.get_pairs)
    await record.call("subgraph.get_pair_details", lambda: graph.get_pair_details(0))
    await record.call("subgraph.get_liq_margin_threshold_p", graph.get_liq_margin_threshold_p)
    trades = await record.call("subgraph.get_open_trades", lambda: graph.get_open_trades(trader))
    await record.call("subgraph.get_orders", lambda: graph.get_orders(trader))
    history = await record.call(
        "subgraph.get_recent_history", lambda: graph.get_recent_history(trader, HISTORY)
    )
    await record.call("subgraph.get_recent_history.default", lambda: graph.get_recent_history(trader))
    await record.call("subgraph.get_order_by_id", lambda: graph.get_order_by_id(history[0]["id"]))
    await record.call("subgraph.get_order_by_id.unknown", lambda: graph.get_order_by_id("0"))
    await record.call("subgraph.get_trade_by_id", lambda: graph.get_trade_by_id(trades[0]["tradeID"]))
    await record.call("subgraph.get_trade_by_id.unknown", lambda: graph.get_trade_by_id("0"))


async def read_prices(record: Recorder, sdk: OstiumSDK) -> None:
    await record.call("price.get_latest_prices", sdk.price.get_latest_prices)
    await record.call("price.get_latest_price_json", lambda: sdk.price.get_latest_price_json("BTC", "USD"))
    await record.call(
        "price.get_latest_price_json.unknown", lambda: sdk.price.get_latest_price_json("NO", "PE")
    )
    await record.call("price.get_price", lambda: sdk.price.get_price("SPX", "USD"))


async def read_chain(record: Recorder, sdk: OstiumSDK) -> None:
    address = await record.call("ostium.get_public_address", sdk.ostium.get_public_address)
    await record.call("ostium.get_block_number", sdk.ostium.get_block_number)
    await record.call("ostium.get_nonce", lambda: sdk.ostium.get_nonce(address))
    await record.call("balance.get_balance", lambda: sdk.balance.get_balance(address))
    await record.call("balance.get_usdc_balance", lambda: sdk.balance.get_usdc_balance(address))
    await record.call("balance.get_ether_balance", lambda: sdk.balance.get_ether_balance(address))
    await record.call("faucet.can_request_tokens", lambda: sdk.faucet.can_request_tokens(address))
    await record.call("faucet.get_token_amount", sdk.faucet.get_token_amount)
    await record.call("faucet.get_next_request_time", lambda: sdk.faucet.get_next_request_time(address))


async def read_metrics(record: Recorder, sdk: OstiumSDK, trader: str) -> None:
    await record.call("get_open_trades", sdk.get_open_trades)
    trades, _ = await sdk.get_open_trades(trader)
    for trade in trades:
        slot = int(trade["pair"]["id"]), int(trade["index"])
        await record.call(
            f"get_open_trade_metrics.{trade['tradeID']}", lambda s=slot: sdk.get_open_trade_metrics(*s)
        )
    await record.call("get_open_trade_metrics.unknown", lambda: sdk.get_open_trade_metrics(0, 250, trader))
    for name in (
        "get_target_funding_rate", "get_pair_overnight_max_leverage", "get_pair_max_leverage",
        "get_rollover_rate_for_pair_id", "get_funding_rate_for_pair_id",
    ):  # fmt: skip
        for pair_id in (0, 18):
            await record.call(f"{name}.{pair_id}", lambda n=name, p=pair_id: getattr(sdk, n)(p))
    await record.call(
        "get_pair_net_rate_percent_per_hours", lambda: sdk.get_pair_net_rate_percent_per_hours(0)
    )
    await record.call("get_formatted_pairs_details", sdk.get_formatted_pairs_details)


async def read_without_group_bound(record: Recorder, sdk: OstiumSDK) -> None:
    """What get_formatted_pairs_details does where a group leaves the smallest leverage to its pairs."""
    pairs = await sdk.subgraph.get_pairs()
    changed = [{**pair, "group": {**pair["group"], "minLeverage": "0"}} for pair in pairs]

    async def get_pairs() -> Any:
        return changed

    sdk.subgraph.get_pairs = get_pairs
    await record.call("get_formatted_pairs_details.pair_bound", sdk.get_formatted_pairs_details)


async def track(record: Recorder, sdk: OstiumSDK, trader: str) -> None:
    """Settled orders of each kind, found on the chain, with and without the subgraph's help."""
    history = await sdk.subgraph.get_recent_history(trader, 1000)
    kinds: dict[str, str] = {}
    for order in history:
        outcome = "cancelled" if order["isCancelled"] else "executed"
        kinds[f"{order['orderType']}.{order['orderAction']}.{outcome}"] = order["id"]
    for kind, order_id in kinds.items():
        if kind.startswith("REMOVE"):
            continue
        await record.call(
            f"track.chain.{kind}",
            lambda o=order_id: sdk.ostium.track_order_and_trade(NoSubgraph(), o, 0.1, 2, from_block=0),
        )
    order_id = kinds["Market.Open.executed"]
    await record.call(
        "track.subgraph",
        lambda: sdk.ostium.track_order_and_trade(sdk.subgraph, order_id, 0.1, 2, from_block=0),
    )


async def main(base: str, key_file: str, contracts: str) -> None:
    config = NetworkConfig(graph_url=f"{base}/gn", contracts=json.loads(contracts), is_testnet=True)
    rpc = f"{base}/rpc"
    key = Path(key_file).read_text(encoding="utf-8").strip()
    sdk = OstiumSDK(config, private_key=key, rpc_url=rpc, submit_rpc_url=rpc)
    sdk.price.base_url = base
    trader = sdk.ostium.get_public_address().lower()
    record = Recorder()
    await read_subgraph(record, sdk, trader)
    await read_prices(record, sdk)
    await read_chain(record, sdk)
    await read_metrics(record, sdk, trader)
    await track(record, sdk, trader)
    await read_without_group_bound(record, sdk)
    print(json.dumps(record.outcomes))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
