"""The sandbox's world: deterministic, consistent, and never without something to show."""

from __future__ import annotations

import json
import stat
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.clock import FakeClock
from runtime.settings import read_secret
from tests.venues.limitless.serving import LIVE_MS, ORIGIN_MS
from venues.limitless.sandbox import LimitlessSandbox, tokens, traders, trading
from venues.limitless.sandbox.accounts import Account, Order, Row
from venues.limitless.sandbox.book import fee_bps, levels, touch, usd_of
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.markets import MILLI, SERIES, Market, Universe
from venues.limitless.sandbox.portfolio import positions
from venues.limitless.sandbox.routes_orders import order_data
from venues.world import DAY_MS, HOUR_MS

LOT = 1000
OFFSETS = st.sampled_from(range(0, 22 * DAY_MS, 997))  # spread evenly: integers() prefers small ones


def engine(seed: int = 7, accounts: int = 3) -> Engine:
    made = Engine(seed, accounts, ORIGIN_MS)
    traders.start(made)
    return made


def story(made: Engine) -> str:
    """Everything a client could see of the accounts."""
    return json.dumps(
        [
            [
                positions(made, account, made.now_ms),
                [
                    [row.at_s, row.strategy, row.action, row.usd, row.shares, row.tx_hash]
                    for row in account.rows
                ],
                [order_data(made.seed, account, order) for order in account.orders.values()],
                account.cash,
            ]
            for account in made.accounts
        ]
    )


def quiet() -> tuple[Engine, Account, Market]:
    """An exchange whose account does nothing by itself, and a market with days to go."""
    made = Engine(7, 1, ORIGIN_MS)
    made.advance(LIVE_MS)
    series = SERIES[4]
    market = made.universe.listing(series, LIVE_MS // series.period_ms)[0]
    return made, made.accounts[0], market


# --- the world --------------------------------------------------------------------------------------


def test_three_weeks_are_caught_up_with_in_a_second() -> None:
    began = time.perf_counter()
    engine().advance(LIVE_MS)
    assert time.perf_counter() - began < 1.0


@settings(max_examples=8)
@given(st.lists(OFFSETS, min_size=1, max_size=6))
@example([21 * DAY_MS + HOUR_MS, 21 * DAY_MS, 9 * DAY_MS])
def test_the_story_does_not_depend_on_how_often_somebody_looked(offsets: list[int]) -> None:
    end = ORIGIN_MS + max(offsets)
    once, often = engine(), engine()

    once.advance(end)
    for offset in sorted(offsets):
        often.advance(ORIGIN_MS + offset)

    assert story(often) == story(once)


def test_another_seed_tells_another_story() -> None:
    stories = set()
    for seed in (1, 2):
        made = engine(seed)
        made.advance(LIVE_MS)
        stories.add(story(made))
    assert len(stories) == 2


def test_every_account_always_has_something_open_and_something_long_closed() -> None:
    made = engine()
    moments = [
        *range(ORIGIN_MS + 5 * DAY_MS, LIVE_MS, 6 * HOUR_MS),
        *range(LIVE_MS, LIVE_MS + HOUR_MS, 20_000),
    ]
    for now_ms in moments:
        made.advance(now_ms)
        for account in made.accounts:
            assert made.open_keys(account, now_ms), (account.number, now_ms)
    for account in made.accounts:
        day_ago_s = (made.now_ms - DAY_MS) // 1000
        closed = [r for r in account.rows if r.action in ("win", "loss") and r.at_s < day_ago_s]
        assert len(closed) >= 5


def test_the_history_shows_everything_the_venue_does() -> None:
    made = engine()
    made.advance(LIVE_MS)
    seen = Counter(row.strategy or row.action for account in made.accounts for row in account.rows)
    states = {
        (order.kind, order.status, order.settlement)
        for account in made.accounts
        for order in account.orders.values()
    }

    trades = {"Limit Buy", "Limit Sell", "Market Buy", "Buy", "Sell", "Split", "Merge", "Convert"}
    assert set(seen) == trades | {"win", "loss", "claim"}
    assert {
        ("GTC", "MATCHED", "MINED"),
        ("GTC", "CANCELLED", "UNMATCHED"),
        ("FAK", "MATCHED", "FAILED"),
    } <= states


@given(OFFSETS)
@example(21 * DAY_MS + 2 * HOUR_MS)
@example(19 * DAY_MS)
@settings(max_examples=25)
def test_balances_are_what_the_history_adds_up_to(offset: int) -> None:
    """Every share is explained by a line of history; only dust may vanish without one."""
    made = engine(seed=offset % 5, accounts=1)
    made.advance(ORIGIN_MS + offset)
    account = made.accounts[0]
    shares: Counter[tuple[str, int]] = Counter()
    for row in account.rows:
        _apply(shares, row, account)

    held = {key: stake.shares for key, stake in account.stakes.items() if stake.shares >= LOT}
    assert {key: value for key, value in shares.items() if value >= LOT} == held
    assert all(stake.cost >= 0 for stake in account.stakes.values())


def _apply(shares: Counter[tuple[str, int]], row: Row, account: Account) -> None:
    key, amount = (row.market.slug, row.outcome), row.shares or 0
    if row.strategy in ("Split", "Merge"):
        for outcome in (0, 1):
            shares[(row.market.slug, outcome)] += amount if row.strategy == "Split" else -amount
    elif row.strategy == "Convert":
        shares[key] += amount if row.outcome == 0 else -amount
    elif row.action == "claim":
        for outcome in (0, 1):
            shares.pop((row.market.slug, outcome), None)
    elif row.action == "loss" and row.market.slug not in {slug for slug, _ in account.stakes}:
        shares.pop((row.market.slug, 1 - row.outcome), None)  # gone without a row of its own
    elif row.strategy is not None:
        fee = next((o.fee_shares for o in account.orders.values() if o.tx_hash == row.tx_hash), 0)
        shares[key] += amount - fee if row.strategy.endswith("Buy") else -amount


# --- markets ----------------------------------------------------------------------------------------


def test_a_market_is_found_again_by_its_slug_and_its_group_and_its_pool() -> None:
    universe = Universe(7)
    for listing in universe.active(LIVE_MS):
        for market in listing:
            assert universe.find(market.slug) == (market,)
        if listing[0].group is not None:
            assert universe.find(listing[0].group) == listing
        if listing[0].address is not None:
            assert universe.find(listing[0].address, LIVE_MS) == listing


@pytest.mark.parametrize("name", ["", "x", "btc-above", "btc-up-or-down-1-hour-1", "0x12", f"x-{10**20}"])
def test_an_unknown_market_is_not_found(name: str) -> None:
    assert Universe(7).find(name, LIVE_MS) == ()


def test_ids_and_tokens_are_unique_and_beyond_53_bits() -> None:
    universe = Universe(7)
    found = [market for listing in universe.active(LIVE_MS) for market in listing]

    assert len({market.id for market in found}) == len(found)
    assert len({token for market in found for token in market.tokens}) == 2 * len(found)
    assert all(int(token) > 2**53 for market in found for token in market.tokens)


def test_there_are_more_open_listings_than_fit_on_a_page() -> None:
    assert len(list(Universe(7).active(LIVE_MS))) > 25


def test_prices_converge_to_the_outcome() -> None:
    universe = Universe(7)
    right = total = 0
    for series in SERIES:
        for index in range(LIVE_MS // series.period_ms - 40, LIVE_MS // series.period_ms):
            for market in universe.listing(series, index):
                yes = universe.yes(market, market.expires_ms)
                right += (yes >= 500) == (universe.winner(market) == 0)
                total += 1
    assert right > 0.93 * total


def test_one_child_of_a_group_wins() -> None:
    universe, series = Universe(7), SERIES[8]
    for index in range(LIVE_MS // series.period_ms - 30, LIVE_MS // series.period_ms):
        listing = universe.listing(series, index)
        assert sorted(universe.winner(market) for market in listing) == [0, 1, 1]
        assert abs(sum(universe.yes(market, market.created_ms + DAY_MS) for market in listing) - MILLI) <= 10


def test_the_book_never_crosses_and_no_is_the_mirror_of_yes() -> None:
    universe = Universe(7)
    for listing in universe.active(LIVE_MS):
        for market in listing:
            bids, asks = levels(universe, market, LIVE_MS)
            if market.is_amm:
                assert (bids, asks) == ([], [])
                continue
            assert [b.price for b in bids] == sorted((b.price for b in bids), reverse=True)
            assert all(0 < level.price < MILLI for level in (*bids, *asks))
            assert bids[0].price < asks[0].price
            yes, no = (touch(universe, market, outcome, LIVE_MS) for outcome in (0, 1))
            assert (no[0], no[1]) == (MILLI - (yes[1] or 0), MILLI - (yes[0] or 0))


def test_an_expired_market_has_an_empty_book() -> None:
    _, _, market = quiet()
    assert levels(Universe(7), market, market.expires_ms) == ([], [])


def test_the_fee_is_the_published_example_and_never_above_the_ceiling() -> None:
    assert fee_bps(300, 930) == 59
    assert all(0 <= fee_bps(300, price) <= 300 for price in range(1, MILLI))


def test_buyers_round_up_and_sellers_down() -> None:
    assert usd_of(1000, 333, up=True) == usd_of(1000, 333, up=False) == 333
    assert usd_of(1001, 333, up=True) == 334
    assert usd_of(1001, 333, up=False) == 333


# --- trading ----------------------------------------------------------------------------------------


def take(made: Engine, account: Account, market: Market, **options: object) -> Order:
    order = trading.take(made, account, market, 0, 100 * LOT * LOT, made.now_ms, is_buy=True, **options)  # type: ignore[arg-type]
    assert order is not None
    return order


def test_a_takers_trade_is_matched_mined_and_confirmed() -> None:
    made, account, market = quiet()
    order = take(made, account, market)

    assert (order.settlement, account.stakes[order.key].shares, account.rows) == ("MATCHED", 0, [])
    made.advance(LIVE_MS + trading.MATCH_TO_MINE_MS)
    assert order.settlement == "MINED"
    assert account.stakes[order.key].shares == order.gross - order.fee_shares
    assert [row.tx_hash for row in account.rows] == [order.tx_hash]
    made.advance(LIVE_MS + DAY_MS // 24)
    assert order.settlement == "CONFIRMED"
    assert sum(match.shares for match in order.matches) == order.gross


def test_cash_pays_for_shares_and_fees() -> None:
    made, account, market = quiet()
    before = account.cash
    order = take(made, account, market)
    made.advance(LIVE_MS + 60_000)

    assert account.cash == before - order.usd - order.fee_usd
    assert (order.fee_shares > 0) != (order.fee_usd > 0)


def test_some_venues_take_the_buyers_fee_in_usdc() -> None:
    made, account, _ = quiet()
    series = SERIES[5]
    market = made.universe.listing(series, LIVE_MS // series.period_ms)[0]

    order = take(made, account, market)

    assert series.takes_usd_fee
    assert (order.fee_shares, order.fee_rate_bps) == (0, 0)
    assert order.fee_usd > 0


@pytest.mark.parametrize("fate", ["failed", "reverted"])
def test_a_trade_that_fails_leaves_no_trace_but_its_status(fate: str) -> None:
    made, account, market = quiet()
    first = take(made, account, market)
    made.advance(LIVE_MS + 60_000)
    before = (account.cash, account.stakes[first.key], len(account.rows))
    before_stake = (before[1].shares, before[1].cost, before[1].realised)

    bought = take(made, account, market, fate=fate)
    made.advance(made.now_ms + 60_000)
    sold = trading.take(made, account, market, 0, 50 * LOT * LOT, made.now_ms, is_buy=False, fate=fate)  # type: ignore[arg-type]
    made.advance(made.now_ms + 60_000)

    assert sold is not None
    assert {bought.settlement, sold.settlement} == {"FAILED"}
    assert (account.cash, len(account.rows)) == (before[0], before[2])
    stake = account.stakes[first.key]
    assert (stake.shares, stake.cost, stake.realised) == before_stake
    assert (bought.tx_hash is not None) == (fate == "reverted")


def test_a_retried_settlement_takes_longer() -> None:
    made, account, market = quiet()
    order = take(made, account, market, fate="retried")

    made.advance(LIVE_MS + trading.MATCH_TO_MINE_MS)
    assert order.settlement == "RETRYING"
    made.advance(LIVE_MS + trading.MATCH_TO_MINE_MS + trading.RETRY_MS)
    assert order.settlement == "MINED"


def test_a_market_with_a_taker_delay_matches_later() -> None:
    made, account, _ = quiet()
    series = SERIES[0]
    market = made.universe.listing(series, LIVE_MS // series.period_ms)[0]

    order = take(made, account, market)

    assert (order.settlement, order.eligible_ms) == ("DELAYED", LIVE_MS + series.delay_ms)
    made.advance(LIVE_MS + series.delay_ms)
    assert order.settlement == "MATCHED"


def test_a_resting_order_that_would_match_is_refused() -> None:
    made, account, market = quiet()
    bid, ask = touch(made.universe, market, 0, LIVE_MS)
    assert bid is not None
    assert ask is not None

    assert trading.rest(made, account, market, 0, 10**7, ask, LIVE_MS, is_buy=True) is None
    assert trading.rest(made, account, market, 0, 10**7, bid, LIVE_MS, is_buy=False) is None
    assert trading.rest(made, account, market, 0, 10**7, bid, LIVE_MS, is_buy=True) is not None


def test_a_resting_order_fills_in_parts_without_a_fee_and_locks_what_is_left() -> None:
    made, account, market = quiet()
    bid, _ = touch(made.universe, market, 0, LIVE_MS)
    assert bid is not None
    order = trading.rest(made, account, market, 0, 100 * LOT * LOT, bid, LIVE_MS, is_buy=True)
    assert order is not None
    order.price = MILLI - 1  # the market has come to it
    locked = order.reserved

    trading.fill_crossed(made, account, LIVE_MS)
    assert (order.status, order.remaining) == ("LIVE", 60 * LOT * LOT)
    assert order.reserved < locked
    made.advance(LIVE_MS + 60_000)
    trading.fill_crossed(made, account, made.now_ms)
    made.advance(made.now_ms + 60_000)

    assert (order.status, order.remaining, order.fee_shares, order.fee_usd) == ("MATCHED", 0, 0, 0)
    assert account.stakes[order.key].shares == 100 * LOT * LOT
    assert len(account.rows) == 2


def test_orders_end_with_their_market() -> None:
    made, account, market = quiet()
    order = trading.rest(made, account, market, 0, 10**7, 1, LIVE_MS, is_buy=True)
    assert order is not None

    made.advance(market.expires_ms)

    assert (order.status, account.live) == ("CANCELLED", {})


def test_resolution_writes_rows_and_redemption_pays() -> None:
    made, account, market = quiet()
    tokens.split(made, account, market, 50_000_000, LIVE_MS)
    cash = account.cash

    made.advance(made.universe.resolved_ms(market))
    assert [row.action for row in account.rows[1:]] in (["win", "loss"], ["loss", "win"])
    assert sum(stake.shares for stake in account.stakes.values()) == 100_000_000
    made.advance(made.now_ms + 2 * DAY_MS)

    assert account.rows[-1].action == "claim"
    assert account.cash == cash + 50_000_000
    assert not account.stakes


def test_merging_undoes_splitting() -> None:
    made, account, market = quiet()
    tokens.split(made, account, market, 50_000_000, LIVE_MS)
    tokens.merge(made, account, market, 50_000_000, LIVE_MS)

    assert account.cash == made.accounts[0].cash == 10_000_000_000
    assert all(stake.shares == stake.cost == stake.realised == 0 for stake in account.stakes.values())


def test_converting_turns_no_of_one_into_yes_of_the_others() -> None:
    made, account, _ = quiet()
    series = SERIES[8]
    listing = made.universe.listing(series, LIVE_MS // series.period_ms)
    tokens.split(made, account, listing[0], 50_000_000, LIVE_MS)

    tokens.convert(made, account, listing[0], 20_000_000, LIVE_MS)

    shares = {key: stake.shares for key, stake in account.stakes.items()}
    assert shares[(listing[0].slug, 1)] == 30_000_000
    assert [shares[(other.slug, 0)] for other in listing[1:]] == [20_000_000] * 2


# --- settings ---------------------------------------------------------------------------------------


def test_secrets_are_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    sandbox = LimitlessSandbox(seed=7, accounts=4, origin_ms=ORIGIN_MS, clock=FakeClock(LIVE_MS))

    configured = sandbox.settings("http://127.0.0.1:1", tmp_path / "secrets")

    kinds = [set(account.secrets) for account in configured.accounts]
    assert kinds == [
        {"hmac_token_id", "hmac_secret", "identity"},
        {"api_key"},
        {"hmac_token_id", "hmac_secret", "identity"},
        set(),
    ]
    for path in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = sandbox.engine.accounts[0]
    assert read_secret(configured.accounts[0].secrets["hmac_secret"]) == first.token.secret
    sandbox.settings("http://127.0.0.1:1", tmp_path / "secrets")  # a second start overwrites
