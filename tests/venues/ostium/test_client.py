"""The client against the sandbox over real HTTP, and against answers no sandbox gives."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from runtime.clock import FakeClock
from runtime.settings import AccountSettings, VenueSettings
from tests.venues.ostium.payloads import SAMPLES, TRADER, close, limit, order, trade
from tests.venues.ostium.worlds import LIVE_MS, World, sandbox_at, world
from tests.venues.serving import serving
from venues.errors import Broken, Rejected, Retryable, VenueError
from venues.faults import Faults, Kind
from venues.model import Fill
from venues.ostium import VENUE, abi, client
from venues.ostium.client import OstiumClient
from venues.ostium.normalise import normalise
from venues.world import DAY_MS

BTC = {"id": "0", "from": "BTC", "to": "USD"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Half an hour into live trading."""
    with world(tmp_path_factory.mktemp("secrets"), LIVE_MS + 1_800_000) as made:
        yield made


def numbers(body: bytes) -> list[int]:
    return abi.split(json.loads(body)["result"])


def test_a_fetch_holds_every_part_and_normalises(live: World) -> None:
    payload = live.fetch()
    snapshot = normalise(payload)

    assert {"account", "pairs", "prices", "balance", "block"} <= set(payload.parts)
    assert (payload.venue, payload.since_ms) == ("ostium", None)
    assert payload.observed_ms == live.clock.now_ms()
    assert snapshot.holdings
    assert {h.instrument for h in snapshot.holdings} <= {m.instrument for m in snapshot.marks}
    assert snapshot.equity_usd is not None
    assert 50_000 < snapshot.equity_usd < 500_000


@pytest.mark.parametrize("number", [0, 1])
def test_fills_add_up_to_what_is_held(live: World, number: int) -> None:
    snapshot = live.snapshot(number)
    left: dict[str | None, Decimal] = {}
    for fill in snapshot.fills:
        left[fill.position_id] = left.get(fill.position_id, Decimal(0)) + fill.quantity

    assert {k: v for k, v in left.items() if v} == {h.position_id: h.quantity for h in snapshot.holdings}
    assert len(left) > len(snapshot.holdings) + 20


def test_realised_profit_less_charges_is_what_the_venue_paid(live: World) -> None:
    """Price, quantity and fee of every close explain the payout, liquidations included.

    The contract keeps leverage in steps of 0.01, so after margin was moved its own profit is off by that.
    """
    trader = live.accounts[0].account
    fills = live.snapshot().fills
    entry = {f.position_id: f.price for f in fills if f.fill_id == f.position_id}
    checked = 0
    for fill in fills:
        if fill.fill_id == fill.position_id or fill.position_id not in entry:
            continue
        row = live.sandbox.exchange.orders[int(fill.fill_id)]
        paid = Decimal(row.amount_sent or 0) - Decimal(row.collateral or 0) - row.oracle_fee
        gross = (entry[fill.position_id] - fill.price) * fill.quantity
        assert row.trader == trader
        assert abs(gross - fill.fee - paid / 10**6) < Decimal("1e-5") + abs(gross) / 1000, fill
        checked += 1

    assert checked > 50


def test_incremental_fetches_give_the_same_fills_as_a_whole_one(tmp_path: Path) -> None:
    """Only the name of the limit behind a fill is forgotten, when the limit's slot is used again."""

    def by_id(fills: Iterable[Fill]) -> dict[str, Fill]:
        return {fill.fill_id: replace(fill, order_id=None) for fill in fills}

    with world(tmp_path, LIVE_MS) as made:
        known = by_id(made.snapshot().fills)
        since_ms = LIVE_MS
        for _ in range(8):
            made.clock.advance(45)
            news = made.snapshot(since_ms=since_ms - 60_000)
            for fill_id, fill in by_id(news.fills).items():
                assert known.setdefault(fill_id, fill) == fill
            since_ms = news.observed_ms
        whole = by_id(made.snapshot().fills)

        assert known == whole
        assert len([f for f in whole.values() if f.time_ms > LIVE_MS]) > 20


def test_what_rests_is_listed_until_it_is_filled_or_cancelled(tmp_path: Path) -> None:
    with world(tmp_path, LIVE_MS) as made:
        open_ids: set[str] = set()
        ends: dict[str, str] = {}
        since_ms = LIVE_MS
        for _ in range(40):
            snapshot = made.snapshot(since_ms=since_ms - 600_000)
            since_ms = snapshot.observed_ms
            listed = {o.order_id: o for o in snapshot.orders}
            for order_id in open_ids - {i for i, o in listed.items() if o.status == "open"}:
                filled = {f.order_id for f in snapshot.fills}
                ends[order_id] = listed[order_id].status if order_id in listed else "gone"
                if ends[order_id] == "filled":
                    assert order_id in filled
            open_ids = {i for i, o in listed.items() if o.status == "open"}
            made.clock.advance(20)

        limits = {order_id: end for order_id, end in ends.items() if ":" not in order_id}
        assert {"filled", "cancelled"} <= set(limits.values())
        assert "gone" not in limits.values()


def test_equity_is_what_the_exchange_itself_would_pay_out(live: World) -> None:
    for number, wallet in enumerate(live.sandbox.wallets):
        exchange = live.sandbox.exchange
        snapshot = live.snapshot(number)
        trades = exchange.open_trades[wallet.address].values()
        rough = exchange.wallets[wallet.address] + sum(
            x.collateral for x in exchange.active_limits[wallet.address].values()
        ) + sum(t.collateral for t in trades)  # fmt: skip

        assert snapshot.equity_usd is not None
        assert (
            abs(float(snapshot.equity_usd) - rough / 1e6)
            < 0.25 * sum(t.collateral for t in trades) / 1e6 + 100
        )


def test_named_reads_agree_with_each_other(live: World) -> None:
    trader = live.accounts[0].account
    row = json.loads(live.client.subgraph.trades(trader))["data"]["trades"][0]
    pair_id, index = int(row["pair"]["id"]), int(row["index"])
    chain = live.client.chain
    assert chain is not None

    assert numbers(chain.open_trade(trader, pair_id, index))[0] == int(row["collateral"])
    assert numbers(chain.open_trade_info(trader, pair_id, index))[0] == int(row["tradeID"])
    assert (
        json.loads(live.client.subgraph.get_trade(row["tradeID"]))["data"]["trades"][0]["openPrice"]
        == row["openPrice"]
    )
    (opening,) = json.loads(live.client.subgraph.get_order(row["tradeID"]))["data"]["orders"]
    assert opening["tradeID"] == row["tradeID"]
    assert json.loads(live.client.subgraph.orders_by_transaction([opening["initiatedTx"]]))["data"][
        "orders"
    ] == [opening]
    assert json.loads(live.client.subgraph.get_pair_details("0"))["data"]["pair"]["from"] == "BTC"
    assert (
        json.loads(live.client.subgraph.meta_datas())["data"]["metaDatas"][0]["liqMarginThresholdP"] == "25"
    )
    assert numbers(chain.balance_of(trader))[0] == int(
        json.loads(live.client.builder.balance_usdc(trader))["balance"]
    )
    assert numbers(chain.allowance(trader))[0] > 0
    registry = abi.address(numbers(chain.registry())[0])
    assert numbers(chain.contract_address(registry, "callbacks"))[0] > 0
    assert numbers(chain.pending_order_ids(trader))[0] == 32
    assert numbers(chain.open_interest(0, 2))[0] > 0
    for limit_row in json.loads(live.client.subgraph.limits(trader))["data"]["limits"]:
        slot = int(limit_row["pair"]["id"]), int(limit_row["id"].rsplit("_", 1)[1])
        assert numbers(chain.open_limit_order(trader, *slot))[1] == int(limit_row["openPrice"])


def test_both_price_services_tell_the_same_prices(live: World) -> None:
    ticks = {(t["from"], t["to"]): t["mid"] for t in json.loads(live.client.prices.latest_prices())}
    newer = json.loads(live.client.prices.prices())["prices"]
    candles = json.loads(live.client.prices.ohlc("BTC-USD", LIVE_MS // 1000 - 600, LIVE_MS // 1000, "5"))

    assert {t["mid"] for t in newer} == set(ticks.values())
    assert len(candles["data"]) == 3
    assert json.loads(live.client.builder.health())["status"] == "healthy"
    assert json.loads(live.client.builder.exchange_health())["endpoint"] == "exchange"


def test_history_is_read_page_by_page_and_beyond_what_skip_reaches(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = live.snapshot()
    monkeypatch.setattr(client, "PAGE", 40)
    monkeypatch.setattr(client, "MOST_SKIPPED", 100)
    monkeypatch.setattr("venues.ostium.client._read_pages", lambda *_: None)
    paged = live.fetch()

    assert len([name for name in paged.parts if name.startswith("settled.")]) > 4
    assert normalise(paged).fills == whole.fills


def test_only_as_many_pages_as_news_need(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RECENT", 10)
    recent = live.fetch(since_ms=live.clock.now_ms() - 20_000)
    older = live.fetch(since_ms=live.clock.now_ms() - DAY_MS)

    assert not [name for name in recent.parts if name.startswith("settled.")]
    assert [name for name in older.parts if name.startswith("settled.")] == ["settled.1"]


def test_an_unknown_account_is_an_empty_one_and_no_address_is_refused(live: World) -> None:
    nobody = normalise(live.client.fetch(AccountSettings(account="0x" + "9" * 40), None))

    assert (nobody.holdings, nobody.fills, nobody.orders, nobody.equity_usd) == ((), (), (), 0)
    with pytest.raises(Rejected, match="not an address"):
        live.client.fetch(AccountSettings(account="alice"), None)


def test_mixed_case_accounts_are_the_same_account(live: World) -> None:
    trader = live.accounts[0].account
    payload = live.client.fetch(AccountSettings(account="0x" + trader[2:].upper()), None)

    assert payload.account == trader
    assert normalise(payload).holdings


def test_without_a_subgraph_there_is_no_client() -> None:
    with pytest.raises(ValueError, match=r"urls\.subgraph"):
        OstiumClient(VenueSettings(), FakeClock())


def test_the_venues_defaults_make_a_client() -> None:
    made = VENUE.client(VENUE.defaults(), FakeClock())

    assert isinstance(made, OstiumClient)
    assert made.chain is not None
    made.close()


def open_ids(made: World, number: int = 0) -> set[str | None]:
    """Ids of the trades that are open in the sandbox's own books."""
    book = made.sandbox.exchange.open_trades[made.sandbox.wallets[number].address]
    return {str(found.id) for found in book.values()}


KINDS: tuple[Kind, ...] = (
    "429", "500", "502", "503", "504", "slow", "truncated", "malformed", "html", "empty", "drift",
    "duplicates", "reorder", "disconnect",
)  # fmt: skip


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Faults]]:
    """A sandbox with the common fault switches in front."""
    clock, faults = FakeClock(LIVE_MS), Faults(seed=7)
    sandbox = sandbox_at(LIVE_MS, clock=clock)
    faults.install(sandbox.app)
    with serving(sandbox.app) as base_url:
        urls = sandbox.settings(base_url, tmp_path_factory.mktemp("secrets"))
        yield World(sandbox, OstiumClient(urls, clock), clock), faults


@pytest.mark.parametrize("path", ["/gn", "/rpc", "/PricePublish"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_a_named_error_or_does_no_harm(
    faulty: tuple[World, Faults], path: str, kind: Kind
) -> None:
    """A bad answer never becomes a wrong position; the next good poll is as good as ever."""
    made, faults = faulty
    since_ms = made.clock.now_ms() - 60_000
    good = {fill.fill_id for fill in made.snapshot(since_ms=since_ms).fills if fill.time_ms >= since_ms}
    made.clock.advance(3)  # beyond every shared answer
    faults.arm(kind, path, count=1, value=0.05 if kind == "slow" else None)
    with contextlib.suppress(VenueError):
        found = made.snapshot(since_ms=since_ms)
        assert {h.position_id for h in found.holdings} == open_ids(made)
        assert good <= {fill.fill_id for fill in found.fills}
    faults.clear()
    made.clock.advance(3)

    assert good <= {fill.fill_id for fill in made.snapshot(since_ms=since_ms).fills}


class Scripted:
    """A venue that answers what a test tells it to: GraphQL by root lists, everything else by path."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {"trades": [], "limits": [], "ended": [], "pending": [], "settled": []}
        self.graph: Callable[[str, dict[str, Any]], Any] = self.by_rows
        self.rpc: Any = {"jsonrpc": "2.0", "id": 1, "result": "0x" + "1".rjust(64, "0")}
        self.asked: list[str] = []
        self.app = web.Application()
        self.app.router.add_post("/gn", self._graph)
        self.app.router.add_post("/rpc", self._rpc)
        self.app.router.add_get("/PricePublish/latest-prices", self._prices)
        self.app.router.add_get("/v1/prices", self._newer_prices)
        self.prices_status = 200
        self.pairs = json.loads((SAMPLES / "pairs.json").read_text())

    def by_rows(self, query: str, variables: dict[str, Any]) -> Any:
        if "getPairs" in query:
            return self.pairs
        if "query Account" in query:
            return {"data": {**self.rows, "settled": self.rows["settled"][: variables["first"]]}}
        return {"data": {"orders": [], "trades": [], "limits": []}}

    async def _graph(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body["query"].split("(")[0].split("{")[0].strip())
        answer = self.graph(body["query"], body["variables"])
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    async def _rpc(self, request: web.Request) -> web.Response:
        method = (await request.json())["method"]
        if isinstance(self.rpc, dict) and "result" in self.rpc and method == "eth_blockNumber":
            return web.json_response({"jsonrpc": "2.0", "id": 1, "result": "0x64"})
        return web.json_response(self.rpc)

    async def _prices(self, _request: web.Request) -> web.Response:
        if self.prices_status != 200:
            return web.Response(status=self.prices_status)
        return web.Response(body=(SAMPLES / "latest-prices.json").read_bytes())

    async def _newer_prices(self, _request: web.Request) -> web.Response:
        return web.Response(body=(SAMPLES / "prices.json").read_bytes())


class Scene:
    """A scripted venue and a client of it."""

    def __init__(self, venue: Scripted, made: OstiumClient, clock: FakeClock) -> None:
        self.venue, self.client, self.clock = venue, made, clock

    def fetch(self, since_ms: int | None = None) -> Any:
        return self.client.fetch(AccountSettings(account=TRADER), since_ms)


@pytest.fixture
def scene() -> Iterator[Scene]:
    venue, clock = Scripted(), FakeClock(LIVE_MS)
    with serving(venue.app) as base_url:
        urls = {
            "subgraph": [f"{base_url}/gn"], "prices": [base_url], "market": [f"{base_url}/v1"],
            "rpc": [f"{base_url}/rpc"],
        }  # fmt: skip
        yield Scene(venue, OstiumClient(VenueSettings(urls=urls), clock), clock)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Type `Order` has no field `limitID`", Broken),
        ("Cannot query field 'limitID' on type 'Order'.", Broken),
        ("Store error: database unavailable", Retryable),
        ("Failed to get entities: statement timeout", Retryable),
        ("indexing_error", Retryable),
        ("Too many requests, please slow down", Retryable),
    ],
)
def test_graphql_errors_say_who_should_act(scene: Scene, message: str, error: type[Exception]) -> None:
    scene.venue.graph = lambda *_: {"errors": [{"message": message}]}

    with pytest.raises(error) as caught:
        scene.fetch()

    if isinstance(caught.value, Retryable):
        assert caught.value.rate_limited == ("Too many" in message)


def test_partial_data_beside_an_error_is_not_used(scene: Scene) -> None:
    scene.venue.graph = lambda *_: {"data": {"trades": []}, "errors": [{"message": "indexing_error"}]}

    with pytest.raises(Retryable):
        scene.fetch()


@pytest.mark.parametrize(
    ("status", "error"), [(500, Retryable), (503, Retryable), (429, Retryable), (403, Rejected)]
)
def test_http_errors_say_who_should_act(scene: Scene, status: int, error: type[Exception]) -> None:
    scene.venue.graph = lambda *_: web.Response(status=status, headers={"Retry-After": "7"})

    with pytest.raises(error) as caught:
        scene.fetch()

    if isinstance(caught.value, Retryable):
        assert caught.value.after_s == 7


@pytest.mark.parametrize("body", [b"<html>", b'{"data": null}', b"{}", b"[]", b'{"data": {"trades": 5}}'])
def test_an_answer_that_is_no_graphql_is_broken(scene: Scene, body: bytes) -> None:
    scene.venue.graph = lambda *_: web.Response(body=body)

    with pytest.raises(Broken):
        scene.fetch()


@pytest.mark.parametrize(
    ("error", "kind", "rate_limited"),
    [
        ({"code": -32005, "message": "limit exceeded"}, Retryable, True),
        ({"code": 429, "message": "slow down"}, Retryable, True),
        ({"code": -32000, "message": "header not found"}, Retryable, False),
        ({"code": -32602, "message": "invalid argument"}, Rejected, None),
        ({"code": 3, "message": "execution reverted"}, Rejected, None),
    ],
)
def test_json_rpc_errors_say_who_should_act(
    scene: Scene, error: dict[str, Any], kind: type[Exception], rate_limited: bool | None
) -> None:
    scene.venue.rpc = {"jsonrpc": "2.0", "id": 1, "error": error}

    with pytest.raises(kind) as caught:
        scene.fetch()

    assert getattr(caught.value, "rate_limited", None) == rate_limited


def test_prices_come_from_the_other_service_when_the_first_is_down(scene: Scene) -> None:
    scene.venue.prices_status = 503

    assert b"generatedAt" in scene.fetch().parts["prices"]


def test_the_list_of_pairs_is_kept_until_a_new_one_turns_up(scene: Scene) -> None:
    scene.fetch()
    scene.fetch()
    assert scene.venue.asked.count("query getPairs") == 1
    scene.venue.rows["trades"] = [trade(pair=trade()["pair"] | {"id": "77", "from": "NEW"})]
    new = scene.venue.pairs["data"]["pairs"][0] | {"id": "77", "from": "NEW"}
    scene.venue.pairs["data"]["pairs"].append(new)
    names = {i.name for i in normalise(scene.fetch()).instruments}
    assert "NEW-USD" in names
    assert scene.venue.asked.count("query getPairs") == 2
    scene.clock.advance(client.PAIRS_TTL_S + 1)
    scene.fetch()
    assert scene.venue.asked.count("query getPairs") == 3


def test_a_history_that_repeats_itself_is_broken_and_not_endless(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 3)
    rows = [order(n) for n in (9, 8, 7)]
    scene.venue.rows["settled"] = rows
    by_rows = scene.venue.by_rows
    scene.venue.graph = lambda q, v: {"data": {"orders": rows}} if "ListOrders" in q else by_rows(q, v)

    with pytest.raises(Broken, match="the same rows again"):
        scene.fetch()


def test_a_list_that_repeats_itself_is_broken_and_not_endless(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    rows = [trade(tradeID="1"), trade(tradeID="2")]
    scene.venue.rows["trades"] = rows
    by_rows = scene.venue.by_rows
    scene.venue.graph = lambda q, v: {"data": {"trades": rows}} if "query trades" in q else by_rows(q, v)

    with pytest.raises(Broken, match="the same rows again"):
        scene.fetch()


def paged(scene: Scene, trades: list[Any], limits: list[Any]) -> None:
    """Let the scripted venue serve these lists two rows at a time."""
    by_rows = scene.venue.by_rows

    def answer(query: str, variables: dict[str, Any]) -> Any:
        skip = variables.get("skip", 0)
        if "query trades" in query:
            return {"data": {"trades": trades[skip : skip + 2]}}
        if "query orders" in query:
            return {"data": {"limits": limits[skip : skip + 2]}}
        found = by_rows(query, variables)
        if "query Account" in query:
            found["data"] |= {"trades": trades[:2], "limits": limits[:2]}
        return found

    scene.venue.graph = answer


def test_long_lists_are_read_to_their_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    trades = [trade(tradeID=str(n)) for n in range(5)]
    limits = [limit(id=f"slot{n}", uniqueId=str(n)) for n in range(4)]
    paged(scene, trades, limits)
    snapshot = normalise(scene.fetch())

    assert [h.position_id for h in snapshot.holdings] == ["0", "1", "2", "3", "4"]
    assert {o.order_id for o in snapshot.orders} == {"0", "1", "2", "3"}


def test_lists_that_move_while_they_are_read_are_read_again_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    trades = [trade(tradeID=str(n)) for n in range(3)]
    paged(scene, trades, [])
    answer = scene.venue.graph

    def moving(query: str, variables: dict[str, Any]) -> Any:
        found = json.loads(json.dumps(answer(query, variables)))
        if "query trades" in query:
            trades.pop(0)
        return found

    scene.venue.graph = moving

    with pytest.raises(Retryable, match="changed while its pages were read"):
        scene.fetch()


def test_closes_bring_the_earlier_orders_of_their_trade(scene: Scene) -> None:
    scene.venue.rows["settled"] = [close(9, 5, closePercent="5000")]
    by_rows = scene.venue.by_rows
    chain = {
        "data": {"orders": [order(5), close(7, 5, closePercent="5000"), close(9, 5, closePercent="5000")]}
    }
    scene.venue.graph = lambda q, v: chain if "TradeOrders" in q else by_rows(q, v)
    snapshot = normalise(scene.fetch(since_ms=1_738_000_005_000))

    assert [f.quantity for f in snapshot.fills] == [Decimal("0.01"), Decimal("-0.005"), Decimal("-0.0025")]


def test_accounts_of_one_round_share_prices_and_height(scene: Scene) -> None:
    for _ in range(3):
        scene.fetch()
    scene.clock.advance(2)
    scene.fetch()

    assert scene.venue.asked.count("query Account") == 4
