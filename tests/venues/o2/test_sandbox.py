"""The sandbox is an honest exchange: exact, deterministic, quick, and shaped like the venue."""

from __future__ import annotations

import asyncio
import itertools
import json
import stat
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clock import FakeClock
from runtime.settings import read_secret
from tests.venues.o2.conftest import LIVE_MS, ORIGIN_MS, Served, sandbox
from venues.o2.sandbox import views
from venues.o2.sandbox.engine import BUY, SELL, Account, Exchange, Order, Reverted
from venues.o2.sandbox.listing import ETH_USDC, FUEL_USDC, MARKETS, TOKENS, Listed
from venues.o2.sandbox.traders import START_CASH
from venues.o2.sandbox.views import CROWD_MS
from venues.o2.sandbox.world import World
from venues.o2.signing import fuel_address
from venues.world import DAY_MS, HOUR_MS

COINS = {market.base.asset: market.base.symbol for market in MARKETS}


def traded(account: Account, asset: str) -> int:
    """Net base units of the coin that the account's trades brought."""
    return sum(
        trade.quantity * ((trade.maker is account) - (trade.taker is account)) * trade.maker_side
        for trades in account.trades.values()
        for trade in trades
        if trade.market.base.asset == asset
    )


def visiting(world: World, account: Account, asset: str) -> int:
    """What a deposit that leaves again at the next slot added."""
    trader = next(trader for trader in world.traders if trader.account is account)
    return trader.visiting[1] if trader.visiting and trader.visiting[0] == asset else 0


def spent(account: Account, asset: str) -> int:
    """Quote units that trades took (negative: brought), without fees."""
    return sum(
        trade.total * ((trade.maker is account) - (trade.taker is account)) * trade.maker_side
        for trades in account.trades.values()
        for trade in trades
        if trade.market.quote.asset == asset
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 999), minutes=st.integers(0, 21 * 24 * 60 + 30))
def test_trades_and_holdings_add_up_at_any_time(seed: int, minutes: int) -> None:
    world = World(seed, 2, ORIGIN_MS)
    world.advance(ORIGIN_MS + minutes * 60_000)

    for account in world.accounts:
        for asset in COINS:
            assert account.total(asset) == traded(account, asset) + visiting(world, account, asset)
        for asset, token in TOKENS.items():
            if token.symbol in START_CASH:
                fees = sum(b.fee for (_, held), b in account.books.items() if held == asset)
                cash = START_CASH[token.symbol] * 10**token.decimals
                assert account.total(asset) == cash - spent(account, asset) - fees
        assert all(b.locked >= 0 and b.unlocked >= 0 for b in account.books.values())
        assert all(amount >= 0 for amount in account.own.values())


@settings(max_examples=10)
@given(seed=st.integers(0, 999), minutes=st.integers(60, 22 * 24 * 60))
def test_what_is_locked_is_what_open_orders_need(seed: int, minutes: int) -> None:
    world = World(seed, 2, ORIGIN_MS)
    world.advance(ORIGIN_MS + min(minutes, 21 * 24 * 60 + 10) * 60_000)

    for account in world.accounts:
        for market in MARKETS:
            opened = world.exchange.open_orders(account, market)
            buys = sum(market.total(o.price, o.rest) for o in opened if o.side == BUY)
            sells = sum(o.rest for o in opened if o.side == SELL)
            assert account.book(market, market.quote.asset).locked == buys
            assert account.book(market, market.base.asset).locked == sells


def story(world: World) -> Any:
    """Everything that happened, comparable."""
    return [
        (
            account.id,
            sorted(account.own.items()),
            [(o.id, o.filled, o.closed, o.cancelled) for rows in account.orders.values() for o in rows],
            [(t.number, t.price, t.quantity, t.at_ms) for rows in account.trades.values() for t in rows],
        )
        for account in world.accounts
    ]


def test_a_world_asked_often_and_one_asked_once_tell_the_same_story() -> None:
    often, once = World(7, 3, ORIGIN_MS), World(7, 3, ORIGIN_MS)
    end = LIVE_MS + 10 * 60_000
    for at in (*range(ORIGIN_MS, LIVE_MS, 5 * HOUR_MS + 17), *range(LIVE_MS, end, 333), end):
        often.advance(at)
    once.advance(end)

    assert story(often) == story(once)
    assert story(once) != story(World(8, 3, ORIGIN_MS))


def test_time_does_not_go_back() -> None:
    world = World(7, 1, ORIGIN_MS)
    world.advance(LIVE_MS)
    before = story(world)

    world.advance(ORIGIN_MS)

    assert story(world) == before
    assert world.now_ms == LIVE_MS


def test_three_weeks_are_caught_up_in_a_second_and_a_request_replays_nothing() -> None:
    world = World(7, 3, ORIGIN_MS)
    started = time.process_time()
    world.advance(LIVE_MS)
    assert time.process_time() - started < 1.0

    started = time.process_time()
    for step in range(1000):
        world.advance(LIVE_MS + step)
    assert time.process_time() - started < 0.5


def runs(account: Account, asset: str) -> list[tuple[int, int | None]]:
    """(opened, closed) times of the coin's positions, by trades alone."""
    trades = sorted(
        (t for rows in account.trades.values() for t in rows if t.market.base.asset == asset),
        key=lambda t: t.number,
    )
    found: list[tuple[int, int | None]] = []
    net = 0
    for trade in trades:
        opened = net == 0
        net += trade.quantity * ((trade.maker is account) - (trade.taker is account)) * trade.maker_side
        if opened and net:
            found.append((trade.at_ms, None))
        elif not opened and net == 0:
            found[-1] = (found[-1][0], trade.at_ms)
    return found


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_every_account_has_an_open_position_and_several_closed_long_ago(seed: int) -> None:
    world = World(seed, 3, ORIGIN_MS)
    holding = asked = 0
    for step in range(60):
        world.advance(LIVE_MS + step * 20_000)
        for account in world.accounts:
            asked += 1
            holding += any(account.total(asset) for asset in COINS)
            closed = [end for asset in COINS for _, end in runs(account, asset) if end is not None]
            assert sum(end < world.now_ms - DAY_MS for end in closed) >= 3

    assert holding >= 0.97 * asked


def test_the_history_shows_every_kind_of_event() -> None:
    world = World(7, 3, ORIGIN_MS)
    world.advance(LIVE_MS + HOUR_MS // 2)
    trades = [(a, t) for a in world.accounts for rows in a.trades.values() for t in rows]
    orders = [o for a in world.accounts for rows in a.orders.values() for o in rows]

    assert any(t.maker is a and t.taker is not a for a, t in trades)
    assert any(t.taker is a and t.maker is not a for a, t in trades)
    assert any(t.taker is t.maker is a for a, t in trades)
    assert any(o.cancelled and o.filled for o in orders)
    assert any(o.cancelled and not o.filled for o in orders)
    assert any(0 < o.filled < o.quantity and not o.closed for o in partly_filled_now(world))
    assert {o.kind for o in orders} >= {"Spot", "Market", "PostOnly", "FillOrKill"}
    assert {t.market.pair for _, t in trades} == {market.pair for market in MARKETS}


def partly_filled_now(world: World) -> list[Order]:
    """Open orders with a part filled, looked for over the next minutes."""
    for step in range(600):
        world.advance(LIVE_MS + HOUR_MS // 2 + step * 2000)
        found = [o for rows in world.exchange.resting.values() for o in rows if o.filled]
        if found:
            return found
    return []


def test_live_accounts_act_every_quarter_of_a_minute() -> None:
    world = World(7, 1, ORIGIN_MS)
    world.advance(LIVE_MS)
    before = world.accounts[0].nonce
    world.advance(LIVE_MS + 10 * 60_000)

    assert 25 <= world.accounts[0].nonce - before <= 60


def funded() -> tuple[Exchange, Account]:
    exchange = Exchange(seed=1)
    account = Account(id="0x01", owner="0x02")
    exchange.add_account(account)
    exchange.deposit(account, FUEL_USDC.quote.asset, 10_000 * 10**6, LIVE_MS)
    exchange.deposit(account, FUEL_USDC.base.asset, 100_000 * 10**9, LIVE_MS)
    return exchange, account


@pytest.mark.parametrize(
    ("side", "price", "quantity", "kind", "variant"),
    [
        (BUY, 25001, 10**12, "Spot", "PricePrecision"),
        (BUY, 25010, 123456789, "Spot", "FractionalPrice"),
        (BUY, 25000, 10**9, "Spot", "InvalidOrderArgs"),
        (BUY, 25000, 10**18, "Spot", "NotEnoughBalance"),
        (SELL, 25000, 10**18, "Spot", "NotEnoughBalance"),
        (BUY, 50000, 10**12, "PostOnly", "OrderPartiallyFilled"),
        (BUY, 10000, 10**12, "FillOrKill", "OrderNotFilled"),
    ],
)
def test_the_exchange_refuses_what_the_contract_refuses(
    side: int, price: int, quantity: int, kind: str, variant: str
) -> None:
    exchange, account = funded()

    with pytest.raises(Reverted) as caught:
        exchange.place(account, FUEL_USDC, side, price, quantity, kind, LIVE_MS)

    assert caught.value.variant == variant
    assert account.total(FUEL_USDC.quote.asset) == 10_000 * 10**6


def test_a_better_price_than_the_limit_frees_the_difference() -> None:
    exchange, account = funded()
    best = FUEL_USDC.best(1, LIVE_MS, SELL)

    order = exchange.place(account, FUEL_USDC, BUY, best * 2, 10**12, "Spot", LIVE_MS)

    assert order.closed
    assert order.filled == 10**12
    paid = sum(trade.total for trade in account.trades[FUEL_USDC.id])
    fee = account.book(FUEL_USDC, FUEL_USDC.quote.asset).fee
    assert account.total(FUEL_USDC.quote.asset) == 10_000 * 10**6 - paid - fee
    assert paid < FUEL_USDC.total(best * 2, 10**12)
    assert fee == sum(trade.total * 100 // 10**6 for trade in account.trades[FUEL_USDC.id])


def test_an_order_meets_other_accounts_before_the_market_maker() -> None:
    exchange, account = funded()
    other = Account(id="0x03", owner="0x04")
    exchange.add_account(other)
    exchange.deposit(other, FUEL_USDC.base.asset, 10**15, LIVE_MS)
    price = FUEL_USDC.best(1, LIVE_MS, SELL)
    asked = exchange.place(other, FUEL_USDC, SELL, price, 10**12, "PostOnly", LIVE_MS)

    exchange.place(account, FUEL_USDC, BUY, price, 10**12, "FillOrKill", LIVE_MS)

    assert asked.closed
    assert account.trades[FUEL_USDC.id] == other.trades[FUEL_USDC.id]
    assert account.trades[FUEL_USDC.id][0].maker is other


def test_a_market_order_takes_what_there_is_and_never_rests() -> None:
    exchange, account = funded()
    exchange.deposit(account, FUEL_USDC.quote.asset, 10**15, LIVE_MS)

    order = exchange.place(account, FUEL_USDC, BUY, 10**6, 10**17, "Market", LIVE_MS)

    assert order.closed
    assert 0 < order.filled < order.quantity
    assert account.locked(FUEL_USDC.quote.asset) == 0
    assert not exchange.open_orders(account, FUEL_USDC)


def test_a_withdrawal_beyond_the_balance_is_refused() -> None:
    exchange, account = funded()

    with pytest.raises(Reverted):
        exchange.deposit(account, FUEL_USDC.base.asset, -(10**18), LIVE_MS)


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.pair)
def test_ticks_and_lots_make_whole_totals(market: Listed) -> None:
    assert market.tick * market.lot % 10**market.base.decimals == 0


# --- over HTTP ---------------------------------------------------------------------------------------


def get(served: Served, path: str, **params: Any) -> Any:
    return requests.get(served.url + path, params=params, timeout=10).json()


def test_the_secrets_are_files_only_the_owner_reads(served: Served) -> None:
    for account, known in zip(served.settings.accounts, served.sandbox.world.accounts, strict=True):
        reference = account.secrets["owner"]
        mode = stat.S_IMODE(Path(reference.removeprefix("file:")).stat().st_mode)
        assert mode == 0o600
        assert fuel_address(bytes.fromhex(read_secret(reference))) == known.owner
        assert account.account == known.id


def test_ids_are_taken_with_and_without_prefix(served: Served) -> None:
    known = served.sandbox.world.accounts[0]

    for value in (known.id, known.id[2:], known.id.upper().replace("0X", "0x")):
        assert get(served, "/v1/accounts", trade_account_id=value)["trade_account_id"] == known.id


def test_an_unknown_owner_is_answered_with_nulls(served: Served) -> None:
    got = get(served, "/v1/accounts", owner="0x" + "12" * 32)

    assert got == {"trade_account_id": None, "trade_account": None, "session": None}


def test_the_balance_counts_the_trade_account_inside_unlocked(served: Served) -> None:
    known = served.sandbox.world.accounts[0]

    got = get(served, "/v1/balance", asset_id=FUEL_USDC.quote.asset, contract=known.id)

    books = got["order_books"].values()
    assert int(got["total_locked"]) == sum(int(book["locked"]) for book in books)
    inside = int(got["trading_account_balance"])
    assert int(got["total_unlocked"]) == inside + sum(int(book["unlocked"]) for book in books)
    assert got == get(served, "/v1/balance", asset_id=FUEL_USDC.quote.asset, address=known.owner)


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("count", [1, 7, 50])
def test_account_trades_page_without_hole_or_repeat(served: Served, direction: str, count: int) -> None:
    known = served.sandbox.world.accounts[0]
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        query = {"market_id": FUEL_USDC.id, "contract": known.id, "direction": direction, "count": count}
        rows = get(served, "/v1/trades_by_account", **query, **cursor)["trades"]
        if not rows:
            break
        found += [row["trade_id"] for row in rows]
        cursor = {"start_timestamp": rows[-1]["timestamp"], "start_trade_id": rows[-1]["trade_id"]}

    expected = [str(trade.number) for trade in known.trades[FUEL_USDC.id]]
    assert found == (expected if direction == "asc" else expected[::-1])


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_public_trades_page_in_order_and_contain_the_accounts(served: Served, direction: str) -> None:
    numbers: list[int] = []
    cursor: dict[str, Any] = {}
    for _ in range(6):
        rows = get(served, "/v1/trades", market_id=ETH_USDC.id, direction=direction, **cursor)["trades"]
        assert len(rows) == 50
        numbers += [int(row["trade_id"]) for row in rows]
        cursor = {"start_timestamp": rows[-1]["timestamp"], "start_trade_id": rows[-1]["trade_id"]}

    assert numbers == sorted(set(numbers), reverse=direction == "desc")
    own = [trade.number for trade in served.sandbox.world.exchange.trades[ETH_USDC.id]]
    inside = {number for number in own if min(numbers) <= number <= max(numbers)}
    assert inside <= set(numbers)
    span_ms = (max(numbers) - min(numbers)) // 1000
    assert len(set(numbers) - inside) == pytest.approx(span_ms / CROWD_MS, abs=2)


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_orders_page_without_hole_or_repeat(served: Served, direction: str) -> None:
    known = served.sandbox.world.accounts[0]
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while rows := get(
        served,
        "/v1/orders",
        market_id=FUEL_USDC.id,
        contract=known.id,
        direction=direction,
        count=9,
        **cursor,
    )["orders"]:
        found += [row["order_id"] for row in rows]
        cursor = {"start_timestamp": rows[-1]["timestamp"], "start_order_id": rows[-1]["order_id"]}

    expected = [order.id for order in known.orders[FUEL_USDC.id]]
    assert found == (expected if direction == "asc" else expected[::-1])


def test_open_and_closed_orders_are_told_apart(served: Served) -> None:
    known = served.sandbox.world.accounts[0]
    query = {"market_id": FUEL_USDC.id, "contract": known.id, "count": 200}

    closed = get(served, "/v1/orders", is_open="false", **query)["orders"]
    opened = get(served, "/v1/orders", is_open="true", **query)["orders"]

    assert all(row["close"] for row in closed)
    assert not any(row["close"] for row in opened)
    assert len(closed) + len(opened) == len(known.orders[FUEL_USDC.id])


def test_depth_is_sorted_and_coarser_levels_add_up(served: Served) -> None:
    fine = get(served, "/v1/depth", market_id=FUEL_USDC.id, precision=10)["orders"]
    coarse = get(served, "/v1/depth", market_id=FUEL_USDC.id, precision=1000)["orders"]

    for side, is_falling in (("buys", True), ("sells", False)):
        prices = [int(row["price"]) for row in fine[side]]
        assert prices == sorted(prices, reverse=is_falling)
        assert len(coarse[side]) < len(fine[side])
        total = sum(int(row["quantity"]) for row in fine[side])
        assert sum(int(row["quantity"]) for row in coarse[side]) == total
    assert int(fine["buys"][0]["price"]) < int(fine["sells"][0]["price"])


def test_bars_cover_the_range_and_join_up(served: Served) -> None:
    end = served.clock.now_ms()
    query = {"market_id": ETH_USDC.id, "from": end - 10 * HOUR_MS, "to": end, "resolution": "1h"}

    bars = get(served, "/v1/bars", **query)["bars"]

    assert len(bars) == 11
    for left, right in itertools.pairwise(bars):
        assert right["timestamp"] - left["timestamp"] == HOUR_MS
        assert right["open"] == left["close"]
    for bar in bars:
        prices = [int(bar[name]) for name in ("open", "high", "low", "close")]
        assert max(prices) == int(bar["high"])
        assert min(prices) == int(bar["low"])
        assert int(bar["buy_volume"]) + int(bar["sell_volume"]) == int(bar["volume"])
    back = get(served, "/v1/bars", **{**query, "count_back": 3})["bars"]
    assert len(back) == 4


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/v1/depth", {"market_id": "0x99"}, 2000),
        ("/v1/depth", {"market_id": FUEL_USDC.id, "precision": 7}, 1001),
        ("/v1/trades", {"market_id": FUEL_USDC.id, "count": 51}, 5001),
        ("/v1/trades", {"market_id": FUEL_USDC.id, "start_trade_id": "5"}, 7002),
        ("/v1/trades", {"market_id": FUEL_USDC.id, "direction": "up"}, 1001),
        ("/v1/trades_by_account", {"market_id": FUEL_USDC.id}, 1001),
        ("/v1/orders", {"market_id": FUEL_USDC.id, "contract": "0x1", "start_timestamp": 1}, 7002),
        ("/v1/order", {"market_id": FUEL_USDC.id, "order_id": "0x1"}, 3000),
        ("/v1/bars", {"market_id": FUEL_USDC.id, "resolution": "9m"}, 1001),
        ("/v1/bars", {"market_id": FUEL_USDC.id, "from": 0, "resolution": "1s"}, 7001),
        ("/v1/accounts", {}, 1001),
        ("/v1/accounts/window", {"trade_account_id": "0x1"}, 4002),
        ("/v1/balance", {"asset_id": "0x1", "contract": "0x1"}, 1001),
        ("/v1/aggregated/orderbook", {"market_pair": "GOLD_USDC"}, 2000),
    ],
)
def test_refusals_have_the_venues_envelope(
    served: Served, path: str, params: dict[str, Any], code: int
) -> None:
    answer = requests.get(served.url + path, params=params, timeout=10)

    assert answer.status_code in (400, 404)
    assert answer.json()["code"] == code
    assert answer.json()["message"]


def test_the_ticker_is_a_list_of_one_with_both_vocabularies(served: Served) -> None:
    (row,) = get(served, "/v1/markets/ticker", market_id=FUEL_USDC.id)

    assert Decimal(str(row["last_price"])) == Decimal(row["last"]).scaleb(-6)
    assert int(row["bid"]) < int(row["ask"])


async def listen(url: str, asks: list[Any], until: Any, clock: FakeClock) -> list[Any]:
    """Send the requests and collect messages until ``until(messages)``; the clock runs along."""
    messages: list[Any] = []
    deadline = time.monotonic() + 15
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        for ask in asks:
            await socket.send_str(ask if isinstance(ask, str) else json.dumps(ask))
        while not until(messages) and time.monotonic() < deadline:
            try:
                message = await socket.receive(timeout=0.05)
            except TimeoutError:
                clock.advance(5)
                continue
            messages.append(message.data if message.data == "PONG" else json.loads(message.data))
    return messages


def stream(served: Served, asks: list[Any], until: Any) -> list[Any]:
    return asyncio.run(listen(served.settings.urls["ws"][0], asks, until, served.clock))


def actions(messages: list[Any]) -> set[str]:
    return {message["action"] for message in messages if isinstance(message, dict) and "action" in message}


def test_the_stream_pushes_every_topic(served: Served) -> None:
    known = served.sandbox.world.accounts[0]
    who = {"identities": [{"ContractId": known.id}]}
    asks: list[dict[str, Any]] = [
        {"action": "subscribe_depth", "market_id": FUEL_USDC.id, "precision": "10"},
        {"action": "subscribe_trades", "market_id": FUEL_USDC.id},
        {"action": "subscribe_orders", **who},
        {"action": "subscribe_balances", **who},
        {"action": "subscribe_nonce", **who},
    ]
    wanted = {ask["action"] for ask in asks} | {"subscribe_depth_update"}

    messages = stream(served, asks, lambda got: actions(got) >= wanted)

    assert actions(messages) == wanted
    assert messages[0]["action"] == "subscribe_depth"
    assert messages[0]["market_id"] == FUEL_USDC.id
    stamped = [message for message in messages if "seen_timestamp" in message]
    assert stamped == messages


def test_depth_changes_are_differences_that_lead_to_the_book(served: Served) -> None:
    ask = {"action": "subscribe_depth", "market_id": FUEL_USDC.id, "precision": "10"}

    messages = stream(served, [ask], lambda got: len(got) >= 6)

    first = messages[0]["view"]
    book = {side: {row["price"]: int(row["quantity"]) for row in first[side]} for side in ("buys", "sells")}
    for message in messages[1:]:
        for side, rows in message["changes"].items():
            for row in rows:
                book[side][row["price"]] = book[side].get(row["price"], 0) + int(row["quantity"])
    at_ms = int(messages[-1]["seen_timestamp"])
    twin = World(7, 3, ORIGIN_MS)
    twin.advance(at_ms)
    expected = views.depth(twin.exchange, FUEL_USDC, at_ms, 10)
    for side, levels in book.items():
        assert {p: q for p, q in levels.items() if q} == {
            row["price"]: int(row["quantity"]) for row in expected[side]
        }


def test_the_stream_answers_pings_and_refuses_nonsense(served: Served) -> None:
    depth = {"action": "subscribe_depth", "market_id": FUEL_USDC.id, "precision": "10"}
    asks = [
        "PING",
        "nonsense",
        {"action": "subscribe_depth", "market_id": "0x1"},
        {"action": "subscribe_depth", "market_id": FUEL_USDC.id, "precision": "7"},
        {"action": "subscribe_orders", "identities": [{"ContractId": "0x1"}] * 11},
        {"action": "subscribe_moon"},
        depth,
        depth,
    ]

    messages = stream(served, asks, lambda got: sum("code" in m for m in got if m != "PONG") >= 6)

    assert messages[0] == "PONG"
    codes = [message["code"] for message in messages if message != "PONG" and "code" in message]
    assert codes == [1002, 6002, 6002, 6002, 6002, 6000]


def test_unsubscribing_ends_the_messages(served: Served) -> None:
    depth = {"action": "subscribe_depth", "market_id": FUEL_USDC.id, "precision": "10"}
    quiet = {"action": "unsubscribe_depth", "market_id": FUEL_USDC.id}
    again = [depth, quiet, depth]

    messages = stream(served, again, lambda got: len(got) >= 2)

    assert [message["action"] for message in messages[:2]] == ["subscribe_depth", "subscribe_depth"]


def test_two_sandboxes_of_one_seed_answer_alike() -> None:
    first, second = sandbox(FakeClock()), sandbox(FakeClock())
    first.world.advance(LIVE_MS)
    second.world.advance(LIVE_MS)

    assert story(first.world) == story(second.world)
