"""The account's history becomes fills: exact, stable in name, and adding up to what is held."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.venues.limitless.payloads import (
    DEADLINE,
    NO,
    OBSERVED_MS,
    SECOND,
    SLUG,
    TX,
    YES,
    YES_TOKEN,
    clob,
    fills,
    history,
    loaded,
    market,
    page,
    payload,
    portfolio,
    sample,
    settlement,
    snapshot,
    status,
    statuses,
    trade,
)
from venues.errors import Broken
from venues.limitless.normalise import normalise
from venues.limitless.signing import parse_iso_ms
from venues.model import Fill

D = Decimal
RESOLVED_MS = (SECOND + 900) * 1000


def test_the_documented_history_buys_yes_and_loses_it() -> None:
    bought, lost = normalise(payload({"history:0": sample("history.json")})).fills

    assert bought.instrument == lost.instrument == "doge-up-or-down-1-hour-1778140801775:YES"
    assert (bought.quantity, bought.price, bought.time_ms) == (D(10), D("0.2"), 1_778_144_137_000)
    assert (lost.quantity, lost.price, lost.kind) == (D(-10), D(0), "resolution")
    assert lost.time_ms == 1_778_144_400_000


@pytest.mark.parametrize(
    ("strategy", "outcome", "name", "sign"),
    [
        ("Buy", 0, YES, 1),
        ("Sell", 0, YES, -1),
        ("Limit Buy", 1, NO, 1),
        ("Limit Sell", 1, NO, -1),
        ("Market Buy", 0, YES, 1),
        ("Market Sell", 1, NO, -1),
    ],
)
def test_a_trade_moves_its_outcome(strategy: str, outcome: int, name: str, sign: int) -> None:
    (fill,) = fills(trade(strategy, "10", "2", outcome))

    assert (fill.instrument, fill.quantity, fill.price, fill.kind) == (name, sign * D(10), D("0.2"), "trade")
    assert fill.fee == 0
    assert not fill.derived


def test_the_price_is_what_was_paid_per_share_not_the_rounded_one() -> None:
    (fill,) = fills(trade(shares="3", usd="1", outcomeTokenPrice="0.333"))

    assert abs(fill.quantity * fill.price - 1) < D("1e-20")


def test_a_split_buys_both_outcomes_for_a_dollar_a_pair() -> None:
    yes, no = fills(trade("Split", "10", "10"))

    assert {yes.instrument, no.instrument} == {YES, NO}
    assert [f.quantity for f in (yes, no)] == [D(10), D(10)]
    assert sum(f.quantity * f.price for f in (yes, no)) == D(10)
    assert yes.derived
    assert yes.fill_id != no.fill_id


def test_a_merge_sells_both_outcomes_even_when_only_the_collateral_is_named() -> None:
    both = fills(trade("Merge", None, "4"))

    assert [(f.quantity, f.price) for f in both] == [(D(-4), D("0.5"))] * 2


def test_a_conversion_sells_no_and_buys_yes_of_the_siblings_at_their_prices() -> None:
    sibling = {"slug": "sibling", "title": "", "id": "2"}
    sold, bought = fills(
        trade("Convert", "5", "0", 0, market=sibling, outcomeTokenPrice="0.3"),
        trade("Convert", "5", "0", 1, outcomeTokenPrice="0.7"),
    )

    assert (sold.instrument, sold.quantity) == (NO, D(-5))
    assert (bought.instrument, bought.quantity) == ("sibling:YES", D(5))


def test_a_conversion_uses_the_rows_own_price_when_no_collateral_moved() -> None:
    (fill,) = fills(trade("Convert", "5", None, 1, outcomeTokenPrice="0.7"))

    assert (fill.quantity, fill.price) == (D(-5), D("0.7"))


def test_rows_of_one_transaction_and_direction_are_one_fill() -> None:
    """A taker's order may be listed once per counterparty."""
    (fill,) = fills(trade(shares="10", usd="2"), trade(shares="5", usd="1.5"))

    assert (fill.quantity, fill.quantity * fill.price) == (D(15), D("3.5"))


def test_a_row_that_comes_twice_counts_once() -> None:
    assert fills(trade(), trade()) == fills(trade())


def test_a_row_without_a_transaction_is_named_after_its_content() -> None:
    first, second = fills(trade(transactionHash=None), trade(transactionHash=None, shares="4"))

    assert first.fill_id != second.fill_id


def test_fills_of_one_second_keep_the_venues_order() -> None:
    newest_first = [trade("Limit Sell", transactionHash="0x2"), trade("Limit Buy", transactionHash="0x1")]

    assert [f.quantity for f in fills(*newest_first)] == [D(10), D(-10)]


def test_a_row_that_moves_no_shares_is_no_fill() -> None:
    assert fills(trade("Reward", None, "1")) == ()
    assert fills({"action": "reward", "blockTimestamp": SECOND, "market": {"slug": SLUG}}) == ()
    assert fills(trade(shares="0", usd="0")) == ()


def test_an_undocumented_strategy_that_moves_shares_is_broken() -> None:
    with pytest.raises(Broken) as caught:
        fills(trade("Teleport"))
    assert caught.value.path == "history:0.data[0].strategy"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"outcomeIndex": None}, "outcomeIndex"),
        ({"market": None}, "market"),
        ({"blockTimestamp": 1_778_144_137_000}, "blockTimestamp"),
        ({"outcomeTokenAmount": "Infinity"}, "outcomeTokenAmount"),
        ({"outcomeTokenAmount": "1e40"}, "outcomeTokenAmount"),
        ({"collateralAmount": "NaN"}, "collateralAmount"),
    ],
)
def test_a_trade_that_makes_no_sense_is_broken(change: dict[str, Any], path: str) -> None:
    with pytest.raises(Broken) as caught:
        fills({**trade(), **change})
    assert caught.value.path == f"history:0.data[0].{path}"


def test_rows_older_than_was_asked_for_are_left_out() -> None:
    """They may be the tail of a transaction whose other rows are on a page that was not read."""
    old = trade(blockTimestamp=SECOND - 100, transactionHash="0x1")

    assert len(fills(trade(), old, since_ms=SECOND * 1000)) == 1
    assert len(fills(trade(), old, since_ms=(SECOND - 100) * 1000 + 999)) == 2


# --- executions: fees, net quantities, failures -----------------------------------------------------


def with_execution(row: dict[str, Any], *results: dict[str, Any], **options: Any) -> tuple[Fill, ...]:
    parts = {"history:0": history(row), "status:0": statuses(*results), f"market:{SLUG}": page()}
    return snapshot(parts, **options).fills


def test_a_buyers_fee_in_shares_is_worth_its_price() -> None:
    """The shares that arrived, the gross price, and the missing shares as the fee: cash adds up."""
    row = trade("Limit Buy", "10.752", "9.99936")
    result = status(gross=10_752_000, fee=63_436, usd=9_999_360)

    (fill,) = with_execution(row, result)

    assert (fill.quantity, fill.price) == (D("10.688564"), D("0.93"))
    assert fill.fee == D("0.063436") * D("0.93")
    assert fill.quantity * fill.price + fill.fee == D("9.99936")
    assert fill.order_id == "order-1"


def test_the_documented_execution_is_understood() -> None:
    parts = {
        "history:0": history(
            trade(
                "Market Buy", "10.752", "9.99936", market={"slug": "doge-above"}, transactionHash="0x101C10E8"
            )
        ),
        "status:0": sample("order_status.json"),
        "market:doge-above": page("doge-above", tokens={"yes": _documented_token(), "no": "1"}),
    }

    (fill,) = snapshot(parts).fills

    assert fill.quantity == D("10.688564")
    assert fill.order_id == "ff0dcbf1-f7de-43f0-b6f1-16b972a17f49"


def _documented_token() -> str:
    return str(loaded("order_status.json")["results"][0]["data"]["order"]["tokenId"])


def test_a_history_that_lists_net_shares_gives_the_same_fill() -> None:
    result = status(gross=10_752_000, fee=63_436, usd=9_999_360)

    gross = with_execution(trade("Limit Buy", "10.752", "9.99936"), result)
    net = with_execution(trade("Limit Buy", "10.688564", "9.99936"), result)

    assert gross == net


def test_a_sellers_fee_is_usdc() -> None:
    row = trade("Limit Sell", "10", "2")

    (fill,) = with_execution(row, status(side="SELL", usd_fee=30_000))

    assert (fill.quantity, fill.price, fill.fee) == (D(-10), D("0.2"), D("0.03"))


def test_a_buyers_fee_in_usdc_leaves_the_shares_whole() -> None:
    (fill,) = with_execution(trade(), status(usd_fee=30_000))

    assert (fill.quantity, fill.fee) == (D(10), D("0.03"))


def test_two_orders_in_one_transaction_add_up() -> None:
    results = [
        status(gross=4_000_000, usd=800_000, fee=1000),
        status(gross=6_000_000, usd=1_200_000, fee=2000, order_id="order-2"),
    ]

    (fill,) = with_execution(trade(), *results)

    assert (fill.quantity, fill.order_id) == (D("9.997"), None)


@pytest.mark.parametrize(
    "result",
    [
        status(gross=99_000_000, fee=1),  # another size: not this trade
        status(fee=1, is_taker=False),  # a maker's figures add up several transactions
        status("MATCHED", fee=1),  # on its way
        status(fee=1, tx=None),
        status(fee=1, tx="0x99"),
        status(fee=1, side=1),
        status(fee=1, token="5"),
        status(fee=1, market=None),
    ],
)
def test_an_execution_that_is_not_this_trade_adds_nothing(result: dict[str, Any]) -> None:
    (fill,) = with_execution(trade(), result)

    assert (fill.quantity, fill.fee, fill.order_id) == (D(10), D(0), None)


def test_a_matched_trade_counts_only_once_the_history_has_it() -> None:
    parts = {"status:0": statuses(status("MATCHED")), f"market:{SLUG}": page()}

    assert snapshot(parts).fills == ()


def test_a_fills_name_does_not_depend_on_what_else_is_known() -> None:
    (alone,) = fills(trade())
    (with_fee,) = with_execution(trade(), status(fee=1000))

    assert alone.fill_id == with_fee.fill_id


def test_a_failed_settlement_takes_the_fill_back() -> None:
    """Mined, listed, and then dropped by the chain: the fill known by that name is void."""
    (before,) = fills(trade())
    parts = {"status:0": statuses(status("FAILED")), f"market:{SLUG}": page()}

    after = snapshot(parts)
    lagging = snapshot({**parts, "history:0": history(trade())})

    assert after.voided_fills == lagging.voided_fills == {before.fill_id}
    assert after.fills == lagging.fills == ()


def test_a_failure_before_anything_was_mined_voids_nothing() -> None:
    parts = {"status:0": statuses(status("FAILED", tx=None)), f"market:{SLUG}": page()}

    assert snapshot(parts).voided_fills == frozenset()


# --- resolution and redemption ----------------------------------------------------------------------


def resolved(winner: int, **changes: Any) -> dict[str, Any]:
    return market(closed=True, status="RESOLVED", winningOutcomeIndex=winner, **changes)


@pytest.mark.parametrize("winner", [0, 1])
def test_a_resolved_market_closes_what_is_held_at_its_payout(winner: int) -> None:
    row = clob("3000000", "2000000", of=resolved(winner))

    got = snapshot({"positions": portfolio(row)})

    closing = {f.instrument: f for f in got.fills}
    assert (closing[YES].quantity, closing[YES].price) == (D(-3), D(1 - winner))
    assert (closing[NO].quantity, closing[NO].price) == (D(-2), D(winner))
    assert {f.kind for f in got.fills} == {"resolution"}
    assert got.holdings == ()
    assert {f.time_ms for f in got.fills} == {parse_iso_ms(DEADLINE)}


def test_the_time_of_resolution_is_the_historys_then_the_markets() -> None:
    held = portfolio(clob("3000000", of=resolved(1)))
    at = page(winningOutcomeIndex=1, resolutionDate="2026-05-08T01:00:00Z", status="RESOLVED")

    with_row = snapshot({"positions": held, "history:0": history(settlement("loss", 1))})
    with_page = snapshot({"positions": held, f"market:{SLUG}": at})

    assert with_row.fills[0].time_ms == RESOLVED_MS
    assert with_page.fills[0].time_ms == parse_iso_ms("2026-05-08T01:00:00Z")


def test_a_market_pages_unreadable_date_falls_back() -> None:
    at = page(winningOutcomeIndex=1, resolutionDate="May 8, 2026", updatedAt="2026-05-08T01:00:00Z")

    got = snapshot({"positions": portfolio(clob("3000000", of=resolved(1))), f"market:{SLUG}": at})

    assert got.fills[0].time_ms == parse_iso_ms("2026-05-08T01:00:00Z")


def test_a_resolution_is_one_fill_however_it_is_learnt() -> None:
    """Portfolio, history and claim speak of the same event; its name is the instrument's."""
    held = portfolio(clob("10000000", of=resolved(0)))
    rows = [settlement("win", 0), settlement("claim", 0, outcomeTokenAmount="10", collateralAmount="10")]
    ways = [
        snapshot({"positions": held}),
        snapshot({"history:0": history(rows[0], trade())}),
        snapshot({"history:0": history(rows[1])}),
        snapshot({"positions": held, "history:0": history(*rows[::-1], trade())}),
    ]

    closings = [[f for f in got.fills if f.kind != "trade"] for got in ways]

    assert [len(found) for found in closings] == [1, 1, 1, 1]
    assert {found[0].fill_id for found in closings} == {f"resolution:{YES}"}
    assert {found[0].quantity for found in closings} == {D(-10)}
    assert [found[0].kind for found in closings] == ["resolution", "resolution", "redemption", "resolution"]


@pytest.mark.parametrize(("winner", "loser"), [(0, NO), (1, YES)])
def test_a_loss_row_names_the_winner_and_closes_the_loser(winner: int, loser: str) -> None:
    (fill,) = fills(settlement("loss", winner))

    assert (fill.instrument, fill.price) == (loser, D(0))


def test_a_market_page_knows_better_than_a_rows_outcome() -> None:
    parts = {"history:0": history(settlement("loss", 0)), f"market:{SLUG}": page(winningOutcomeIndex=1)}

    assert snapshot(parts).fills[0].instrument == YES


def test_the_quantity_of_an_old_loss_is_what_the_whole_history_adds_up_to() -> None:
    rows = [settlement("loss", 1), trade("Limit Sell", "4", "1", transactionHash="0x2"), trade()]

    whole = fills(*rows)[-1]
    window = fills(*rows, since_ms=SECOND * 1000)[-1]

    assert whole.quantity == D(-6)
    assert window.quantity == 0  # part of a history says nothing: whatever is left is closed
    assert window.kind == "resolution"


def test_a_void_market_pays_both_sides_their_share() -> None:
    row = clob("3000000", "2000000", of=market(closed=True, payoutNumerators=[1, 1]))

    prices = {f.instrument: f.price for f in snapshot({"positions": portfolio(row)}).fills}

    assert prices == {YES: D("0.5"), NO: D("0.5")}


def test_the_older_spelling_of_payouts_is_understood() -> None:
    row = clob("3000000", of=market(closed=True, payout_numerators=["0", "1"]))

    assert snapshot({"positions": portfolio(row)}).fills[0].price == 0


def test_dust_of_a_resolved_market_closes_nothing() -> None:
    """What rounding left of a position that was sold is not a position that is resolved."""
    row = clob("999", of=resolved(0))
    claim = settlement("claim", 0, outcomeTokenAmount="0.000999", collateralAmount="0.000999")

    got = snapshot({"positions": portfolio(row), "history:0": history(claim)})

    assert got.fills == ()
    assert got.holdings == ()


def test_an_amm_row_that_won_is_closed_at_one() -> None:
    """The documented AMM row: resolved for NO, held and not yet redeemed."""
    got = normalise(payload({"positions": sample("positions.json")}))

    (closing,) = got.fills
    assert closing.instrument == "dollardoge-above-dollar021652-on-sep-1-1200-utc-1756724413009:NO"
    assert (closing.quantity, closing.price, closing.kind) == (D("-9.071313"), D(1), "resolution")
    assert closing.time_ms == parse_iso_ms("2025-09-01T12:00:00.000Z")


# --- properties -------------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["Limit Buy", "Market Sell", "Split", "Merge", "Buy", "Sell"]),
        st.decimals("0.001", 1000, places=6),
        st.decimals("0.001", 1000, places=6),
        st.integers(0, 1),
        st.integers(0, 3),
    ),
    max_size=12,
)


@given(MOVES, st.randoms(use_true_random=False))
def test_shares_and_dollars_add_up_in_any_order(moves: list[Any], random: Any) -> None:
    rows = [
        trade(strategy, str(shares), str(usd), outcome, blockTimestamp=SECOND + n, transactionHash=f"0x{tx}")
        for n, (strategy, shares, usd, outcome, tx) in enumerate(moves)
    ]
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for strategy, shares, _, outcome, _ in moves:
        sign = 1 if strategy.endswith("Buy") or strategy == "Split" else -1
        for name in (YES, NO) if strategy in ("Split", "Merge") else ((YES, NO)[outcome],):
            expected[name] += sign * shares
    random.shuffle(rows)

    found = fills(*rows)

    total: dict[str, Decimal] = defaultdict(Decimal)
    for fill in found:
        total[fill.instrument] += fill.quantity
    assert {n: q for n, q in total.items() if q} == {n: q for n, q in expected.items() if q}
    assert len({f.fill_id for f in found}) == len(found)
    assert [f.time_ms for f in found] == sorted(f.time_ms for f in found)


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 300), st.sampled_from(["BUY", "SELL"]))
def test_money_adds_up_for_every_execution(shares: int, usd: int, bps: int, side: str) -> None:
    is_buy = side == "BUY"
    fee = shares * bps // 10_000 if is_buy else 0
    usd_fee = 0 if is_buy else usd * bps // 10_000
    row = trade("Limit Buy" if is_buy else "Limit Sell", str(D(shares).scaleb(-6)), str(D(usd).scaleb(-6)))

    (fill,) = with_execution(row, status(gross=shares, fee=fee, usd=usd, usd_fee=usd_fee, side=side))

    paid = fill.quantity * fill.price + fill.fee
    assert abs(paid - (D(usd) if is_buy else D(usd_fee - usd)).scaleb(-6)) < D("1e-15")
    assert abs(fill.quantity) == (D(shares - fee) if is_buy else D(shares)).scaleb(-6)


def test_token_ids_beyond_53_bits_stay_exact() -> None:
    assert int(YES_TOKEN) > 2**53
    near = str(int(YES_TOKEN) + 1)

    (fill,) = with_execution(trade(), status(fee=1000, token=near, market={"slug": SLUG}, side=0))

    assert fill.fee == 0  # the neighbouring number is the NO token: another instrument


def test_observed_time_is_kept() -> None:
    assert snapshot({}).observed_ms == OBSERVED_MS
    assert TX.startswith("0x")
