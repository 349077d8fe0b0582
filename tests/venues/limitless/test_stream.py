"""The sandbox's Socket.IO side, heard by a python-socketio client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import socketio

from tests.venues.limitless.serving import LIVE_MS, Served, served
from venues.limitless.sandbox.markets import SERIES
from venues.limitless.sandbox.stream import NAMESPACE, lifecycle
from venues.limitless.signing import signed_headers
from venues.world import HOUR_MS

TARGET = "/socket.io/?transport=websocket&EIO=4"
JS_TARGET = "/socket.io/?EIO=4&transport=websocket"
WAIT_S = 10.0
EVENTS = (
    "system", "authenticated", "exception", "orderbookUpdate", "newPriceData", "oraclePriceData", "positions",
    "orderEvent", "tx", "marketCreated", "marketResolved", "live_sports_update",
)  # fmt: skip


class Ear:
    """A connected client and everything it heard."""

    def __init__(self, client: socketio.AsyncClient) -> None:
        self.client = client
        self.heard: list[tuple[str, Any]] = []
        for event in EVENTS:
            client.on(event, self._listener(event), namespace=NAMESPACE)

    def _listener(self, event: str) -> Callable[[Any], Awaitable[None]]:
        async def listen(data: Any) -> None:
            self.heard.append((event, data))

        return listen

    async def say(self, channel: str, options: Any = None) -> None:
        await self.client.emit(channel, options or {}, namespace=NAMESPACE)

    async def wait_for(self, event: str, count: int = 1) -> list[Any]:
        """The first ``count`` payloads of an event, once they have come."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while len(found := [data for name, data in self.heard if name == event]) < count:
            assert asyncio.get_running_loop().time() < deadline, f"no {event} in {self.heard}"
            await asyncio.sleep(0.02)
        return found[:count]


def listen(place: Served, headers: dict[str, str], talk: Callable[[Ear], Awaitable[None]]) -> None:
    """Connect with ``headers``, let ``talk`` do its part, and disconnect."""

    async def run() -> None:
        client = socketio.AsyncClient(reconnection=False, timestamp_requests=False)
        ear = Ear(client)
        await client.connect(
            place.base_url, headers=headers, transports=["websocket"], namespaces=[NAMESPACE]
        )
        try:
            await talk(ear)
        finally:
            await client.disconnect()

    asyncio.run(run())


def signed(place: Served, target: str = TARGET, number: int = 0) -> dict[str, str]:
    token = place.sandbox.engine.accounts[number].token
    return signed_headers(token, place.clock.now_ms(), "GET", target)


def slugs(place: Served) -> tuple[str, str, str]:
    """Slugs of an order-book market and an AMM market, and the latter's address."""
    universe = place.sandbox.engine.universe
    clob = universe.listing(SERIES[4], LIVE_MS // SERIES[4].period_ms)[0]
    pool = universe.listing(SERIES[7], LIVE_MS // SERIES[7].period_ms)[0]
    assert pool.address is not None
    return clob.slug, pool.slug, pool.address


def test_prices_are_public(place: Served) -> None:
    slug, _, address = slugs(place)

    async def talk(ear: Ear) -> None:
        await ear.say("subscribe_market_prices", {"marketSlugs": [slug], "marketAddresses": [address]})
        (system,) = await ear.wait_for("system")
        (book,) = await ear.wait_for("orderbookUpdate")
        (pool,) = await ear.wait_for("newPriceData")
        (oracle,) = await ear.wait_for("oraclePriceData")

        assert system["markets"] == {"addresses": [address], "slugs": [slug]}
        assert book["marketSlug"] == slug
        assert book["orderbook"]["bids"][0]["price"] < book["orderbook"]["asks"][0]["price"]
        prices = pool["updatedPrices"][0]
        assert prices["yesPrice"] + prices["noPrice"] == pytest.approx(1)
        assert oracle["value"] > 0

    listen(place, {}, talk)


def test_a_subscription_replaces_the_one_before(place: Served) -> None:
    first, second, _ = slugs(place)

    async def talk(ear: Ear) -> None:
        await ear.say("subscribe_market_prices", {"marketSlugs": [first]})
        await ear.wait_for("orderbookUpdate")
        await ear.say("subscribe_market_prices", {"marketSlugs": [second]})
        await ear.wait_for("newPriceData")
        count = len([1 for name, _ in ear.heard if name == "orderbookUpdate"])
        await ear.wait_for("newPriceData", 3)  # two rounds later

        assert len([1 for name, _ in ear.heard if name == "orderbookUpdate"]) == count

    listen(place, {}, talk)


@pytest.mark.parametrize("target", [TARGET, JS_TARGET])
def test_account_channels_need_a_signature(target: str, place: Served) -> None:
    """Two clients order the query differently; each signs what it sends."""

    async def talk(ear: Ear) -> None:
        if target == TARGET:
            (hello,) = await ear.wait_for("authenticated")
            assert hello["userId"] == place.sandbox.engine.accounts[0].profile_id
            await ear.say("subscribe_positions")
            (balances,) = await ear.wait_for("positions")
            assert balances["account"] == place.sandbox.engine.accounts[0].wallet

    headers = signed(place, target)
    if target == TARGET:
        listen(place, headers, talk)
    else:  # this client sends the other order: the signature does not fit
        with pytest.raises(socketio.exceptions.ConnectionError):
            listen(place, headers, talk)


def test_without_credentials_account_channels_answer_an_exception(place: Served) -> None:
    async def talk(ear: Ear) -> None:
        await ear.say("subscribe_order_events")
        (refusal,) = await ear.wait_for("exception")
        assert refusal["channel"] == "subscribe_order_events"

    listen(place, {}, talk)


def test_an_api_key_opens_account_channels(place: Served) -> None:
    async def talk(ear: Ear) -> None:
        await ear.wait_for("authenticated")

    listen(place, {"X-API-Key": place.sandbox.engine.accounts[1].api_key}, talk)
    with pytest.raises(socketio.exceptions.ConnectionError):
        listen(place, {"X-API-Key": "lmts_nobody"}, talk)


def test_orders_and_transactions_arrive_as_they_happen() -> None:
    with served(accounts=1) as moving:

        async def talk(ear: Ear) -> None:
            await ear.say("subscribe_order_events")
            await ear.say("subscribe_transactions")
            await ear.wait_for("system", 2)
            moving.clock.advance(300)
            events = await ear.wait_for("orderEvent", 6)
            (transaction,) = await ear.wait_for("tx")

            kinds = {event["type"] for event in events}
            assert kinds <= {"PLACEMENT", "UPDATE", "CANCELLATION", "EXECUTION", "MATCHED", "MINED", "FAILED"}
            assert "MATCHED" in kinds
            assert all(event["eventId"] for event in events)
            matched = next(event for event in events if event["type"] == "MATCHED")
            assert matched["isEstimate"] is True
            assert matched["takerAccount"] == moving.sandbox.engine.accounts[0].wallet
            assert transaction["status"] == "CONFIRMED"

        listen(moving, signed(moving), talk)


def test_listings_and_resolutions_are_announced() -> None:
    with served(accounts=1) as moving:

        async def talk(ear: Ear) -> None:
            await ear.say("subscribe_market_lifecycle")
            await ear.wait_for("system")
            moving.clock.advance(HOUR_MS / 1000)
            (created,) = await ear.wait_for("marketCreated")
            (resolved,) = await ear.wait_for("marketResolved")

            assert created["type"] in ("AMM", "CLOB")
            assert resolved["winningOutcome"] == ("YES", "NO")[resolved["winningIndex"]]

        listen(moving, {}, talk)


def test_lifecycle_tells_every_event_once(place: Served) -> None:
    desk, hours = place.sandbox.desk, range(0, 12 * HOUR_MS, HOUR_MS)

    whole = lifecycle(desk, LIVE_MS, LIVE_MS + 12 * HOUR_MS)
    pieces = [event for at in hours for event in lifecycle(desk, LIVE_MS + at, LIVE_MS + at + HOUR_MS)]

    assert pieces == whole
    assert len({(name, payload["slug"]) for name, payload in whole}) == len(whole)


def test_unsubscribing_is_acknowledged(place: Served) -> None:
    async def talk(ear: Ear) -> None:
        async def call(channel: str) -> Any:
            return await ear.client.call("unsubscribe", {"channel": channel}, namespace=NAMESPACE, timeout=5)

        await ear.say("subscribe_live_sports")
        await ear.wait_for("live_sports_update")
        assert await call("subscribe_live_sports") == {"success": True}
        assert "error" in await call("subscribe_nothing")

    listen(place, {}, talk)
