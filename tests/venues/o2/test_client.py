"""The client against the sandbox and against servers that behave badly, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from aiohttp import web

from runtime.clock import FakeClock
from runtime.settings import AccountSettings, VenueSettings
from tests.venues.o2.conftest import ORIGIN_MS, Served, sandbox
from tests.venues.o2.samples import ACCOUNT, BASE, OBSERVED_MS, order, sample, trade
from tests.venues.serving import serving
from venues.errors import Broken, Rejected, Retryable
from venues.faults import Faults
from venues.model import Payload, Snapshot
from venues.o2.client import O2Client
from venues.o2.normalise import normalise
from venues.o2.reading import MAX_PAGES
from venues.o2.sandbox.engine import BUY
from venues.o2.sandbox.listing import FUEL_USDC, MARKETS, TOKENS
from venues.world import HOUR_MS


def pages(payload: Payload, prefix: str) -> list[Any]:
    """The decoded pages of one kind."""
    return [json.loads(body) for name, body in payload.parts.items() if name.startswith(prefix)]


def test_the_whole_history_is_read_and_adds_up(served: Served) -> None:
    for account in served.settings.accounts:
        world = served.sandbox.world.exchange.accounts[account.account]

        got = normalise(served.client.fetch(account, None))

        assert len(got.fills) > 50
        for holding in got.holdings:
            total = sum(fill.quantity for fill in got.fills if fill.instrument == holding.instrument)
            assert total == holding.quantity
        held = {holding.instrument for holding in got.holdings}
        owned = {market.pair for market in MARKETS[:3] if world.total(market.base.asset)}
        assert held == owned
        assert [fill.time_ms for fill in got.fills] == sorted(fill.time_ms for fill in got.fills)
        assert len({fill.fill_id for fill in got.fills}) == len(got.fills)


def test_every_trade_of_the_engine_arrives_once(served: Served) -> None:
    account = served.settings.accounts[0]
    world = served.sandbox.world.exchange.accounts[account.account]

    got = normalise(served.client.fetch(account, None))

    legs = [2 if t.maker is t.taker else 1 for rows in world.trades.values() for t in rows]
    assert len(got.fills) == sum(legs)
    assert 2 in legs  # the history contains self trades


def test_a_recent_since_reads_only_the_first_pages(served: Served) -> None:
    account = served.settings.accounts[0]

    everything = served.client.fetch(account, None)
    recent = served.client.fetch(account, served.clock.now_ms() - HOUR_MS)

    assert len(pages(recent, "trades/")) == len(MARKETS)
    assert len(pages(everything, "trades/")) > len(MARKETS)
    newest = {fill.fill_id for fill in normalise(everything).fills[-20:]}
    assert newest <= {fill.fill_id for fill in normalise(recent).fills}


def test_equity_is_cash_and_coins_at_marks(served: Served) -> None:
    account = served.settings.accounts[0]
    world = served.sandbox.world.exchange.accounts[account.account]

    got = normalise(served.client.fetch(account, None))

    marks = {mark.instrument: mark.price for mark in got.marks}
    cash = sum(
        Decimal(world.total(key)) / 10**6 for key, token in TOKENS.items() if token.symbol[:3] == "USD"
    )
    coins = sum(holding.quantity * marks[holding.instrument] for holding in got.holdings)
    assert got.equity_usd == cash + coins


def test_an_account_may_be_named_by_its_owner(served: Served) -> None:
    known = served.sandbox.world.accounts[1]
    by_owner = AccountSettings(account=known.owner[2:].upper())

    got = normalise(served.client.fetch(by_owner, None))
    same = normalise(served.client.fetch(AccountSettings(account=known.id), None))

    assert got.holdings == same.holdings
    assert got.fills == same.fills
    assert got.account == by_owner.account


def test_an_unknown_account_is_rejected(served: Served) -> None:
    with pytest.raises(Rejected) as caught:
        served.client.fetch(AccountSettings(account="0x" + "12" * 32), None)

    assert caught.value.code == "4002"


def test_an_account_that_is_no_hex_id_is_broken_before_any_request() -> None:
    client = O2Client(VenueSettings(urls={"rest": ["http://127.0.0.1:1"]}), FakeClock())

    with pytest.raises((Broken, Retryable)):
        client.fetch(AccountSettings(account="alice"), None)


def test_only_the_wanted_markets_are_followed(served: Served) -> None:
    settings = msgspec.structs.replace(served.settings, options={"markets": ["FUEL/USDC"]})
    client = O2Client(settings, served.clock)

    got = normalise(client.fetch(settings.accounts[0], None))

    assert {instrument.name for instrument in got.instruments} == {"FUEL/USDC"}
    assert {fill.instrument for fill in got.fills} == {"FUEL/USDC"}
    wrong = msgspec.structs.replace(served.settings, options={"markets": ["GOLD/USDC"]})
    with pytest.raises(Rejected, match="GOLD/USDC"):
        O2Client(wrong, served.clock).fetch(settings.accounts[0], None)


def test_an_order_that_vanished_from_the_lists_is_looked_up(served: Served) -> None:
    """An order older than every listed closed one would be lost from sight when it closes."""
    exchange = served.sandbox.world.exchange
    account = served.sandbox.world.accounts[0]
    served.client.get_health()
    price = FUEL_USDC.best(7, served.clock.now_ms(), BUY) // 2 // FUEL_USDC.tick * FUEL_USDC.tick
    quantity = FUEL_USDC.quantity(50, price)
    old = exchange.place(account, FUEL_USDC, BUY, price, quantity, "Spot", ORIGIN_MS)
    account.orders[FUEL_USDC.id].insert(0, account.orders[FUEL_USDC.id].pop())
    settings = served.settings.accounts[0]
    seen = {o.order_id: o.status for o in normalise(served.client.fetch(settings, None)).orders}
    assert seen[old.id] == "open"
    for _ in range(60):
        exchange.cancel(exchange.place(account, FUEL_USDC, BUY, price, quantity, "Spot", ORIGIN_MS))
    exchange.cancel(old)

    payload = served.client.fetch(settings, None)

    assert len(pages(payload, "order/")) == 1
    assert {o.order_id: o.status for o in normalise(payload).orders}[old.id] == "cancelled"
    assert not pages(served.client.fetch(settings, None), "order/")


def test_more_open_orders_than_a_page_are_all_read(served: Served) -> None:
    exchange = served.sandbox.world.exchange
    account = served.sandbox.world.accounts[0]
    served.client.get_health()
    price = FUEL_USDC.best(7, served.clock.now_ms(), BUY) // 2 // FUEL_USDC.tick * FUEL_USDC.tick
    for index in range(450):
        quantity = FUEL_USDC.quantity(50 + index % 3, price)
        exchange.place(account, FUEL_USDC, BUY, price, quantity, "Spot", served.clock.now_ms())

    got = normalise(served.client.fetch(served.settings.accounts[0], None))

    wanted = {o.id for o in exchange.open_orders(account, FUEL_USDC)}
    assert len(wanted) >= 450
    assert {o.order_id for o in got.orders if o.status == "open" and o.instrument == "FUEL/USDC"} == wanted


def test_every_read_method_answers_json(served: Served) -> None:
    client, account = served.client, served.sandbox.world.accounts[0]
    market, now = FUEL_USDC.id, served.clock.now_ms()
    client.get_health()
    any_order = account.orders[market][0].id

    answers = [
        client.get_markets(),
        client.get_market_summary(market),
        client.get_market_ticker(market),
        client.get_depth(market, 100, 3),
        client.get_trades(market, direction="asc"),
        client.get_trades_by_account(market, account.id, direction="asc"),
        client.get_bars(market, now - 5 * HOUR_MS, now),
        client.get_account(owner=account.owner),
        client.get_account_window(account.id, 1),
        client.get_balance(FUEL_USDC.base.asset, account.id),
        client.get_orders(market, account.id, is_open=False),
        client.get_order(market, any_order),
        client.get_aggregated_assets(),
        client.get_aggregated_orderbook("FUEL_USDC"),
        client.get_aggregated_summary(),
        client.get_aggregated_ticker(),
        client.get_aggregated_trades("FUEL_USDC"),
        client.get_referral_info("NOPE"),
    ]

    assert all(json.loads(answer) for answer in answers)


@pytest.mark.parametrize("kind", ["duplicates", "reorder"])
def test_repeated_and_shuffled_lists_change_nothing(served: Served, kind: Any) -> None:
    account = served.settings.accounts[0]
    expected = normalise(served.client.fetch(account, None))
    faults = Faults(seed=3)
    twin_clock = FakeClock(served.clock.now_ms())

    twin = sandbox(twin_clock)
    faults.install(twin.app)
    faults.arm(kind, "/v1/", count=-1)
    with serving(twin.app) as url:
        settings = VenueSettings(urls={"rest": [url]}, requests_per_s=500.0)
        got = normalise(O2Client(settings, twin_clock).fetch(account, None))

    assert facts(got) == facts(expected)


def facts(snapshot: Snapshot) -> Any:
    """What must not depend on how often or in which order a venue lists things."""
    by_id = sorted(snapshot.orders, key=lambda o: o.order_id)
    closed = {o.order_id for o in by_id if o.status != "open"}
    return (
        snapshot.fills,
        sorted(snapshot.holdings, key=lambda h: h.instrument),
        [o for o in by_id if o.order_id not in closed],
        sorted(snapshot.marks, key=lambda m: m.instrument),
        snapshot.equity_usd,
    )


@pytest.mark.parametrize("kind", ["500", "503", "429", "truncated", "disconnect"])
def test_the_venues_bad_days_are_retryable(served: Served, kind: Any) -> None:
    faults = Faults(seed=3)
    clock = FakeClock(served.clock.now_ms())

    twin = sandbox(clock)
    faults.install(twin.app)
    with serving(twin.app) as url:
        client = O2Client(VenueSettings(urls={"rest": [url]}, requests_per_s=500.0), clock)
        faults.arm(kind, "/v1/trades_by_account")
        with pytest.raises(Retryable):
            client.fetch(served.settings.accounts[0], None)
        clock.advance(60)
        assert client.fetch(served.settings.accounts[0], None)


@pytest.mark.parametrize("kind", ["drift", "html", "empty", "malformed"])
def test_answers_of_another_shape_are_broken(served: Served, kind: Any) -> None:
    faults = Faults(seed=3)
    clock = FakeClock(served.clock.now_ms())

    twin = sandbox(clock)
    faults.install(twin.app)
    faults.arm(kind, "/v1/trades_by_account", count=-1)
    with serving(twin.app) as url:
        client = O2Client(VenueSettings(urls={"rest": [url]}, requests_per_s=500.0), clock)
        with pytest.raises(Broken, match="trades/"):
            client.fetch(served.settings.accounts[0], None)


class Scripted:
    """A venue with one market whose trades, balance and errors a test decides."""

    def __init__(self) -> None:
        self.trades: Callable[[dict[str, str]], list[Any]] = lambda query: []
        self.orders: Callable[[dict[str, str]], list[Any]] = lambda query: []
        self.balance: Callable[[int], str] = lambda call: "0"
        self.error: tuple[int, Any] | None = None
        self.calls: list[str] = []
        self.app = web.Application()
        self.app.router.add_get("/{path:.*}", self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append(request.path)
        if self.error is not None:
            return web.json_response(self.error[1], status=self.error[0])
        return web.json_response(self._body(request.path, dict(request.query)))

    def _body(self, path: str, query: dict[str, str]) -> Any:
        if path == "/v1/trades_by_account":
            return {"trades": self.trades(query)}
        if path == "/v1/orders":
            return {"orders": self.orders(query)}
        if path == "/v1/balance":
            call = self.calls.count(path)
            amount = self.balance(call) if query["asset_id"] == BASE else "0"
            return {"total_locked": "0", "total_unlocked": amount}
        return {
            "/v1/markets": sample("markets"),
            "/v1/accounts": sample("account"),
            "/v1/markets/ticker": sample("ticker"),
            "/v1/depth": sample("depth"),
        }[path]

    def fetch(self, since_ms: int | None = None, client: O2Client | None = None) -> Payload:
        with serving(self.app) as url:
            settings = VenueSettings(urls={"rest": [url]}, requests_per_s=500.0)
            used = client or O2Client(settings, FakeClock(OBSERVED_MS))
            return used.fetch(AccountSettings(account=ACCOUNT), since_ms)


def listed(count: int, first: int = 1) -> list[Any]:
    """Trades newest first, one per second."""
    return [
        trade(trade_id=str(n), timestamp=1767225600000 + 1000 * n)
        for n in range(first + count - 1, first - 1, -1)
    ]


def paged(rows: list[Any], *, inclusive: bool = False) -> Callable[[dict[str, str]], list[Any]]:
    """A venue's paging over these rows, with a cursor that may repeat the row it names."""

    def answer(query: dict[str, str]) -> list[Any]:
        start = 0
        if "start_trade_id" in query:
            at = [row["trade_id"] for row in rows].index(query["start_trade_id"])
            assert str(rows[at]["timestamp"]) == query["start_timestamp"]
            start = at if inclusive else at + 1
        return rows[start : start + int(query["count"])]

    return answer


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 137])
def test_pages_are_walked_to_the_end(count: int, inclusive: bool) -> None:
    venue = Scripted()
    venue.trades = paged(listed(count), inclusive=inclusive)

    assert len(normalise(venue.fetch()).fills) == count


def test_the_walk_stops_at_what_is_older_than_asked_for() -> None:
    venue = Scripted()
    venue.trades = paged(listed(400))

    payload = venue.fetch(since_ms=1767225600000 + 1000 * 340)

    assert len(pages(payload, "trades/")) == 2
    assert len(normalise(payload).fills) == 100


def test_a_cursor_that_does_not_advance_is_broken() -> None:
    venue = Scripted()
    venue.trades = lambda query: listed(50)

    with pytest.raises(Broken, match="beyond the cursor"):
        venue.fetch()

    assert venue.calls.count("/v1/trades_by_account") == 2 < MAX_PAGES


def test_an_order_cursor_that_does_not_advance_is_broken() -> None:
    venue = Scripted()
    venue.orders = lambda query: [order(order_id=f"{n:064x}") for n in range(1, 201)]

    with pytest.raises(Broken, match="beyond the cursor"):
        venue.fetch()


def test_a_trade_between_the_reads_is_read_again() -> None:
    """The balance moved after the first look at the trades: the second look finds the missing one."""
    venue = Scripted()
    venue.balance = lambda call: "40000000000" if call == 1 else "80000000000"
    venue.trades = lambda query: [] if "start_trade_id" in query else listed(1 if looks(venue) == 1 else 2)

    got = normalise(venue.fetch())

    assert looks(venue) == 2
    assert got.holdings_complete
    assert [holding.quantity for holding in got.holdings] == [80]
    assert sum(fill.quantity for fill in got.fills) == 80


def looks(venue: Scripted) -> int:
    return venue.calls.count("/v1/trades_by_account")


def test_a_balance_that_never_holds_still_says_nothing() -> None:
    venue = Scripted()
    venue.balance = lambda call: str(call)

    got = normalise(venue.fetch())

    assert got.holdings == ()
    assert not got.holdings_complete


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_code_1003_is_a_rate_limit_whatever_the_status(status: int) -> None:
    venue = Scripted()
    venue.error = (status, {"code": 1003, "message": "Rate limit exceeded"})

    with pytest.raises(Retryable) as caught:
        venue.fetch()

    assert caught.value.rate_limited or status == 500


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"code": 1000, "message": "internal"}, Retryable),
        (200, {"code": 1000, "message": "internal"}, Retryable),
        (403, {"code": 1004, "message": "region"}, Rejected),
        (404, {"error": "nothing here"}, Rejected),
        (400, ["odd"], Rejected),
        (502, "bad gateway", Retryable),
    ],
)
def test_errors_say_who_should_act(status: int, body: Any, kind: type[Exception]) -> None:
    venue = Scripted()
    venue.error = (status, body)

    with pytest.raises(kind):
        venue.fetch()


def test_without_a_ticker_price_the_book_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    venue = Scripted()
    body = venue._body
    monkeypatch.setattr(venue, "_body", lambda path, q: [] if path.endswith("ticker") else body(path, q))

    got = normalise(venue.fetch())

    assert got.marks[0].price == Decimal("0.026")


def test_a_new_listing_is_picked_up_and_the_list_is_not_asked_for_each_time(served: Served) -> None:
    account = served.settings.accounts[0]
    asked: list[int] = []
    original = served.client.get_markets
    served.client.get_markets = lambda: asked.append(1) or original()  # type: ignore[method-assign,func-returns-value]

    for _ in range(3):
        served.client.fetch(account, served.clock.now_ms())
    assert len(asked) == 1
    served.clock.advance(301)
    served.client.fetch(account, served.clock.now_ms())

    assert len(asked) == 2


def test_quote_assets_are_read_for_equity(served: Served) -> None:
    payload = served.client.fetch(served.settings.accounts[0], served.clock.now_ms())

    assert {name.split("/")[1] for name in payload.parts if name.startswith("balance/")} == set(TOKENS)
