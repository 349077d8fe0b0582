"""The official limitless-sdk, unmodified, reads the sandbox and sees what our own client sees."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.clock import Clock, FakeClock, SystemClock
from runtime.settings import VenueSettings
from tests.sdk.environment import sdk_python
from tests.venues.serving import serving
from venues.limitless.api import Api, Login
from venues.limitless.client import LimitlessClient
from venues.limitless.sandbox import LimitlessSandbox
from venues.limitless.sandbox.markets import SERIES, Market
from venues.world import DAY_MS, HISTORY_DAYS

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).with_name("limitless_conformance.py")
EXPECTED_ERRORS = {
    "markets.get_orderbook.amm": "ValidationError",
    "portfolio.get_user_history.limit": "ValidationError",
    "fault.markets_data_by_key": "TypeError",
    "fault.position_size": "KeyError",
    "fault.unranked_profile": "AttributeError",
    "legacy.get_user_orders": "AttributeError",
    "legacy.get_positions": "AttributeError",
    "legacy.get_user_history": "AttributeError",
}


@dataclass
class Room:
    """A sandbox, our client on it, and what the SDK read from it."""

    sandbox: LimitlessSandbox
    api: Api
    login: Login
    facts: dict[str, str]
    url: str
    outcomes: dict[str, Any]

    def sdk(self, call: str) -> Any:
        """What the SDK returned; its error fails the test."""
        outcome = self.outcomes[call]
        assert "ok" in outcome, f"{call}: {outcome}"
        return outcome["ok"]


def room_on(clock: Clock, sandbox: LimitlessSandbox, url: str) -> Room:
    settings = VenueSettings(urls={"rest": [url]}, requests_per_s=500.0)
    first = sandbox.engine.accounts[0]
    login = Login(first.token, None, first.identity)
    return Room(sandbox, LimitlessClient(settings, clock).api, login, facts_of(sandbox), url, {})


def facts_of(sandbox: LimitlessSandbox) -> dict[str, str]:
    """What the script needs to know; the market is one that the account has orders in."""
    now_ms, engine = sandbox.desk.now(), sandbox.engine
    first, second, *_, unranked = engine.accounts
    orders = (o.market for o in reversed(first.orders.values()) if o.market.expires_ms > now_ms)
    clob, pool = next(orders), newest(engine.universe, 8, now_ms)
    return {
        "token_id": first.token.token_id,
        "secret": first.token.secret,
        "api_key": second.api_key,
        "identity": first.identity,
        "address": first.address,
        "unranked_key": unranked.private_key,
        "clob": clob.slug,
        "group": newest(engine.universe, 9, now_ms).group or "",
        "pool": pool.slug,
    }


def newest(universe: Any, number: int, now_ms: int) -> Market:
    series = next(series for series in SERIES if series.number == number)
    market: Market = universe.listing(series, now_ms // series.period_ms)[0]
    return market


def run(room: Room, what: str) -> dict[str, Any]:
    """The script's outcomes, from a process with the SDK's own environment."""
    command = [str(sdk_python("limitless")), str(SCRIPT), room.url, json.dumps(room.facts), what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes: dict[str, Any] = json.loads(done.stdout)
    return outcomes


def standing(accounts: int = 4) -> tuple[FakeClock, LimitlessSandbox]:
    """A sandbox whose time stands still at this moment: the SDK signs with the machine's own clock."""
    sdk_python("limitless")  # built before the clock is set: signatures are good for thirty seconds
    clock = FakeClock(SystemClock().now_ms())
    origin_ms = clock.now_ms() - HISTORY_DAYS * DAY_MS
    sandbox = LimitlessSandbox(seed=7, accounts=accounts, origin_ms=origin_ms, clock=clock)
    return clock, sandbox


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    clock, sandbox = standing()
    with serving(sandbox.app) as url:
        room = room_on(clock, sandbox, url)
        room.outcomes = run(room, "rest")
        yield room


def ours(body: bytes) -> Any:
    return json.loads(body)


def solid(value: Any) -> Any:
    """The value without its nulls: the SDK's models fill in fields that the wire leaves out."""
    if isinstance(value, dict):
        return {key: solid(item) for key, item in value.items() if item is not None}
    return [solid(item) for item in value] if isinstance(value, list) else value


def same_market(model: dict[str, Any], wire: dict[str, Any]) -> None:
    """The SDK's model says what the wire says, in every field both have."""
    names = (
        "id", "slug", "title", "expirationTimestamp", "status", "tradeType", "marketType", "volume", "prices",
        "tokens", "conditionId", "positionIds", "winningOutcomeIndex", "address", "collateralToken",
    )  # fmt: skip
    for name in names:
        assert model[name] == wire.get(name), name
    for name, value in (wire.get("venue") or {}).items():
        assert model["venue"].get(name, value) == value


def test_every_read_method_returns(room: Room) -> None:
    errors = {name: o["error"].split(":")[0] for name, o in room.outcomes.items() if "error" in o}

    assert errors == EXPECTED_ERRORS
    assert len(room.outcomes) == 50


def test_active_markets(room: Room) -> None:
    for call, page, limit, sort in (
        ("markets.get_active_markets", 1, 10, None),
        ("markets.get_active_markets.page2", 2, 25, "ending_soon"),
    ):
        path = f"/markets/active?page={page}&limit={limit}" + (f"&sortBy={sort}" if sort else "")
        wire = ours(room.api._get(path))
        read = room.sdk(call)
        assert read["totalMarketsCount"] == wire["totalMarketsCount"]
        assert len(read["data"]) == len(wire["data"]) > 0
        for model, row in zip(read["data"], wire["data"], strict=True):
            same_market(model, row)
    raw = room.sdk("markets.get_active_markets.raw")
    assert (raw["status"], raw["data"]) == (200, ours(room.api.get_active_markets(1, 10)))


@pytest.mark.parametrize(
    ("call", "fact"),
    [
        ("markets.get_market", "clob"),
        ("markets.get_market.group", "group"),
        ("markets.get_market.amm", "pool"),
    ],
)
def test_a_market(call: str, fact: str, room: Room) -> None:
    wire, model = ours(room.api.get_market(room.facts[fact])), room.sdk(call)

    same_market(model, wire)
    for child, row in zip(model["markets"] or [], wire.get("markets", []), strict=True):
        same_market(child, row)
    if fact == "clob":
        assert room.sdk("markets.get_market.raw")["data"] == wire == room.sdk("legacy.get_market")
        assert room.sdk("markets.get_venue")["exchange"] == wire["venue"]["exchange"]


def test_the_order_book(room: Room) -> None:
    wire, model = ours(room.api.get_orderbook(room.facts["clob"])), room.sdk("markets.get_orderbook")

    for name in ("bids", "asks", "tokenId", "adjustedMidpoint", "maxSpread", "minSize", "lastTradePrice"):
        assert model[name] == wire[name], name
    assert room.sdk("markets.get_orderbook.raw")["data"] == wire == room.sdk("legacy.get_orderbook")


def test_the_accounts_orders_in_a_market(room: Room) -> None:
    """The SDK sends no status: it sees live orders only, ours sees matched ones too."""
    read = room.sdk("market.get_user_orders")
    live = ours(room.api.get_user_orders(room.login, room.facts["clob"], ("LIVE",)))

    assert read == live
    assert ours(room.api.get_user_orders(room.login, room.facts["clob"]))


def test_market_pages(room: Room) -> None:
    api = room.api
    page = ours(api.get_market_page_by_path("/crypto/btc"))

    assert room.sdk("market_pages.get_navigation") == ours(api.get_navigation())
    for call in ("get_market_page_by_path", "get_market_page_by_path.moved"):
        assert solid(room.sdk(f"market_pages.{call}")) == solid(page)
    assert room.sdk("market_pages.get_market_page_by_path.raw")["data"] == page
    by_page = ours(api.get_market_page_markets(page["id"], [("page", 1), ("limit", 2)]))
    by_cursor = ours(api.get_market_page_markets(page["id"], [("cursor", ""), ("limit", 2)]))
    assert room.sdk("market_pages.get_markets")["pagination"] == by_page["pagination"]
    assert room.sdk("market_pages.get_markets.cursor")["cursor"] == by_cursor["cursor"]
    for call, wire in (("", by_page), (".cursor", by_cursor)):
        for model, row in zip(room.sdk(f"market_pages.get_markets{call}")["data"], wire["data"], strict=True):
            same_market(model, row)
    filtered = room.sdk("market_pages.get_markets.filters")["data"]
    assert {model["tags"][1] for model in filtered} == {"1-hour", "1-day"}
    assert room.sdk("market_pages.get_property_keys") == ours(api.get_property_keys())
    assert room.sdk("market_pages.get_property_key") == ours(api.get_property_keys())[0]
    assert room.sdk("market_pages.get_property_options") == ours(api.get_property_keys())[0]["options"]


def test_profiles(room: Room) -> None:
    wire = ours(room.api.get_current_profile(room.login))

    assert room.sdk("portfolio.get_current_profile") == wire
    assert room.sdk("portfolio.get_profile") == wire == room.sdk("legacy.get_user_profile")


def test_positions(room: Room) -> None:
    wire = ours(room.api.get_positions(room.login))

    assert room.sdk("portfolio.get_positions") == wire
    assert room.sdk("portfolio.get_positions.raw")["data"] == wire
    assert room.sdk("portfolio.get_clob_positions") == wire["clob"]
    assert room.sdk("portfolio.get_amm_positions") == wire["amm"]
    assert wire["clob"]
    assert ours(room.api.get_public_positions(room.facts["address"])) == wire


def test_history_and_its_next_page(room: Room) -> None:
    first = ours(room.api.get_user_history(room.login, "", 20))

    assert room.sdk("portfolio.get_user_history") == first
    second = ours(room.api.get_user_history(room.login, first["nextCursor"], 100))
    assert room.sdk("portfolio.get_user_history.page2") == second


def test_tokens_and_partner_accounts(room: Room) -> None:
    children = ours(room.api.list_accounts(room.login))
    first = children["data"][0]["profileId"]

    assert room.sdk("api_tokens.get_capabilities") == ours(room.api.get_capabilities(room.login))
    assert room.sdk("api_tokens.list_tokens") == ours(room.api.list_tokens(room.login))
    assert room.sdk("partner_accounts.list_accounts") == children
    ready = room.sdk("partner_accounts.check_allowances")
    wire = ours(room.api.check_allowances(room.login, first))
    assert {name: ready[name] for name in ("profileId", "ready", "summary", "walletAddress")} == {
        name: wire[name] for name in ("profileId", "ready", "summary", "walletAddress")
    }
    for side in ("BUY", "SELL"):
        model = room.sdk(f"partner_amm.check_allowance.{side}")
        wire = ours(room.api.check_amm_allowance(room.login, room.facts["pool"], side))
        assert {name: value for name, value in model.items() if value is not None} == wire


def test_the_older_client(room: Room) -> None:
    assert room.sdk("legacy.get_active_markets") == ours(room.api.get_active_markets(1, 10))
    everything = room.sdk("legacy.get_all_active_markets")
    assert len(everything) == ours(room.api.get_active_markets())["totalMarketsCount"]
    prices, interval = room.sdk("legacy.get_historical_prices")
    assert prices == ours(room.api.get_historical_price(room.facts["clob"], "1h"))
    assert interval == "unknown"


def test_the_older_client_cannot_read_accounts(room: Room) -> None:
    """Known fault: its account methods call a method that is not there any more."""
    for call in ("legacy.get_user_orders", "legacy.get_positions", "legacy.get_user_history"):
        assert "ensure_authenticated" in room.outcomes[call]["error"]


def test_the_documented_snippets_do_not_run(room: Room) -> None:
    """Known fault: the documentation reads ``markets["data"]`` and ``pos["size"]``; neither exists."""
    assert "not subscriptable" in room.outcomes["fault.markets_data_by_key"]["error"]
    assert "size" in room.outcomes["fault.position_size"]["error"]


def test_listing_markets_does_not_remember_their_contracts(room: Room) -> None:
    """Known fault: only ``get_market`` fills the cache that signing needs."""
    assert room.sdk("fault.venue_not_cached") is None


def test_a_profile_without_a_rank_stops_the_order_client(room: Room) -> None:
    """Known fault: the venue leaves newcomers without a rank, and the SDK asks None for its fee."""
    assert "NoneType" in room.outcomes["fault.unranked_profile"]["error"]


def test_packs() -> None:
    clock, sandbox = standing(1)
    with serving(sandbox.app) as url:
        engine = sandbox.engine
        first, now_ms = engine.accounts[0], sandbox.desk.now()
        facts = {"token_id": first.token.token_id, "secret": first.token.secret}
        room = Room(sandbox, room_api(clock, url), Login(first.token), facts, url, {})
        room.outcomes = run(room, "packs")
        wire = ours(room.api.list_packs())

    assert now_ms == sandbox.engine.now_ms
    assert len(room.outcomes) == 7
    listed = room.sdk("packs.list")
    assert [pack["id"] for pack in listed] == [pack["id"] for pack in wire]
    assert room.sdk("packs.get") == listed[0]
    assert {pack["name"] for pack in room.sdk("packs.search")} == {"BTC ladder"}
    quote = room.sdk("packs.quote")
    assert int(quote["collateralRequired"]) == int(quote["potentialPayout"]) - 1_000_000
    (held,) = room.sdk("packs.list_positions")["data"]
    assert room.sdk("packs.get_position") == room.sdk("packs.wait_for_position") == held


def room_api(clock: Clock, url: str) -> Api:
    return LimitlessClient(VenueSettings(urls={"rest": [url]}, requests_per_s=500.0), clock).api


def test_streams() -> None:
    """On the machine's own clock, since the handshake is signed with it."""
    sdk_python("limitless")
    clock = SystemClock()
    origin_ms = clock.now_ms() - HISTORY_DAYS * DAY_MS
    sandbox = LimitlessSandbox(seed=7, accounts=4, origin_ms=origin_ms, clock=clock)
    with serving(sandbox.app) as url:
        room = room_on(clock, sandbox, url)
        room.outcomes = run(room, "streams")

    first = sandbox.engine.accounts[0]
    assert room.sdk("state") == "connected"
    for channel in (
        "market_prices",
        "positions",
        "transactions",
        "order_events",
        "live_sports",
        "market_lifecycle",
    ):
        assert room.sdk(f"subscribe_{channel}") == f"Subscribed: subscribe_{channel}"
    assert room.sdk("event.authenticated") == {"userId": first.profile_id}
    assert room.sdk("event.orderbookUpdate")["marketSlug"] == room.facts["clob"]
    assert room.sdk("event.newPriceData")["updatedPrices"]
    assert room.sdk("event.oraclePriceData")["value"] > 0
    assert room.sdk("event.positions")["account"] == first.wallet
    assert room.sdk("event.orderEvent")["source"] in ("OME", "SETTLEMENT")
    assert room.sdk("event.tx")["status"] == "CONFIRMED"
    assert room.sdk("unsubscribe") is None

    for fault in ("fault.once", "fault.off"):  # known: both call a method that python-socketio lacks
        assert "has no attribute 'off'" in room.outcomes[fault]["error"]
    assert room.sdk("subscriptions_after_disconnect") == 0  # known: a reconnect by hand starts with none
