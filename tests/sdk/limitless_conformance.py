"""Runs every read method of the official limitless-sdk against one server and prints what they return.

usage: python limitless_conformance.py BASE_URL FACTS (rest|packs|streams)

FACTS is a JSON object: token_id, secret, api_key, identity, address, unranked_key, clob, group, pool.
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
from limitless_sdk import Client, HMACCredentials, WebSocketConfig
from limitless_sdk.api.errors import APIError
from limitless_sdk.client import LimitlessClient
from limitless_sdk.exceptions import LimitlessAPIError
from limitless_sdk.types.markets import ActiveMarketsParams
from limitless_sdk.types.packs import PackQuoteParams
from limitless_sdk.types.partner_amm import AmmAllowanceParams
from pydantic import BaseModel

FAILURES = (
    APIError, LimitlessAPIError, aiohttp.ClientError, TimeoutError, ConnectionError, ValueError, LookupError,
    TypeError, AttributeError, RuntimeError,
)  # fmt: skip
CALL_TIMEOUT_S = 30.0
EVENT_TIMEOUT_S = 60.0  # traders act every ten seconds at most, and settlement takes ten more
EVENTS = ("system", "authenticated", "orderbookUpdate", "newPriceData", "oraclePriceData", "positions",
          "orderEvent", "tx", "live_sports_update")  # fmt: skip


def plain(value: Any) -> Any:
    """The value in JSON's terms."""
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


class Recorder:
    """Collects the outcome of each call."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Any] = {}

    async def call(self, name: str, made: Callable[[], Awaitable[Any]]) -> Any:
        """Await the call and note its value, or its error."""
        try:
            value = await asyncio.wait_for(made(), CALL_TIMEOUT_S)
        except FAILURES as error:
            self.outcomes[name] = {"error": f"{type(error).__name__}: {error}"}
            return None
        self.outcomes[name] = {"ok": plain(value)}
        return value


def signed_client(base: str, facts: dict[str, str]) -> Client:
    credentials = HMACCredentials(token_id=facts["token_id"], secret=facts["secret"])
    return Client(base_url=base, hmac_credentials=credentials)


async def rest(base: str, facts: dict[str, str]) -> dict[str, Any]:
    recorder = Recorder()
    async with signed_client(base, facts) as client:
        await markets(recorder, client, facts)
        await pages(recorder, client)
        await account(recorder, client, facts)
        await partners(recorder, client, facts)
        await known_faults(recorder, client, facts)
    await legacy(recorder, base, facts)
    return recorder.outcomes


async def markets(recorder: Recorder, client: Client, facts: dict[str, str]) -> None:
    call, of = recorder.call, client.markets
    await call("markets.get_active_markets", lambda: of.get_active_markets())
    second = ActiveMarketsParams(limit=25, page=2, sort_by="ending_soon")
    await call("markets.get_active_markets.page2", lambda: of.get_active_markets(second))
    await call("markets.get_active_markets.raw", lambda: of.get_active_markets(with_raw_response=True))
    market = await call("markets.get_market", lambda: of.get_market(facts["clob"]))
    await call("markets.get_market.group", lambda: of.get_market(facts["group"]))
    await call("markets.get_market.amm", lambda: of.get_market(facts["pool"]))
    await call("markets.get_market.raw", lambda: of.get_market(facts["clob"], with_raw_response=True))
    await call("markets.get_orderbook", lambda: of.get_orderbook(facts["clob"]))
    await call("markets.get_orderbook.amm", lambda: of.get_orderbook(facts["pool"]))
    await call("markets.get_orderbook.raw", lambda: of.get_orderbook(facts["clob"], with_raw_response=True))
    await call("market.get_user_orders", lambda: market.get_user_orders())
    await call("markets.get_venue", lambda: later(lambda: of.get_venue(facts["clob"])))


async def later(made: Callable[[], Any]) -> Any:
    """A plain call among awaited ones."""
    return made()


async def pages(recorder: Recorder, client: Client) -> None:
    call, of = recorder.call, client.market_pages
    await call("market_pages.get_navigation", lambda: of.get_navigation())
    page = await call(
        "market_pages.get_market_page_by_path", lambda: of.get_market_page_by_path("/crypto/btc")
    )
    await call("market_pages.get_market_page_by_path.moved", lambda: of.get_market_page_by_path("/btc"))
    await call(
        "market_pages.get_market_page_by_path.raw",
        lambda: of.get_market_page_by_path("/btc", with_raw_response=True),
    )
    await call("market_pages.get_markets", lambda: of.get_markets(page.id, {"page": 1, "limit": 2}))
    await call("market_pages.get_markets.cursor", lambda: of.get_markets(page.id, {"cursor": "", "limit": 2}))
    filters = {"sort": "-deadline", "filters": {"duration": ["1-hour", "1-day"]}}
    await call("market_pages.get_markets.filters", lambda: of.get_markets(page.id, filters))
    keys = await call("market_pages.get_property_keys", lambda: of.get_property_keys())
    await call("market_pages.get_property_key", lambda: of.get_property_key(keys[0].id))
    await call("market_pages.get_property_options", lambda: of.get_property_options(keys[0].id))


async def account(recorder: Recorder, client: Client, facts: dict[str, str]) -> None:
    call, of = recorder.call, client.portfolio
    await call("portfolio.get_profile", lambda: of.get_profile(facts["address"]))
    await call("portfolio.get_current_profile", lambda: of.get_current_profile())
    await call("portfolio.get_positions", lambda: of.get_positions())
    await call("portfolio.get_positions.raw", lambda: of.get_positions(with_raw_response=True))
    await call("portfolio.get_clob_positions", lambda: of.get_clob_positions())
    await call("portfolio.get_amm_positions", lambda: of.get_amm_positions())
    first = await call("portfolio.get_user_history", lambda: of.get_user_history())
    await call("portfolio.get_user_history.page2", lambda: of.get_user_history(first["nextCursor"], 100))
    await call("portfolio.get_user_history.limit", lambda: of.get_user_history(limit=500))


async def partners(recorder: Recorder, client: Client, facts: dict[str, str]) -> None:
    call, identity = recorder.call, facts["identity"]
    await call("api_tokens.get_capabilities", lambda: client.api_tokens.get_capabilities(identity))
    await call("api_tokens.list_tokens", lambda: client.api_tokens.list_tokens())
    children = await call("partner_accounts.list_accounts", lambda: client.partner_accounts.list_accounts())
    await call(
        "partner_accounts.check_allowances",
        lambda: client.partner_accounts.check_allowances(children.data[0].profile_id),
    )
    for side in ("BUY", "SELL"):
        params = AmmAllowanceParams(market=facts["pool"], side=side)
        await call(
            f"partner_amm.check_allowance.{side}", lambda p=params: client.partner_amm.check_allowance(p)
        )


async def known_faults(recorder: Recorder, client: Client, facts: dict[str, str]) -> None:
    """What the SDK or its documentation gets wrong: noted, so that a change is noticed."""
    call = recorder.call
    listed = await client.markets.get_active_markets()
    await call("fault.markets_data_by_key", lambda: later(lambda: listed["data"]))
    positions = await client.portfolio.get_positions()
    await call("fault.position_size", lambda: later(lambda: [row["size"] for row in positions["clob"]]))
    fresh = Client.from_http_client(client.http)
    only_listed = await fresh.markets.get_active_markets()
    await call(
        "fault.venue_not_cached", lambda: later(lambda: fresh.markets.get_venue(only_listed.data[0].slug))
    )
    orders = client.new_order_client(facts["unranked_key"])
    await call("fault.unranked_profile", lambda: orders._ensure_user_data())


async def legacy(recorder: Recorder, base: str, facts: dict[str, str]) -> None:
    call = recorder.call
    async with LimitlessClient("0x" + "11" * 32, api_key=facts["api_key"]) as client:
        client.base_url = base
        await call("legacy.get_user_profile", lambda: client.get_user_profile(facts["address"]))
        await call("legacy.get_active_markets", lambda: client.get_active_markets(1, 10))
        await call("legacy.get_all_active_markets", lambda: client.get_all_active_markets())
        await call("legacy.get_market", lambda: client.get_market(facts["clob"]))
        await call("legacy.get_historical_prices", lambda: client.get_historical_prices(facts["clob"], "1h"))
        await call("legacy.get_orderbook", lambda: client.get_orderbook(facts["clob"]))
        await call("legacy.get_user_orders", lambda: client.get_user_orders(facts["clob"]))
        await call("legacy.get_positions", lambda: client.get_positions())
        await call("legacy.get_user_history", lambda: client.get_user_history())


async def packs(base: str, facts: dict[str, str]) -> dict[str, Any]:
    recorder = Recorder()
    async with signed_client(base, facts) as client:
        call, of = recorder.call, client.packs
        children = await client.partner_accounts.list_accounts()
        child = children.data[0].profile_id
        listed = await call("packs.list", lambda: of.list())
        await call("packs.search", lambda: of.search("btc"))
        await call("packs.get", lambda: of.get(listed[0].id))
        quoted = PackQuoteParams(pack_id=listed[0].id, stake_amount="1000000")
        await call("packs.quote", lambda: of.quote(quoted))
        held = await call("packs.list_positions", lambda: of.list_positions(child))
        await call("packs.get_position", lambda: of.get_position(child, held.data[0].id))
        await call("packs.wait_for_position", lambda: of.wait_for_position(child, held.data[0].id))
    return recorder.outcomes


async def streams(base: str, facts: dict[str, str]) -> dict[str, Any]:
    recorder, heard = Recorder(), {event: asyncio.Queue() for event in EVENTS}
    client = signed_client(base, facts)
    socket = client.new_websocket_client(WebSocketConfig(url=base, auto_reconnect=False))
    for event in EVENTS:
        socket.on(event, heard[event].put)

    async def subscribe(channel: str, options: Any = None) -> Any:
        await socket.subscribe(channel, options)
        return (await asyncio.wait_for(heard["system"].get(), CALL_TIMEOUT_S))["message"]

    async def hear(event: str) -> Any:
        return await asyncio.wait_for(heard[event].get(), EVENT_TIMEOUT_S)

    await recorder.call("connect", socket.connect)
    recorder.outcomes["state"] = {"ok": socket.state.value}
    prices = {"marketSlugs": [facts["clob"], facts["pool"]]}
    await recorder.call("subscribe_market_prices", lambda: subscribe("subscribe_market_prices", prices))
    for channel in (
        "subscribe_positions", "subscribe_transactions", "subscribe_order_events", "subscribe_live_sports",
        "subscribe_market_lifecycle",
    ):  # fmt: skip
        await recorder.call(channel, lambda c=channel: subscribe(c))
    for event in EVENTS[1:]:
        recorder.outcomes[f"event.{event}"] = {"ok": await hear(event)}
    await recorder.call("unsubscribe", lambda: socket.unsubscribe("subscribe_market_prices", prices))
    await recorder.call("fault.once", lambda: once(socket, heard))
    await recorder.call("fault.off", lambda: later(lambda: socket.off("orderbookUpdate", print)))
    await recorder.call("disconnect", socket.disconnect)
    recorder.outcomes["subscriptions_after_disconnect"] = {"ok": len(socket._subscriptions)}
    await client.close()
    return recorder.outcomes


async def once(socket: Any, heard: dict[str, asyncio.Queue[Any]]) -> None:
    """What ``once`` does when its event comes: the wrapper it registered is called by hand."""
    socket.once("newPriceData", heard["newPriceData"].put)
    await socket._sio.handlers["/markets"]["newPriceData"]({})


def main() -> None:
    base, facts, what = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    outcomes = asyncio.run({"rest": rest, "packs": packs, "streams": streams}[what](base, facts))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
