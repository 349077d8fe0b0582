"""Every read endpoint against the sandbox over real HTTP: shapes, quirks, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from runtime.clock import FakeClock
from tests.venues.limitless.serving import LIVE_MS, Served
from venues.errors import Broken, Rejected, Retryable
from venues.http import Http
from venues.limitless.api import Api, Login, reason
from venues.limitless.sandbox.accounts import Account
from venues.limitless.sandbox.markets import SERIES, Market
from venues.limitless.signing import SKEW_MS, Token, signed_headers

Read = Callable[[Api, Login, "Names"], bytes]


class Names:
    """What the calls are made for."""

    def __init__(self, place: Served) -> None:
        place.sandbox.desk.now()
        self.account = place.sandbox.engine.accounts[0]
        found = [m for listing in place.sandbox.engine.universe.active(LIVE_MS) for m in listing]
        self.market = next(m for m in found if m.slug.startswith("btc-above"))
        self.pool = next(m for m in found if m.is_amm)
        self.child = next(m for m in found if m.group is not None)
        self.traded = next(
            order.market.slug for order in self.account.orders.values() if order.status == "MATCHED"
        )
        self.pack = json.loads(requests.get(f"{place.base_url}/parlay/packs", timeout=5).content)[0]["id"]


READS: dict[str, Read] = {
    "get_active_markets": lambda api, login, n: api.get_active_markets(),
    "get_active_markets by category": lambda api, login, n: api.get_active_markets(1, 5, "2"),
    "get_active_slugs": lambda api, login, n: api.get_active_slugs(),
    "get_categories_count": lambda api, login, n: api.get_categories_count(),
    "search_markets": lambda api, login, n: api.search_markets("btc above"),
    "get_market": lambda api, login, n: api.get_market(n.market.slug),
    "get_market by address": lambda api, login, n: api.get_market(n.pool.address or ""),
    "get_market group": lambda api, login, n: api.get_market(n.child.group or ""),
    "get_orderbook": lambda api, login, n: api.get_orderbook(n.market.slug),
    "get_historical_price": lambda api, login, n: api.get_historical_price(n.market.slug, "1h"),
    "get_market_events": lambda api, login, n: api.get_market_events(n.market.slug),
    "get_feed_events": lambda api, login, n: api.get_feed_events(n.market.slug),
    "get_navigation": lambda api, login, n: api.get_navigation(),
    "get_market_page_by_path": lambda api, login, n: api.get_market_page_by_path("/crypto/btc"),
    "get_market_page_by_path moved": lambda api, login, n: api.get_market_page_by_path("/BTC"),
    "get_property_keys": lambda api, login, n: api.get_property_keys(),
    "get_user_orders": lambda api, login, n: api.get_user_orders(login, n.traded),
    "get_locked_balance": lambda api, login, n: api.get_locked_balance(login, n.market.slug),
    "get_current_profile": lambda api, login, n: api.get_current_profile(login),
    "get_profile": lambda api, login, n: api.get_profile(login, n.account.address),
    "get_positions": lambda api, login, n: api.get_positions(login),
    "get_public_positions": lambda api, login, n: api.get_public_positions(n.account.address),
    "get_user_history": lambda api, login, n: api.get_user_history(login),
    "get_trades": lambda api, login, n: api.get_trades(login),
    "get_pnl_chart": lambda api, login, n: api.get_pnl_chart(login, "30d"),
    "get_public_pnl_chart": lambda api, login, n: api.get_public_pnl_chart(n.account.address),
    "get_points": lambda api, login, n: api.get_points(login),
    "get_traded_volume": lambda api, login, n: api.get_traded_volume(n.account.address),
    "get_trading_allowance": lambda api, login, n: api.get_trading_allowance(login, "negrisk"),
    "get_capabilities": lambda api, login, n: api.get_capabilities(login),
    "list_tokens": lambda api, login, n: api.list_tokens(login),
    "list_accounts": lambda api, login, n: api.list_accounts(login),
    "check_allowances": lambda api, login, n: api.check_allowances(login, 9_000_000),
    "check_amm_allowance": lambda api, login, n: api.check_amm_allowance(login, n.pool.slug, "BUY"),
    "list_packs": lambda api, login, n: api.list_packs(),
    "search_packs": lambda api, login, n: api.search_packs("btc"),
    "get_pack": lambda api, login, n: api.get_pack(n.pack),
}


def login_of(account: Account) -> Login:
    return Login(account.token, None, account.identity)


@pytest.fixture(scope="module")
def names(place: Served) -> Names:
    return Names(place)


@pytest.fixture(scope="module")
def api(place: Served) -> Api:
    return place.client().api


@pytest.fixture(scope="module")
def login(names: Names) -> Login:
    return login_of(names.account)


@pytest.mark.parametrize("call", READS)
def test_every_read_is_answered_with_json(call: str, api: Api, login: Login, names: Names) -> None:
    assert json.loads(READS[call](api, login, names)) not in (None, [], {})


def test_market_lists_are_paged(api: Api, place: Served) -> None:
    pages = [json.loads(api.get_active_markets(number)) for number in (1, 2, 3)]
    slugs = [market["slug"] for page in pages for market in page["data"]]

    assert len(pages[0]["data"]) == 25
    assert pages[2]["data"] == []
    assert len(set(slugs)) == len(slugs) == pages[0]["totalMarketsCount"]


def test_a_group_has_its_children_inside_and_each_is_a_market_of_its_own(api: Api, names: Names) -> None:
    group = json.loads(api.get_market(names.child.group or ""))

    assert (group["tradeType"], group["marketType"]) == ("group", "group")
    assert names.child.slug in [child["slug"] for child in group["markets"]]
    child = json.loads(api.get_market(names.child.slug))
    assert (child["tradeType"], child["venue"]["adapter"] is not None) == ("clob", True)


def test_amm_prices_are_percent_and_order_book_prices_are_not(api: Api, names: Names) -> None:
    amm, clob = (json.loads(api.get_market(m.slug))["prices"] for m in (names.pool, names.market))

    assert sum(amm) == pytest.approx(100)
    assert sum(clob) == pytest.approx(1)


def test_the_book_is_whole_numbers_of_raw_shares(api: Api, names: Names) -> None:
    book = json.loads(api.get_orderbook(names.market.slug))

    assert all(isinstance(level["size"], int) for level in (*book["bids"], *book["asks"]))
    assert isinstance(book["maxSpread"], str)
    assert isinstance(book["minSize"], str)
    assert book["tokenId"] == names.market.yes_token


def test_resting_orders_are_in_everybodys_book(moving: Served) -> None:
    """A bid for NO is an offer of YES."""
    from venues.limitless.sandbox import trading

    engine = moving.sandbox.engine
    moving.sandbox.desk.now()
    series = SERIES[4]
    market = engine.universe.listing(series, LIVE_MS // series.period_ms)[0]
    trading.rest(engine, engine.accounts[0], market, 1, 7_000_000, 2, LIVE_MS, is_buy=True)

    book = json.loads(moving.client().api.get_orderbook(market.slug))

    assert {"price": 0.998, "size": 7_000_000, "side": "SELL"} in book["asks"]


def test_a_market_that_is_not_listed_yet_is_unknown(api: Api) -> None:
    series = SERIES[0]
    slug = f"btc-up-or-down-1-hour-{(LIVE_MS // series.period_ms + 2) * series.period_ms}"

    with pytest.raises(Rejected) as caught:
        api.get_market(slug)
    assert caught.value.status == 404


@pytest.mark.parametrize("which", ["pool", "group"])
def test_only_order_book_markets_have_a_book(which: str, api: Api, names: Names) -> None:
    slug = names.pool.slug if which == "pool" else names.child.group or ""

    with pytest.raises(Rejected) as caught:
        api.get_orderbook(slug)
    assert caught.value.status == 400


def test_history_pages_follow_the_cursor_to_the_end(api: Api, login: Login, names: Names) -> None:
    rows: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = json.loads(api.get_user_history(login, cursor, 30))
        rows += page["data"]
        cursor = page["nextCursor"]

    times = [row["blockTimestamp"] for row in rows]
    assert len(rows) == len(names.account.rows) > 60
    assert times == sorted(times, reverse=True)


def test_without_a_cursor_the_history_answers_in_its_older_mode(place: Served, names: Names) -> None:
    target = "/portfolio/history?page=2&limit=10"
    headers = signed_headers(names.account.token, LIVE_MS, "GET", target)

    page = requests.get(place.base_url + target, headers=headers, timeout=5).json()

    assert page["totalCount"] == len(names.account.rows)
    assert len(page["data"]) == 10
    assert "nextCursor" not in page


def test_order_lists_default_to_live_ones(api: Api, login: Login, names: Names) -> None:
    everything = json.loads(api.get_user_orders(login, names.traded))
    live = json.loads(api.get_user_orders(login, names.traded, ()))

    assert {order["status"] for order in live} <= {"LIVE"}
    assert "MATCHED" in {order["status"] for order in everything}
    assert isinstance(everything[0]["marketId"], str)


def test_executions_show_fees_and_counterparties(api: Api, login: Login, names: Names) -> None:
    order = next(o for o in names.account.orders.values() if o.fee_shares)

    (result,) = json.loads(api.get_order_statuses(login, [order.id]))["results"]

    totals = result["data"]["execution"]["totalsRaw"]
    assert int(totals["contractsNet"]) == int(totals["contractsGross"]) - int(totals["contractsFee"])
    matched = sum(int(match["matchedSize"]) for match in result["data"]["makerMatches"])
    assert matched == int(totals["contractsGross"])


def test_an_unknown_order_is_not_found_among_the_others(api: Api, login: Login) -> None:
    (result,) = json.loads(api.get_order_statuses(login, ["nope"]))["results"]

    assert (result["status"], "data" in result) == ("not_found", False)


def test_a_market_page_has_markets_by_page_and_by_cursor(api: Api) -> None:
    page_id = json.loads(api.get_market_page_by_path("/crypto"))["id"]

    first = json.loads(api.get_market_page_markets(page_id, [("limit", 5), ("sort", "-deadline")]))
    by_cursor = json.loads(api.get_market_page_markets(page_id, [("cursor", ""), ("limit", 5)]))
    filtered = json.loads(
        api.get_market_page_markets(page_id, [("ticker", "BTC"), ("ticker", "ETH"), ("duration", "1-hour")])
    )

    assert first["pagination"]["totalPages"] > 1
    assert by_cursor["cursor"]["nextCursor"]
    assert len(filtered["data"]) == 2
    with pytest.raises(Rejected, match="mutually exclusive"):
        api.get_market_page_markets(page_id, [("page", 1), ("cursor", "")])


def test_a_filter_has_options(api: Api) -> None:
    key = json.loads(api.get_property_keys())[0]

    assert json.loads(api.get_property_key(key["id"])) == key
    assert json.loads(api.get_property_options(key["id"])) == key["options"]
    assert json.loads(api.get_property_options(key["id"], "nobody")) == []


def test_redirects_in_a_circle_end(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    from venues.http import Answer

    monkeypatch.setattr(
        Http, "get", lambda *_, **__: Answer(301, {"Location": "/market-pages/by-path?path=%2Fx"}, b"")
    )

    with pytest.raises(Broken, match="redirects"):
        api.get_market_page_by_path("/x")


# --- credentials ------------------------------------------------------------------------------------


def ask(place: Served, headers: dict[str, str], path: str = "/portfolio/positions") -> tuple[int, str]:
    response = requests.get(place.base_url + path, headers=headers, timeout=5)
    return response.status_code, response.json().get("message", "")


def test_a_signature_is_accepted_for_thirty_seconds_either_way(place: Served, names: Names) -> None:
    def at(offset_ms: int) -> tuple[int, str]:
        signed = signed_headers(names.account.token, LIVE_MS + offset_ms, "GET", "/portfolio/positions")
        return ask(place, signed)

    assert [at(offset)[0] for offset in (-SKEW_MS, 0, SKEW_MS)] == [200, 200, 200]
    assert [at(offset) for offset in (-SKEW_MS - 1, SKEW_MS + 1)] == [(401, "Request timestamp expired")] * 2


def test_what_was_not_signed_is_refused(place: Served, names: Names) -> None:
    token, path = names.account.token, "/portfolio/positions"
    good = signed_headers(token, LIVE_MS, "GET", path)
    wrong = [
        ({}, "Unauthorized"),
        ({**good, "lmts-signature": "AAAA"}, "Invalid signature"),
        ({**good, "lmts-signature": "\u00e9".encode().decode("latin-1")}, "Invalid signature"),
        ({**good, "lmts-api-key": "nobody"}, "Invalid API token"),
        ({**good, "lmts-timestamp": "now"}, "Invalid timestamp"),
        (signed_headers(token, LIVE_MS, "POST", path), "Invalid signature"),
        (signed_headers(token, LIVE_MS, "GET", path + "?x=1"), "Invalid signature"),
        (signed_headers(token, LIVE_MS, "GET", path, b"{}"), "Invalid signature"),
        (signed_headers(Token(token.token_id, "AAAA"), LIVE_MS, "GET", path), "Invalid signature"),
        ({"X-API-Key": "lmts_nobody"}, "Invalid API key"),
        ({"identity": "Bearer nobody"}, "Invalid identity token"),
        ({"identity": "nobody"}, "Unauthorized"),
    ]
    for headers, message in wrong:
        assert ask(place, headers) == (401, message)


def test_a_body_that_was_changed_is_refused(place: Served, names: Names) -> None:
    body = b'{"items":[{"orderId":"x"}]}'
    headers = signed_headers(names.account.token, LIVE_MS, "POST", "/orders/status/batch", body)

    def send(data: bytes) -> int:
        url = f"{place.base_url}/orders/status/batch"
        return requests.post(url, data=data, headers=headers, timeout=5).status_code

    assert (send(body), send(body + b" ")) == (200, 401)


def test_an_api_key_and_an_identity_open_what_they_should(place: Served) -> None:
    account = place.sandbox.engine.accounts[1]

    assert ask(place, {"X-API-Key": account.api_key})[0] == 200
    assert ask(place, {"identity": f"Bearer {account.identity}"})[0] == 200
    assert ask(place, {"X-API-Key": account.api_key}, "/profiles/partner-accounts")[0] == 401
    stranger = place.sandbox.engine.accounts[3]
    assert ask(place, {"X-API-Key": stranger.api_key})[0] == 401


def test_a_query_signed_before_a_library_unquoted_it_is_accepted(place: Served, names: Names) -> None:
    """The official SDK signs %2F and its HTTP library sends a slash."""
    signed = signed_headers(names.account.token, LIVE_MS, "GET", "/portfolio/pnl-chart?timeframe=7d&x=%2Fa")

    assert ask(place, signed, "/portfolio/pnl-chart?timeframe=7d&x=/a")[0] == 200


# --- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [("429", Retryable), ("500", Retryable), ("502", Retryable), ("503", Retryable), ("504", Retryable)],
)
def test_a_troubled_venue_is_asked_again(status: Any, kind: type[Exception], moving: Served) -> None:
    moving.faults.arm(status, "/navigation", value=2.0)

    with pytest.raises(kind) as caught:
        moving.client().api.get_navigation()
    assert isinstance(caught.value, Retryable)
    assert caught.value.after_s == 2.0
    assert caught.value.rate_limited == (status == "429")


def test_maintenance_is_waited_for() -> None:
    """425 is what the venue answers while trading is paused."""
    from venues.http import RETRYABLE_STATUSES

    assert 425 in RETRYABLE_STATUSES


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message":"Market not found","error":"Not Found","statusCode":404}', "Market not found"),
        (b'{"message":[{"property":"limit","constraints":"too large","x":null},"and more"]}',
         "property: limit, constraints: too large | and more"),
        (b'{"message":[],"error":"Bad Request"}', "Bad Request"),
        (b'{"msg":"old spelling"}', "old spelling"),
        (b"{}", "no reason given"),
        (b"<html>", "<html>"),
        (b'{"message":5}', '{"message":5}'),
    ],
)  # fmt: skip
def test_the_venues_reason_is_one_line(body: bytes, text: str) -> None:
    assert reason(body) == text


def test_field_errors_come_as_a_list(place: Served, names: Names) -> None:
    target = "/portfolio/history?cursor=&limit=101"
    headers = signed_headers(names.account.token, LIVE_MS, "GET", target)

    status, message = ask(place, headers, target)

    assert status == 400
    assert isinstance(message, list)


def test_a_login_does_not_show_its_secrets(names: Names) -> None:
    login = Login(names.account.token, "lmts_key", "identity-token")

    for secret in (names.account.token.secret, "lmts_key", "identity-token"):
        assert secret not in repr(login)


def test_strange_slugs_stay_inside_their_path_segment(api: Api) -> None:
    with pytest.raises(Rejected) as caught:
        api.get_market("../portfolio/positions?x=1#y")
    assert caught.value.status == 404


def test_nothing_is_reached_without_a_server() -> None:
    api = Api(Http(["http://127.0.0.1:9"], clock=FakeClock()), FakeClock())

    with pytest.raises(Retryable):
        api.get_navigation()


def test_the_node_knows_balances_and_nothing_else(place: Served, names: Names) -> None:
    def call(method: str, data: str) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [{"data": data}, "latest"]}
        return requests.post(f"{place.base_url}/rpc", json=body, timeout=5).json()

    balance = call("eth_call", "0x70a08231" + names.account.address[2:].rjust(64, "0"))
    assert int(balance["result"], 16) == names.account.cash
    assert "error" in call("eth_call", "0x70a08231" + "0" * 64)
    assert "error" in call("eth_chainId", "0x")


def test_public_trades_are_the_same_whenever_they_are_read(api: Api, names: Names) -> None:
    market: Market = names.market
    first = json.loads(api.get_market_events(market.slug, 1, 5))["events"]
    second = json.loads(api.get_market_events(market.slug, 2, 5))["events"]

    assert json.loads(api.get_market_events(market.slug, 1, 10))["events"] == first + second
