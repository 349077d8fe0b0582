"""The sandbox's world: the same story every time, books that add up, and everything the venue can do."""

from __future__ import annotations

import stat
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clock import FakeClock
from runtime.settings import read_secret
from tests.venues.ostium.worlds import LIVE_MS, ORIGIN_MS, sandbox_at, story
from venues.ethereum import Account
from venues.ostium.exchange.engine import Exchange, Ticket
from venues.ostium.exchange.market import PAIRS, day_trading, last_open_ms
from venues.ostium.exchange.state import ALL, RevertError
from venues.ostium.exchange.timeline import Timeline
from venues.ostium.sandbox import OstiumSandbox
from venues.world import DAY_MS, HOUR_MS

MINUTE_MS = 60_000
BTC, ETH, EUR, NVDA = 0, 1, 2, 18
E18 = 10**18


@pytest.fixture(scope="module")
def grown() -> OstiumSandbox:
    """Two accounts, three weeks of history and half an hour of live trading."""
    return sandbox_at(LIVE_MS + 30 * MINUTE_MS)


def test_the_same_seed_tells_the_same_story_however_time_is_cut() -> None:
    whole, pieces = sandbox_at(LIVE_MS + MINUTE_MS), sandbox_at(ORIGIN_MS)
    at = ORIGIN_MS
    while at < LIVE_MS + MINUTE_MS:
        at = min(at + 7 * HOUR_MS + 1234, LIVE_MS + MINUTE_MS)
        pieces.exchange.timeline.advance(at)

    assert story(whole) == story(pieces)


def test_another_seed_tells_another_story() -> None:
    assert story(sandbox_at(ORIGIN_MS + DAY_MS, seed=1)) != story(sandbox_at(ORIGIN_MS + DAY_MS, seed=2))


def test_looking_changes_nothing() -> None:
    looked, left_alone = sandbox_at(ORIGIN_MS + DAY_MS), sandbox_at(ORIGIN_MS + DAY_MS)
    for _ in range(3):
        story(looked)
    for sandbox in (looked, left_alone):
        sandbox.exchange.timeline.advance(ORIGIN_MS + 2 * DAY_MS)

    assert story(looked) == story(left_alone)


def test_three_weeks_are_caught_up_quickly_and_only_once() -> None:
    began = time.process_time()
    sandbox = sandbox_at(LIVE_MS, accounts=3)
    first = time.process_time() - began
    began = time.process_time()
    for second in range(1, 21):
        sandbox.exchange.timeline.advance(LIVE_MS + second * 1000)
    later = (time.process_time() - began) / 20

    assert first < 2.0  # CPU seconds; measured 0.35 on an idle core
    assert later < first / 10


@settings(max_examples=12)
@given(st.integers(0, 23 * DAY_MS // MINUTE_MS))
def test_usdc_is_neither_made_nor_lost(minutes: int) -> None:
    exchange = sandbox_at(min(ORIGIN_MS + minutes * MINUTE_MS, LIVE_MS + 5 * MINUTE_MS)).exchange

    assert sum(exchange.wallets.values()) + exchange.locked() + exchange.vault == exchange.paid_in


@pytest.mark.parametrize("seed", [1, 7, 99])
def test_every_account_holds_something_now_and_closed_something_long_ago(seed: int) -> None:
    sandbox = sandbox_at(LIVE_MS, seed=seed, accounts=3)
    exchange = sandbox.exchange
    for step in range(20):
        now_ms = LIVE_MS + step * MINUTE_MS
        exchange.timeline.advance(now_ms)
        for wallet in sandbox.wallets:
            closed = [
                o for o in exchange.orders_of[wallet.address]
                if o.close_percent == ALL and not o.is_cancelled and not o.is_pending
                and (o.executed_at or 0) * 1000 < now_ms - DAY_MS
            ]  # fmt: skip

            assert exchange.open_trades[wallet.address]
            assert len(closed) >= 5


def test_accounts_act_every_few_hours_and_then_every_few_seconds() -> None:
    sandbox = sandbox_at(LIVE_MS + 10 * MINUTE_MS)
    for wallet in sandbox.wallets:
        asked = [
            o.initiated_at * 1000
            for o in sandbox.exchange.orders_of[wallet.address]
            if o.order_type == "Market"
        ]
        live = [ms for ms in asked if ms >= LIVE_MS]

        assert 20 <= len(asked) - len(live) <= 90  # besides limits, exits and margin
        assert 15 <= len(live) <= 90


def test_the_history_shows_everything_the_venue_can_do(grown: OstiumSandbox) -> None:
    orders = grown.exchange.orders.values()
    done = Counter((o.order_type, o.order_action) for o in orders if not o.is_cancelled and not o.is_pending)
    reasons = {o.cancel_reason for o in orders if o.is_cancelled}
    slots = Counter((t.trader, t.pair.pair.id, t.index) for t in grown.exchange.trades.values())

    for kind in (
        ("Market", "Open"), ("Market", "Close"), ("Limit", "Open"), ("Limit", "TakeProfit"),
        ("Limit", "StopLoss"), ("Limit", "Liquidation"), ("REMOVE_COLLATERAL", "RemoveCollateral"),
    ):  # fmt: skip
        assert done[kind] > 0, kind
    assert {"SLIPPAGE", "MARKET_CLOSED", "NOT_HIT"} <= reasons
    assert any(o.order_action == "Close" and 0 < (o.close_percent or ALL) < ALL for o in orders)
    assert max(slots.values()) > 1, "slots are used again"
    assert {o.is_buy for o in orders} == {True, False}
    assert any(limit.limit_type == "STOP" for limit in grown.exchange.limits.values())
    assert any(not limit.is_active and limit.order_id is None for limit in grown.exchange.limits.values())


def test_liquidations_pay_nothing_and_limits_get_their_price(grown: OstiumSandbox) -> None:
    for order in grown.exchange.orders.values():
        if order.is_pending or order.is_cancelled:
            continue
        if order.order_action == "Liquidation":
            assert order.amount_sent == 0
        if order.order_type == "Limit" and order.order_action == "Open":
            assert order.trade_id == order.id
            assert order.limit_id is not None


def test_settings_name_every_account_and_keep_the_keys_private(grown: OstiumSandbox, tmp_path: Path) -> None:
    made = grown.settings("http://127.0.0.1:1", tmp_path)

    assert [a.account for a in made.accounts] == [w.address for w in grown.wallets]
    assert set(made.urls) == {"subgraph", "prices", "market", "builder", "rpc"}
    for account in made.accounts:
        key = read_secret(account.secrets["private_key"])
        assert Account.from_key(key).address.lower() == account.account
        path = Path(account.secrets["private_key"].removeprefix("file:"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestContract:
    """Calls as a trader makes them, on an exchange without bots."""

    @pytest.fixture
    def exchange(self) -> Exchange:
        exchange = Exchange(3, Timeline(LIVE_MS))
        exchange.deposit("0xaa", 10_000 * 10**6)
        return exchange

    def price(self, exchange: Exchange, pair_id: int = BTC) -> int:
        quote = exchange.market.quote(PAIRS[pair_id], exchange.timeline.now_ms)
        return int(quote.mid * E18)

    def ticket(self, exchange: Exchange, **changes: int | bool) -> Ticket:
        fields: dict[str, int | bool] = {
            "pair_id": BTC, "is_buy": True, "collateral": 100 * 10**6, "leverage": 1000,
            "price": self.price(exchange),
        }  # fmt: skip
        return Ticket(**(fields | changes))

    def wait(self, exchange: Exchange, seconds: int = 2) -> None:
        exchange.timeline.advance(exchange.timeline.now_ms + seconds * 1000)

    def test_a_market_order_waits_for_the_oracle(self, exchange: Exchange) -> None:
        order = exchange.open_market("0xaa", self.ticket(exchange))

        assert order.is_pending
        assert "0xaa" not in exchange.open_trades
        assert exchange.wallets["0xaa"] == 9_900 * 10**6
        self.wait(exchange)
        trade = exchange.open_trades["0xaa"][BTC, 0]
        assert (trade.id, order.trade_id, order.is_pending) == (order.id, order.id, False)
        assert trade.collateral == 100 * 10**6 - order.dev_fee - order.vault_fee
        assert trade.notional == order.collateral * 1000 // 100 * 10**30 // trade.open_price  # type: ignore[operator]

    def test_a_price_that_is_gone_is_slippage_and_costs_the_oracle_fee(self, exchange: Exchange) -> None:
        order = exchange.open_market("0xaa", self.ticket(exchange, price=self.price(exchange) * 9 // 10))
        self.wait(exchange)

        assert (order.is_cancelled, order.cancel_reason) == (True, "SLIPPAGE")
        assert exchange.wallets["0xaa"] == 10_000 * 10**6 - 100_000

    def test_slots_are_used_again_and_trade_ids_are_not(self, exchange: Exchange) -> None:
        first = exchange.open_market("0xaa", self.ticket(exchange))
        second = exchange.open_market("0xaa", self.ticket(exchange))
        self.wait(exchange)
        exchange.close_market("0xaa", BTC, 0, percent=ALL, price=self.price(exchange))
        self.wait(exchange)
        third = exchange.open_market("0xaa", self.ticket(exchange))
        self.wait(exchange)
        book = exchange.open_trades["0xaa"]

        assert {slot: trade.id for slot, trade in book.items()} == {(BTC, 1): second.id, (BTC, 0): third.id}
        assert not exchange.trades[first.id].is_open

    def test_a_partial_close_scales_and_keeps_leverage_and_entry(self, exchange: Exchange) -> None:
        exchange.open_market("0xaa", self.ticket(exchange))
        self.wait(exchange)
        trade = exchange.open_trades["0xaa"][BTC, 0]
        before = (trade.collateral, trade.notional, trade.leverage, trade.open_price)
        order = exchange.close_market("0xaa", BTC, 0, percent=2500, price=self.price(exchange))
        self.wait(exchange)

        assert order.oracle_fee == 100_000
        assert (trade.leverage, trade.open_price) == before[2:]
        assert trade.collateral == before[0] - before[0] * 2500 // ALL
        assert trade.notional == before[1] - before[1] * 2500 // ALL

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"collateral": 1}, "BelowMinLevPos"),
            ({"leverage": 99, "collateral": 200 * 10**6}, "WrongLeverage"),
            ({"leverage": 99_999}, "WrongLeverage"),
            ({"pair_id": 99}, "PairNotListed"),
            ({"take_profit": 1}, "WrongTP"),
            ({"stop_loss": 10**30}, "WrongSL"),
            ({"collateral": 10**15}, "AboveMaxAllowedCollateral"),
            ({"collateral": 20_000 * 10**6}, "ERC20InsufficientBalance"),
            ({"price": 0}, "WrongParams"),
        ],
    )
    def test_refused_calls_change_nothing(
        self, exchange: Exchange, changes: dict[str, int], name: str
    ) -> None:
        with pytest.raises(RevertError, match=name):
            exchange.open_market("0xaa", self.ticket(exchange, **changes))

        assert exchange.wallets["0xaa"] == 10_000 * 10**6
        assert not exchange.orders

    def test_only_one_close_may_be_pending(self, exchange: Exchange) -> None:
        exchange.open_market("0xaa", self.ticket(exchange))
        self.wait(exchange)
        exchange.close_market("0xaa", BTC, 0, percent=5000, price=self.price(exchange))

        with pytest.raises(RevertError, match="AlreadyMarketClosed"):
            exchange.close_market("0xaa", BTC, 0, percent=ALL, price=self.price(exchange))

    def test_margin_in_lowers_the_leverage_and_margin_out_raises_it(self, exchange: Exchange) -> None:
        exchange.open_market("0xaa", self.ticket(exchange))
        self.wait(exchange)
        trade = exchange.open_trades["0xaa"][BTC, 0]
        size = trade.collateral * trade.leverage
        taken = exchange.top_up("0xaa", BTC, 0, 50 * 10**6)

        assert 0 < taken <= 50 * 10**6
        assert trade.leverage < 1000
        assert abs(trade.collateral * trade.leverage - size) < trade.leverage
        order = exchange.remove_collateral("0xaa", BTC, 0, 30 * 10**6)
        self.wait(exchange)
        assert (order.is_cancelled, order.oracle_fee) == (False, 500_000)
        assert trade.highest_leverage == 1000
        with pytest.raises(RevertError):
            exchange.remove_collateral("0xaa", BTC, 0, trade.collateral)

    def test_stops_further_than_85_percent_are_clamped_on_opening_and_refused_later(
        self, exchange: Exchange
    ) -> None:
        exchange.open_market("0xaa", self.ticket(exchange, stop_loss=1))
        self.wait(exchange)
        trade = exchange.open_trades["0xaa"][BTC, 0]

        assert trade.stop_loss == int(Decimal(trade.open_price) * Decimal("0.915"))
        with pytest.raises(RevertError, match="WrongSL"):
            exchange.update_sl("0xaa", BTC, 0, 1)

    def test_a_limits_slot_is_its_id_and_cancelling_costs_the_oracle_fee(self, exchange: Exchange) -> None:
        far = self.price(exchange) // 2
        first = exchange.place_limit("0xaa", self.ticket(exchange, price=far), "LIMIT")
        exchange.cancel_limit("0xaa", BTC, 0)
        second = exchange.place_limit("0xaa", self.ticket(exchange, price=far), "LIMIT")

        assert first.id == second.id == "0xaa_0_0"
        assert first.unique_id != second.unique_id
        assert exchange.wallets["0xaa"] == 9_900 * 10**6 - 100_000
        with pytest.raises(RevertError, match="NoLimitFound"):
            exchange.cancel_limit("0xaa", BTC, 1)

    def test_a_closed_market_cancels_market_orders(self, exchange: Exchange) -> None:
        exchange.timeline.advance(LIVE_MS + 2 * DAY_MS + 12 * HOUR_MS)  # Saturday noon
        order = exchange.open_market(
            "0xaa", self.ticket(exchange, pair_id=EUR, price=self.price(exchange, EUR))
        )
        self.wait(exchange)

        assert order.cancel_reason == "MARKET_CLOSED"


@pytest.mark.parametrize(
    ("pair_id", "after_thursday_ms", "is_open"),
    [
        (BTC, 2 * DAY_MS + 12 * HOUR_MS, True),
        (EUR, DAY_MS + 20 * HOUR_MS, True),
        (EUR, DAY_MS + 21 * HOUR_MS + 1, False),
        (EUR, 3 * DAY_MS + 21 * HOUR_MS, False),
        (EUR, 3 * DAY_MS + 22 * HOUR_MS, True),
        (NVDA, 13 * HOUR_MS, False),
        (NVDA, 14 * HOUR_MS, True),
        (NVDA, 20 * HOUR_MS + 1, False),
        (NVDA, 2 * DAY_MS + 15 * HOUR_MS, False),
    ],
)
def test_markets_keep_hours(pair_id: int, after_thursday_ms: int, is_open: bool) -> None:
    at_ms = LIVE_MS + after_thursday_ms

    assert (last_open_ms(PAIRS[pair_id], at_ms) == at_ms) == is_open


@given(st.sampled_from(sorted(PAIRS)), st.integers(0, 21 * DAY_MS))
def test_a_closed_market_keeps_the_price_of_its_close(pair_id: int, offset_ms: int) -> None:
    pair, at_ms = PAIRS[pair_id], ORIGIN_MS + offset_ms
    closed_ms = last_open_ms(pair, at_ms)

    assert closed_ms <= at_ms
    assert at_ms - closed_ms < 3 * DAY_MS
    assert last_open_ms(pair, closed_ms - 1) == closed_ms - 1  # it was open until then


@given(st.integers(0, 21 * DAY_MS))
def test_day_trading_toggles_when_it_says(offset_ms: int) -> None:
    at_ms = ORIGIN_MS + offset_ms
    is_closed, seconds = day_trading(PAIRS[NVDA], at_ms)

    assert day_trading(PAIRS[BTC], at_ms) == (False, -1)
    assert seconds >= 0
    assert day_trading(PAIRS[NVDA], at_ms + (seconds + 1) * 1000)[0] != is_closed


def test_the_clock_never_runs_backwards() -> None:
    clock = FakeClock(LIVE_MS)
    sandbox = OstiumSandbox(seed=1, accounts=1, origin_ms=LIVE_MS - HOUR_MS, clock=clock)
    sandbox.wire.now_ms()
    before = story(sandbox)
    sandbox.exchange.timeline.advance(LIVE_MS - DAY_MS)

    assert story(sandbox) == before
