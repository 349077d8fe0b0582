"""The client against the sandbox over real HTTP: complete, consistent, sparing, and honest when it cannot."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.venues.limitless.serving import LIVE_MS, Served, served
from venues.errors import Broken, Rejected
from venues.http import Answer, Http
from venues.limitless.client import LimitlessClient
from venues.limitless.normalise import normalise
from venues.limitless.sandbox import tokens, trading
from venues.limitless.sandbox.accounts import START_CASH, Account, Order
from venues.limitless.sandbox.markets import SERIES, Market
from venues.model import Fill, Snapshot
from venues.world import DAY_MS, HOUR_MS

D = Decimal
DUST = D("0.001")
MINUTE_MS = 60_000


def look(place: Served, client: LimitlessClient, number: int = 0, since_ms: int | None = None) -> Snapshot:
    return normalise(client.fetch(place.account(number), since_ms))


def folded(fills: list[Fill]) -> dict[str, Decimal]:
    """What the fills add up to; a closing fill ends its instrument."""
    total: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        total[fill.instrument] = total[fill.instrument] + fill.quantity if fill.kind == "trade" else D(0)
    return {name: shares for name, shares in total.items() if abs(shares) > DUST}


def held(snapshot: Snapshot) -> dict[str, Decimal]:
    return {h.instrument: h.quantity for h in snapshot.holdings if h.quantity > DUST}


def assert_same(fills: dict[str, Decimal], holdings: dict[str, Decimal]) -> None:
    assert fills.keys() == holdings.keys()
    assert all(abs(fills[name] - holdings[name]) < DUST for name in fills)


class Quiet:
    """A served exchange whose account does only what the test does."""

    def __init__(self, place: Served) -> None:
        self.place, self.engine = place, place.sandbox.engine
        self.engine._queue.clear()  # nobody acts by himself
        self.account: Account = self.engine.accounts[0]
        self.account.stakes.clear()
        self.account.rows.clear()
        self.account.orders.clear()
        self.account.orders_of.clear()
        self.account.live.clear()
        self.account.markets.clear()
        self.account.busy.clear()
        self.engine.now_ms = LIVE_MS
        self.client = place.client()

    def market(self, number: int = 4) -> Market:
        series = SERIES[number]
        return self.engine.universe.listing(series, LIVE_MS // series.period_ms)[0]

    def take(self, **options: Any) -> Order:
        at_ms = self.place.clock.now_ms()
        options = {"is_buy": True, **options}
        order = trading.take(self.engine, self.account, self.market(), 0, 100_000_000, at_ms, **options)
        assert order is not None
        return order

    def wait(self, seconds: float) -> None:
        self.place.clock.advance(seconds)
        self.engine.advance(self.place.clock.now_ms())

    def look(self, since_ms: int | None = None) -> Snapshot:
        return look(self.place, self.client, 0, since_ms)


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    with served(accounts=1, now_ms=LIVE_MS - 20 * DAY_MS) as place:
        place.clock.advance(20 * DAY_MS / 1000)
        yield Quiet(place)


# --- completeness -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_fills_of_three_weeks_add_up_to_what_is_held(number: int, place: Served) -> None:
    snapshot = look(place, place.client(), number)

    assert len(snapshot.fills) > 60
    assert_same(folded(list(snapshot.fills)), held(snapshot))
    assert {f.kind for f in snapshot.fills} == {"trade", "resolution"}
    assert sum(f.fee for f in snapshot.fills) > 0


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fills_and_fees_explain_every_dollar_of_the_wallet(number: int, place: Served) -> None:
    """What was paid, charged and paid out, from the first trade to the last redemption."""
    account, engine = place.sandbox.engine.accounts[number], place.sandbox.engine
    fills = look(place, place.client(), number).fills

    flow = -sum((fill.quantity * fill.price + fill.fee for fill in fills), D(0))
    unredeemed = sum(
        stake.shares
        for (slug, outcome), stake in account.stakes.items()
        if engine.universe.resolved_ms(account.markets[slug]) <= engine.now_ms
        and engine.universe.winner(account.markets[slug]) == outcome
    )
    converted = sum(row.shares or 0 for row in account.rows if row.strategy == "Convert")
    wallet = D(account.cash + unredeemed - START_CASH).scaleb(-6)
    # dust vanishes unseen, and the prices of a group's children add up to 1 only within their ticks
    assert abs(wallet - flow) < D("0.01") + D(converted).scaleb(-6) * D("0.002")


@pytest.mark.parametrize(("seed", "number"), [(1, 0), (2, 1)])
def test_windows_add_up_to_the_whole(seed: int, number: int) -> None:
    """Polls with a window, over minutes of trading, end where one look at everything does."""
    with served(seed=seed, accounts=2) as place:
        client = place.client()
        first = look(place, client, number)
        known = {fill.fill_id: fill for fill in first.fills}
        voided = set(first.voided_fills)
        for step in range(30):
            place.clock.advance([3, 12, 7, 40, 2][step % 5])
            now = look(place, client, number, place.clock.now_ms() - 10 * MINUTE_MS)
            voided |= now.voided_fills
            for fill in now.fills:
                known.setdefault(fill.fill_id, fill)
            mine = [fill for fill in known.values() if fill.fill_id not in voided]
            assert_same(folded(sorted(mine, key=lambda fill: fill.time_ms)), held(now))
        assert voided
        assert len(known) > len(first.fills) + 20


def test_every_holding_and_order_is_marked_and_described(place: Served) -> None:
    for number in range(4):
        snapshot = look(place, place.client(), number)
        names = {h.instrument for h in snapshot.holdings}
        names |= {o.instrument for o in snapshot.orders if o.status == "open"}
        assert names <= {mark.instrument for mark in snapshot.marks}
        assert names <= {instrument.name for instrument in snapshot.instruments}


def test_averages_and_equity_are_the_engines(place: Served) -> None:
    account = place.sandbox.engine.accounts[1]
    snapshot = look(place, place.client(), 1)

    for holding in snapshot.holdings:
        slug, _, side = holding.instrument.rpartition(":")
        stake = account.stakes[(slug, ("YES", "NO").index(side))]
        assert holding.quantity == D(stake.shares).scaleb(-6)
        assert holding.average_entry_price == D(stake.fill_price).scaleb(-6)
    worth = sum(
        h.quantity * m.price
        for h in snapshot.holdings
        for m in snapshot.marks
        if m.instrument == h.instrument
    )
    assert snapshot.equity_usd is not None
    assert snapshot.equity_usd - worth >= D(account.cash).scaleb(-6)


def test_an_account_without_credentials_is_read_in_public(place: Served) -> None:
    snapshot = look(place, place.client(), 3)

    assert snapshot.holdings
    assert {fill.kind for fill in snapshot.fills} <= {"resolution"}
    assert snapshot.orders == ()
    assert snapshot.equity_usd is not None


def test_a_smart_wallet_is_recognised(place: Served) -> None:
    account = place.sandbox.engine.accounts[1]
    assert account.smart_wallet is not None

    payload = place.client().fetch(place.account(1), None)

    row = json.loads(payload.parts["positions"])["clob"][0]
    assert row["makerAddress"] == account.smart_wallet != account.address
    assert int(json.loads(payload.parts["cash"])["result"], 16) == account.cash


def test_a_payload_holds_no_credentials(place: Served) -> None:
    for number, account in enumerate(place.sandbox.engine.accounts):
        body = b"".join(place.client().fetch(place.account(number), None).parts.values())
        for secret in (account.token.secret, account.api_key, account.identity):
            assert secret.encode() not in body


def test_two_sandboxes_tell_our_client_the_same_story() -> None:
    seen = []
    for _ in range(2):
        with served(accounts=1) as place:
            place.clock.advance(500)
            seen.append(look(place, place.client()))
    assert seen[0] == seen[1]


# --- one event at a time ----------------------------------------------------------------------------


def test_a_trade_counts_when_it_is_mined(quiet: Quiet) -> None:
    order = quiet.take()
    before = quiet.look()
    quiet.wait(3)
    after = quiet.look()

    assert (before.fills, before.holdings) == ((), ())
    (fill,) = after.fills
    assert (fill.order_id, fill.quantity) == (order.id, D(order.gross - order.fee_shares).scaleb(-6))
    assert held(after) == {fill.instrument: fill.quantity}
    assert fill.quantity * fill.price + fill.fee == D(order.usd + order.fee_usd).scaleb(-6)


def test_a_reverted_trade_is_voided_although_nothing_else_shows_it(quiet: Quiet) -> None:
    quiet.take(fate="reverted")
    quiet.wait(3)
    (fill,) = quiet.look().fills
    quiet.wait(30)

    after = quiet.look(since_ms=LIVE_MS - MINUTE_MS)

    assert after.voided_fills == {fill.fill_id}
    assert (after.fills, after.holdings) == ((), ())


def test_a_trade_that_never_settled_is_never_a_fill(quiet: Quiet) -> None:
    quiet.take(fate="failed")
    quiet.wait(30)

    snapshot = quiet.look()

    assert (snapshot.fills, snapshot.voided_fills) == ((), frozenset())


def rest(quiet: Quiet, **options: Any) -> Order:
    at_ms = quiet.place.clock.now_ms()
    order = trading.rest(
        quiet.engine, quiet.account, quiet.market(), 0, 100_000_000, 5, at_ms, **{"is_buy": True, **options}
    )
    assert order is not None
    return order


def test_a_resting_order_comes_fills_and_is_done(quiet: Quiet) -> None:
    order = rest(quiet)
    (resting,) = quiet.look().orders
    order.price = 999  # the market has come to it
    trading.fill_crossed(quiet.engine, quiet.account, quiet.place.clock.now_ms())
    quiet.wait(5)
    order.price = 5
    (partly,) = quiet.look().orders
    order.price = 999
    trading.fill_crossed(quiet.engine, quiet.account, quiet.place.clock.now_ms())
    quiet.wait(5)
    (done,) = quiet.look().orders

    assert (resting.status, resting.filled, resting.price) == ("open", D(0), D("0.005"))
    assert (partly.status, partly.filled) == ("open", D(40))
    assert (done.status, done.filled) == ("filled", D(100))
    assert {resting.order_id, partly.order_id, done.order_id} == {order.id}


def test_an_order_that_is_cancelled_is_followed_to_its_end(quiet: Quiet) -> None:
    """It vanishes from every list: the client remembers its number and asks what became of it."""
    order = rest(quiet)
    assert quiet.look().orders[0].status == "open"
    trading.cancel(quiet.engine, quiet.account, order, LIVE_MS)
    quiet.wait(1)

    (cancelled,) = quiet.look().orders

    assert (cancelled.order_id, cancelled.status) == (order.id, "cancelled")
    assert quiet.look().orders == ()  # said once


def test_a_market_is_watched_by_wish_although_nothing_is_held_there(quiet: Quiet) -> None:
    """The portfolio of a real account might not list a market where only an order rests."""
    account = replace(quiet.place.account(), options={"markets": [quiet.market().slug]})

    payload = quiet.client.fetch(account, None)

    assert f"orders:{quiet.market().slug}" in payload.parts


def test_resolution_and_redemption_close_a_position_once(quiet: Quiet) -> None:
    market = quiet.market()
    tokens.split(quiet.engine, quiet.account, market, 50_000_000, LIVE_MS)
    known = {fill.fill_id for fill in quiet.look().fills}
    quiet.wait((quiet.engine.universe.resolved_ms(market) - LIVE_MS) / 1000 + 1)
    resolved = quiet.look(since_ms=LIVE_MS)
    quiet.wait(2 * DAY_MS / 1000)
    redeemed = quiet.look(since_ms=LIVE_MS)

    closings = [{f.fill_id: f for f in seen.fills if f.fill_id not in known} for seen in (resolved, redeemed)]
    assert (
        closings[0].keys() == closings[1].keys() == {f"resolution:{market.slug}:{s}" for s in ("YES", "NO")}
    )
    assert {f.price for f in closings[0].values()} == {D(0), D(1)}
    assert {f.quantity for f in closings[0].values()} == {D(-50)}
    assert {f.time_ms // 1000 for f in closings[1].values()} == {
        quiet.engine.universe.resolved_ms(market) // 1000
    }
    assert (resolved.holdings, redeemed.holdings) == ((), ())


def test_an_expired_market_waits_for_its_outcome(quiet: Quiet) -> None:
    market = quiet.market()
    tokens.split(quiet.engine, quiet.account, market, 50_000_000, LIVE_MS)
    quiet.wait((market.expires_ms - LIVE_MS) / 1000 + 5)

    snapshot = quiet.look()

    assert {h.status for h in snapshot.holdings} == {"pending_resolution"}
    assert sum(mark.price for mark in snapshot.marks) == 1
    assert {f.kind for f in snapshot.fills} == {"trade"}


# --- paging and consistency -------------------------------------------------------------------------


class Script:
    """Stands in for the venue: answers by path, and counts what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Callable[[str], Any]]) -> None:
        self.asked: Counter[str] = Counter()
        self._answers = answers
        monkeypatch.setattr(Http, "request", lambda _, method, target, **__: self._answer(target))

    def _answer(self, target: str) -> Answer:
        path, _, query = target.partition("?")
        self.asked[path] += 1
        found = self._answers[path](query) if path in self._answers else None
        return Answer(404 if found is None else 200, {}, json.dumps(found or {}).encode())


EMPTY: dict[str, Any] = {"clob": [], "amm": [], "group": []}


def scripted(place: Served, monkeypatch: pytest.MonkeyPatch, pages: Callable[[str], Any]) -> Any:
    address = place.account().account
    script = Script(
        monkeypatch,
        {
            "/profiles/me": lambda _: {"id": 1, "account": address},
            "/portfolio/positions": lambda _: EMPTY,
            "/portfolio/history": pages,
        },
    )
    return script, place.client()


def row(number: int, at_s: int = LIVE_MS // 1000) -> dict[str, Any]:
    return {"blockTimestamp": at_s, "strategy": "Reward", "collateralAmount": str(number)}


@pytest.mark.parametrize(
    "pages",
    [
        lambda query: {"data": [row(1)], "nextCursor": "same"},  # the same page for ever
        lambda query: {
            "data": [row(len(query))],
            "nextCursor": "ab"[query.startswith("cursor=a")],
        },  # a circle
        lambda query: {"data": [], "nextCursor": query + "x"},  # nothing, and always more of it
    ],
)
def test_a_cursor_that_does_not_advance_is_broken(
    pages: Callable[[str], Any], place: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, client = scripted(place, monkeypatch, pages)

    with pytest.raises(Broken, match="history"):
        client.fetch(place.account(), None)
    assert script.asked["/portfolio/history"] < 6


def test_paging_stops_at_the_window(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def pages(query: str) -> Any:
        number = int(query.split("&")[0].removeprefix("cursor=") or 0)
        return {"data": [row(number, LIVE_MS // 1000 - number * 60)], "nextCursor": str(number + 1)}

    _, client = scripted(place, monkeypatch, pages)

    payload = client.fetch(place.account(), LIVE_MS - 5 * MINUTE_MS)

    assert len([part for part in payload.parts if part.startswith("history:")]) == 7


def test_an_account_that_changes_while_it_is_read_is_read_again(
    place: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Portfolio and history must belong together: a trade between the two readings shows in one only."""
    asked = Counter[str]()

    def pages(query: str) -> Any:
        asked["history"] += 1
        return {"data": [row(min(asked["history"], 3))], "nextCursor": None}

    script, client = scripted(place, monkeypatch, pages)

    payload = client.fetch(place.account(), None)

    assert script.asked["/portfolio/positions"] == 3
    assert json.loads(payload.parts["history:0"])["data"] == [row(3)]


def test_an_account_that_never_stands_still_is_read_all_the_same(
    place: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that trades several times a second would otherwise never be read at all."""
    asked = Counter[str]()

    def pages(query: str) -> Any:
        asked["history"] += 1
        return {"data": [row(asked["history"])], "nextCursor": None}

    script, client = scripted(place, monkeypatch, pages)

    payload = client.fetch(place.account(), None)

    assert json.loads(payload.parts["history:0"])["data"] == [row(4)]
    assert script.asked["/portfolio/positions"] == 4


def test_what_a_page_says_about_its_markets_may_change_between_readings(
    place: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[str]()

    def pages(query: str) -> Any:
        asked["history"] += 1
        return {"data": [row(1)], "nextCursor": None, "took": asked["history"]}

    script, client = scripted(place, monkeypatch, pages)

    client.fetch(place.account(), None)

    assert script.asked["/portfolio/positions"] == 1


def test_what_is_final_is_not_asked_for_again(moving: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client = moving.client()
    account = moving.account()
    client.fetch(account, None)
    asked: list[str] = []
    request = Http.request

    def counted(http: Http, method: str, path: str, **options: Any) -> Answer:
        asked.append(path.partition("?")[0])
        return request(http, method, path, **options)

    monkeypatch.setattr(Http, "request", counted)
    payload = client.fetch(account, LIVE_MS - 30 * DAY_MS)

    assert any(part == "status:kept" for part in payload.parts)
    assert Counter(asked)["/portfolio/history"] == 3  # two pages, and the newest once more
    assert len(asked) < 12
    assert normalise(payload).fills == look(moving, moving.client(), 0, LIVE_MS - 30 * DAY_MS).fills


def test_accounts_can_be_read_from_several_threads() -> None:
    with served(accounts=3) as place:
        client, seen = place.client(), {}

        def work(number: int) -> None:
            for _ in range(3):
                seen[number] = look(place, client, number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        for number in range(3):
            alone = look(place, place.client(), number)
            assert (seen[number].fills, seen[number].holdings) == (alone.fills, alone.holdings)


# --- credentials and faults -------------------------------------------------------------------------


def test_a_missing_secret_is_named(place: Served) -> None:
    account = replace(place.account(), secrets={"api_key": "env:NOT_THERE_AT_ALL"})

    with pytest.raises(Rejected, match="NOT_THERE_AT_ALL"):
        place.client().fetch(account, None)


def test_somebody_elses_credentials_are_refused(place: Served) -> None:
    mixed = replace(place.account(0), secrets=place.account(1).secrets)

    with pytest.raises(Rejected, match="belong to"):
        place.client().fetch(mixed, None)


def test_replaced_secrets_are_read_again_after_a_refusal(moving: Served, tmp_path: Path) -> None:
    good = moving.sandbox.engine.accounts[1].api_key
    path = tmp_path / "key"
    path.write_text("lmts_old")
    account = replace(moving.account(1), secrets={"api_key": f"file:{path}"})
    client = moving.client()

    with pytest.raises(Rejected, match="401"):
        client.fetch(account, None)
    path.write_text(good)

    assert client.fetch(account, None).parts


def test_an_account_may_have_a_name_of_its_own(place: Served) -> None:
    named = replace(place.account(3), account="desk", options={"address": place.account(3).account})

    assert place.client().fetch(named, None).parts["positions"]


def test_a_node_that_fails_costs_only_the_equity(moving: Served) -> None:
    moving.faults.arm("500", "/rpc", count=-1)
    client = moving.client()

    first, second = look(moving, client), look(moving, client)

    assert first.equity_usd is None is second.equity_usd
    assert first.holdings
    moving.faults.clear()
    moving.clock.advance(61)
    assert look(moving, client).equity_usd is not None


def test_without_a_node_equity_is_unknown(place: Served) -> None:
    urls = {name: where for name, where in place.settings.urls.items() if name != "rpc"}
    client = LimitlessClient(replace(place.settings, urls=urls), place.clock)

    assert look(place, client).equity_usd is None


@pytest.mark.parametrize("kind", ["malformed", "html", "empty", "drift"])
@pytest.mark.parametrize(
    "path", ["/portfolio/positions", "/portfolio/history", "/markets/", "/orders/status"]
)
def test_an_answer_in_another_shape_is_broken_with_its_part(kind: Any, path: str, moving: Served) -> None:
    moving.faults.arm(kind, path, count=-1)

    with pytest.raises(Broken) as caught:
        look(moving, moving.client())
    assert caught.value.path.split(":")[0].split(".")[0] in {
        "positions",
        "history",
        "market",
        "orders",
        "status",
        "book",
    }


def test_a_new_market_is_picked_up(moving: Served) -> None:
    client = moving.client()
    look(moving, client)
    moving.clock.advance(2 * HOUR_MS / 1000)

    snapshot = look(moving, client, 0, LIVE_MS)

    created = [int(i.name.rpartition(":")[0].rpartition("-")[2]) for i in snapshot.instruments]
    assert max(created) > LIVE_MS


def test_a_first_look_at_a_long_history_is_bounded(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of old markets would cost thousands of requests before the first position is seen."""

    def pages(query: str) -> Any:
        number = int(query.split("&")[0].removeprefix("cursor=") or 0)
        rows = [
            {**row(number), "strategy": "Limit Buy", "market": {"slug": f"m{number * 100 + n}"}}
            for n in range(100)
        ]
        return {"data": rows, "nextCursor": str(number + 1) if number < 9 else None}

    script, client = scripted(place, monkeypatch, pages)

    payload = client.fetch(place.account(), None)

    assert len([part for part in payload.parts if part.startswith("history:")]) == 10
    assert len([path for path in script.asked if path.endswith("/user-orders")]) == 400
    assert sum(script.asked.values()) < 820
