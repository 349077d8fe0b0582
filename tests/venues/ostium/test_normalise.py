"""Payload → Snapshot: the samples, and every edge the venue's data is known to have."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tests.venues.ostium.payloads import (
    E18,
    OBSERVED_MS,
    TRADER,
    bare,
    close,
    limit,
    order,
    part,
    payload,
    sample,
    sample_order,
    trade,
)
from venues.errors import Broken
from venues.model import Fill, Snapshot, VenueOrder
from venues.ostium.normalise import normalise


def fill_of(snapshot: Snapshot, fill_id: str) -> Fill:
    return next(fill for fill in snapshot.fills if fill.fill_id == fill_id)


def order_of(snapshot: Snapshot, order_id: str) -> VenueOrder:
    return next(found for found in snapshot.orders if found.order_id == order_id)


def test_an_open_trade_is_one_position_under_its_trade_id() -> None:
    (holding,) = normalise(payload()).holdings

    assert holding.instrument == "BTC-USD"
    assert holding.position_id == "777"
    assert holding.quantity == Decimal("0.011750176429075512")
    assert holding.average_entry_price == 42510
    assert holding.opened_ms == 1_738_080_001_000
    assert holding.status == "open"


def test_opening_and_partial_close_leave_what_the_venue_holds() -> None:
    snapshot = normalise(payload())
    fills = [fill for fill in snapshot.fills if fill.position_id == "777"]

    assert [fill.quantity for fill in fills] == [
        Decimal("0.023500352858151023"),
        Decimal("-0.011750176429075511"),
    ]
    assert [fill.price for fill in fills] == [42510, 43000]
    assert [fill.time_ms for fill in fills] == [1_738_080_001_000, 1_738_090_001_000]
    assert sum(fill.quantity for fill in fills) == snapshot.holdings[0].quantity


def test_fees_and_running_costs_are_in_the_fee_and_not_in_the_price() -> None:
    snapshot = normalise(payload())

    assert fill_of(snapshot, "777").fee == Decimal("0.1")
    assert fill_of(snapshot, "801").fee == Decimal("0.100001")


def test_costs_that_the_trader_received_are_negative() -> None:
    row = order(5, fundingFee="-250000", rolloverFee="50000", devFee="0", vaultFee="0", oracleFee="0")

    assert fill_of(normalise(bare(settled=[row])), "5").fee == Decimal("-0.2")


def test_cancelled_orders_are_not_fills() -> None:
    snapshot = normalise(payload())

    assert "802" not in {fill.fill_id for fill in snapshot.fills}


def test_removed_collateral_is_not_a_fill() -> None:
    rows = [
        order(5),
        order(6, tradeID="5", orderAction="RemoveCollateral", orderType="REMOVE_COLLATERAL"),
        order(7, tradeID="5", orderAction="RemoveCollateral", orderType="Market"),
        order(8, tradeID="5", orderAction="Open", orderType="REMOVE_COLLATERAL"),
    ]
    snapshot = normalise(bare(settled=rows))

    assert [fill.fill_id for fill in snapshot.fills] == ["5"]


def test_a_liquidation_closes_for_good_at_the_oracle_price() -> None:
    fill = fill_of(normalise(payload()), "903")

    assert fill.kind == "liquidation"
    assert fill.quantity == -Decimal("0.006285714285714285")
    assert fill.price == 38365
    assert fill.fee == Decimal("2.4")


@pytest.mark.parametrize("price", [46_000, 45_100, 40_000])
def test_a_liquidation_costs_exactly_the_collateral(price: int) -> None:
    rows = [
        order(5),
        close(
            6, 5, orderAction="Liquidation", orderType="Limit", collateral="49500000",
            priceAfterImpact=str(price * E18), amountSentToTrader="0", liquidationFee="1234567",
        ),
    ]  # fmt: skip
    opening, closing = normalise(bare(settled=rows)).fills

    realised = (closing.price - opening.price) * -closing.quantity

    assert realised - closing.fee == Decimal("-49.5")


@pytest.mark.parametrize("action", ["TakeProfit", "StopLoss"])
def test_exits_close_the_whole_trade_and_belong_to_its_own_order(action: str) -> None:
    rows = [order(5), close(6, 5, orderAction=action, orderType="Limit", closePercent=None)]
    fill = fill_of(normalise(bare(settled=rows)), "6")

    assert fill.quantity == Decimal("-0.01")
    assert fill.order_id == ("5:tp" if action == "TakeProfit" else "5:sl")


def test_a_forced_session_end_close_closes_the_whole_trade() -> None:
    rows = [order(5), close(6, 5, orderAction="CloseDayTrade", orderType="Limit", closePercent="0")]

    assert fill_of(normalise(bare(settled=rows)), "6").quantity == Decimal("-0.01")


def test_a_short_is_sold_to_open_and_bought_to_close() -> None:
    rows = [order(5, isBuy=False), close(6, 5, isBuy=False)]

    assert [fill.quantity for fill in normalise(bare(settled=rows)).fills] == [
        Decimal("-0.01"),
        Decimal("0.01"),
    ]


@pytest.mark.parametrize("reported", ["whole", "part", "nothing"])
def test_partial_closes_take_a_share_of_what_is_left_whatever_their_notional_means(reported: str) -> None:
    whole = {"whole": [10, 5], "part": [5, 1], "nothing": [None, None]}[reported]
    notionals = [None if n is None else str(n * E18 // 1000) for n in whole]
    rows = [
        order(5),
        close(6, 5, closePercent="5000", tradeNotional=notionals[0]),
        close(7, 5, closePercent="2000", tradeNotional=notionals[1]),
        close(8, 5, closePercent="10000"),
    ]
    quantities = [fill.quantity for fill in normalise(bare(settled=rows)).fills]

    assert quantities == [Decimal("0.01"), Decimal("-0.005"), Decimal("-0.001"), Decimal("-0.004")]


def test_a_close_whose_opening_is_not_listed_is_sized_from_what_is_still_held() -> None:
    rows = [close(6, 777, closePercent="5000", pair=sample_order("777")["pair"])]
    (fill,) = normalise(bare(settled=rows, trades=[trade(tradeNotional=str(3 * E18))])).fills

    assert fill.quantity == -3


def test_a_full_close_whose_opening_is_not_listed_is_sized_by_its_own_notional() -> None:
    rows = [
        close(6, 5, closePercent="2500"),
        close(7, 5, closePercent="10000", tradeNotional=str(3 * E18)),
    ]

    assert [f.quantity for f in normalise(bare(settled=rows)).fills] == [-1, -3]


def test_a_close_of_unknown_size_is_left_to_the_holding() -> None:
    assert normalise(bare(settled=[close(6, 5)])).fills == ()


def test_the_chain_of_a_closed_trade_gives_its_opening() -> None:
    chain = part({"orders": [order(5), close(6, 5, closePercent="5000")]})
    snapshot = normalise(bare(settled=[close(7, 5, closePercent="5000"), order(9)], parts={"chain.0": chain}))

    assert [f.quantity for f in snapshot.fills if f.position_id == "5"] == [
        Decimal("0.01"),
        Decimal("-0.005"),
        Decimal("-0.0025"),
    ]


def test_a_chain_never_brings_news_from_after_the_read() -> None:
    chain = part({"orders": [order(5), close(8, 5)]})
    snapshot = normalise(bare(settled=[close(6, 5, closePercent="5000")], parts={"chain.0": chain}))

    assert [fill.fill_id for fill in snapshot.fills] == ["5", "6"]


def test_trades_of_one_pair_are_never_netted() -> None:
    rows = [trade(tradeID="1", index="0"), trade(tradeID="2", index="1", isBuy=False)]
    holdings = normalise(bare(trades=rows)).holdings

    assert [(h.position_id, h.quantity > 0) for h in holdings] == [("1", True), ("2", False)]


def test_a_slot_used_again_is_another_position() -> None:
    rows = [order(5), close(6, 5), order(7)]
    snapshot = normalise(bare(settled=rows, trades=[trade(tradeID="7", index="0")]))

    assert [fill.position_id for fill in snapshot.fills] == ["5", "5", "7"]
    assert snapshot.holdings[0].position_id == "7"


def test_a_limit_rests_under_an_id_that_is_never_used_again() -> None:
    found = order_of(normalise(payload()), "91")

    assert found.status == "open"
    assert found.instrument == "ETH-USD"
    assert found.quantity == Decimal("-0.142836737608912")
    assert found.price == Decimal("3500.5")
    assert (found.take_profit, found.stop_loss) == (3200, 3600)
    assert (found.is_stop, found.reduce_only) == (False, False)
    assert found.created_ms == 1_738_080_100_000


def test_a_limit_without_a_unique_id_is_told_apart_by_its_time() -> None:
    snapshot = normalise(bare(limits=[limit(uniqueId=None)]))

    assert [o.order_id for o in snapshot.orders] == [f"{TRADER}_1_0@1738080100"]


def test_a_stop_order_is_marked_as_one() -> None:
    assert normalise(bare(limits=[limit(limitType="STOP")])).orders[0].is_stop


def test_a_limit_being_executed_still_rests() -> None:
    (found,) = normalise(bare(limits=[limit(executionStarted=True)])).orders

    assert (found.status, found.venue_status) == ("open", "executing")


@pytest.mark.parametrize("link", ["orderId", "slot", "unique"])
def test_a_limit_that_was_executed_is_filled_and_its_fill_names_it(link: str) -> None:
    ended = limit(isActive=False, updatedAt="1738000301", initiatedAt="1738000100")
    executed = order(300, orderType="Limit", limitID=None, isBuy=False, pair=ended["pair"])
    if link == "orderId":
        ended |= {"orderId": "300"}
    else:
        executed |= {"limitID": ended["id"] if link == "slot" else ended["uniqueId"]}
    snapshot = normalise(bare(ended=[ended], settled=[executed]))

    assert order_of(snapshot, "91").status == "filled"
    assert order_of(snapshot, "91").filled == Decimal("0.142836737608912")
    assert fill_of(snapshot, "300").order_id == "91"


def test_a_limit_that_ended_without_an_execution_was_cancelled() -> None:
    ended = limit(isActive=False, updatedAt="1738000301", initiatedAt="1738000100")
    earlier = order(50, orderType="Limit", limitID=ended["id"], isBuy=False, pair=ended["pair"])
    missed = order(200, orderType="Limit", limitID=ended["id"], isCancelled=True, cancelReason="NOT_HIT")
    snapshot = normalise(bare(ended=[ended], settled=[earlier, missed]))

    assert order_of(snapshot, "91").status == "cancelled"
    assert fill_of(snapshot, "50").order_id == "50"
    assert "200" not in {o.order_id for o in snapshot.orders}


def test_take_profit_and_stop_loss_rest_as_reduce_only_stops() -> None:
    row = trade(takeProfitPrice=str(45_000 * E18), stopLossPrice=str(41_000 * E18))
    snapshot = normalise(bare(trades=[row]))

    for order_id, price in (("777:tp", 45_000), ("777:sl", 41_000)):
        found = order_of(snapshot, order_id)
        assert found.price == price
        assert found.quantity == -snapshot.holdings[0].quantity
        assert (found.is_stop, found.reduce_only, found.position_id) == (True, True, "777")


def test_the_default_take_profit_is_nobodys_order() -> None:
    assert normalise(bare(trades=[trade()])).orders == ()


def test_the_default_take_profit_is_known_after_margin_was_added() -> None:
    row = trade(leverage="500", highestLeverage="1000")

    assert normalise(bare(trades=[row])).orders == ()


def test_a_market_order_waiting_for_the_oracle_is_an_open_order_and_no_position() -> None:
    row = order(5, isPending=True, tradeID=None, priceAfterImpact=None, executedAt=None, isBuy=False)
    snapshot = normalise(bare(pending=[row]))
    (found,) = snapshot.orders

    assert (found.order_id, found.status, found.venue_status) == ("5", "open", "pending")
    assert found.quantity == Decimal("-0.01")
    assert (snapshot.holdings, snapshot.fills) == ((), ())


def test_a_pending_close_reduces_its_trade() -> None:
    row = close(9, 777, isPending=True, closePercent="5000", executedAt=None)
    snapshot = normalise(bare(pending=[row], trades=[trade(closeInitiated=True)]))
    found = order_of(snapshot, "9")

    assert found.reduce_only
    assert found.position_id == "777"
    assert found.quantity == -snapshot.holdings[0].quantity / 2
    assert snapshot.holdings[0].status == "closing"


@pytest.mark.parametrize("reason", ["SLIPPAGE", "Slippage", "3", 3])
def test_a_cancelled_market_order_says_why(reason: object) -> None:
    row = order(5, isCancelled=True, cancelReason=reason, tradeID=None)
    (found,) = normalise(bare(settled=[row])).orders

    assert (found.status, found.venue_status) == ("cancelled", "SLIPPAGE")


def test_a_cancelled_open_without_a_notional_is_sized_from_its_collateral() -> None:
    found = order_of(normalise(payload()), "802")

    assert found.quantity == -(Decimal(500) / Decimal(3500)).quantize(Decimal(1).scaleb(-18))


def test_a_settled_market_order_is_filled() -> None:
    found = order_of(normalise(payload()), "777")

    assert (found.status, found.filled) == ("filled", Decimal("0.023500352858151023"))


def test_marks_cover_what_is_held_or_ordered() -> None:
    marks = {mark.instrument: mark for mark in normalise(payload()).marks}

    assert set(marks) == {"BTC-USD", "ETH-USD"}
    assert (marks["BTC-USD"].price, marks["BTC-USD"].bid, marks["BTC-USD"].ask) == (43_000, 42_990, 43_010)
    assert marks["BTC-USD"].time_ms == 1_738_100_000_000


def test_prices_are_read_from_either_service_and_digit_for_digit() -> None:
    body = json.dumps(sample("latest-prices.json")).encode()
    marks = normalise(payload(parts={"prices": body})).marks

    assert marks[0].price == Decimal("107646.03680130735")


def test_display_names_of_the_price_feed_are_the_subgraphs_assets() -> None:
    row = trade(pair=trade()["pair"] | {"id": "7", "from": "CL"})
    (mark,) = normalise(bare(trades=[row])).marks

    assert (mark.instrument, mark.price) == ("CL-USD", Decimal("71.25"))


def test_a_price_of_zero_is_no_price() -> None:
    body = json.dumps([sample("latest-prices.json")[0] | {"mid": 0, "bid": 0, "ask": 0}]).encode()
    snapshot = normalise(payload(parts={"prices": body}))

    assert snapshot.marks == ()
    assert snapshot.equity_usd is None


def test_instruments_carry_fees_and_bounds_and_vantas_id() -> None:
    found = {i.name: i for i in normalise(payload()).instruments}

    assert found["BTC-USD"].fee == Decimal("0.001")
    assert found["EUR-USD"].fee == Decimal("0.0003")
    assert (found["EUR-USD"].min_leverage, found["EUR-USD"].max_leverage) == (1, 200)
    assert {n: i.vanta_pair for n, i in found.items()} == {
        "BTC-USD": "BTCUSD",
        "ETH-USD": "ETHUSD",
        "EUR-USD": "EURUSD",
        "USD-JPY": "USDJPY",
        "CL-USD": None,
        "NVDA-USD": "NVDA",
    }


def test_a_groups_leverage_comes_before_the_pairs_own() -> None:
    pairs = sample("pairs.json")
    pairs["data"]["pairs"][0]["group"] |= {"minLeverage": "0", "maxLeverage": "5000"}
    (btc, *_) = normalise(payload(parts={"pairs": json.dumps(pairs).encode()})).instruments

    assert (btc.min_leverage, btc.max_leverage) == (1, 50)


def test_a_pair_that_is_no_longer_listed_is_still_an_instrument() -> None:
    row = order(5, pair={"id": "99", "from": "OLD", "to": "USD"})
    names = {i.name for i in normalise(bare(settled=[row])).instruments}

    assert "OLD-USD" in names


def test_equity_is_wallet_plus_locked_plus_what_closing_would_pay() -> None:
    snapshot = normalise(payload())
    gain = Decimal("49.95") * (Decimal(42_990) - 42_510) / 42_510 * 10

    assert snapshot.equity_usd is not None
    assert abs(snapshot.equity_usd - (250 + 10 + Decimal("49.95") + gain)) < Decimal("1e-6")


def test_equity_counts_the_collateral_of_a_pending_open_and_not_of_a_pending_close() -> None:
    rows = [order(5, isPending=True), close(6, 777, isPending=True, collateral="99000000")]

    assert normalise(bare(pending=rows)).equity_usd == 300


def test_equity_is_unknown_without_a_chain_node() -> None:
    whole = payload()
    parts = {name: body for name, body in whole.parts.items() if name not in ("block", "balance")}

    assert normalise(replace(whole, parts=parts)).equity_usd is None


def test_pages_are_joined_and_repeats_dropped() -> None:
    pages = {
        "settled.1": part({"orders": [order(6), order(5)]}),
        "trades.1": part({"trades": [trade(tradeID="778"), trade()]}),
        "limits.1": part({"limits": [limit(), limit(id="other", uniqueId="92")]}),
        "pending.1": part({"orders": [order(8, isPending=True)]}),
    }
    snapshot = normalise(bare(settled=[order(7), order(6)], trades=[trade()], limits=[limit()], parts=pages))

    assert [fill.fill_id for fill in snapshot.fills] == ["5", "6", "7"]
    assert [holding.position_id for holding in snapshot.holdings] == ["777", "778"]
    assert {"91", "92", "8"} <= {o.order_id for o in snapshot.orders}


def test_fills_come_oldest_first_and_by_number_inside_a_second() -> None:
    rows = [order(n, executedAt="1738000500") for n in (12, 9, 101)] + [order(200, executedAt="1738000400")]

    assert [f.fill_id for f in normalise(bare(settled=rows)).fills] == ["200", "9", "12", "101"]


def test_addresses_are_compared_without_their_case() -> None:
    mixed = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
    snapshot = normalise(payload(account=mixed))

    assert snapshot.account == TRADER
    assert len(snapshot.holdings) == 1


@pytest.mark.parametrize(
    ("rows", "path", "expected", "got"),
    [
        ({"trades": [trade(isBuy="yes")]}, "account.data.trades[0].isBuy", "`bool`", "`str`"),
        ({"trades": [trade(openPrice="0")]}, "trades[0].openPrice", "an entry price and a size", "0"),
        ({"trades": [trade(isOpen=False)]}, "trades[0].isOpen", "an open trade", "false"),
        ({"trades": [trade(trader="0x" + "1" * 40)]}, "trades[].trader", TRADER, "0x" + "1" * 40),
        (
            {"settled": [order(5, orderAction="Teleport")]},
            "orders[5].orderAction", "a documented action", "Teleport",
        ),
        ({"settled": [close(5, 5, tradeID=None)]}, "settled[5].tradeID", "the trade that was closed", "null"),
        (
            {"settled": [order(5, price=None, priceAfterImpact=None)]},
            "orders[5].priceAfterImpact", "the price of an executed order", "nothing",
        ),
        (
            {"limits": [limit(openPrice="0")]},
            f"limits[{TRADER}_1_0].openPrice", "a trigger price and a size", "0",
        ),
        (
            {"settled": [order(5, priceAfterImpact="9" * 36)]},
            "orders[5].priceAfterImpact", "a price scaled by 1e18", "9" * 36,
        ),
    ],
)  # fmt: skip
def test_drift_is_named_by_path_expected_and_got(
    rows: dict[str, Any], path: str, expected: str, got: str
) -> None:
    with pytest.raises(Broken) as caught:
        normalise(bare(**rows))

    assert (caught.value.path, caught.value.expected, caught.value.got) == (path, expected, got)


@pytest.mark.parametrize(
    ("name", "body", "path"),
    [
        ("account", b"<html>maintenance</html>", "account"),
        ("account", b'{"data":{"trades":[],"limits":[],"ended":[],"pending":[]}}', "account.data"),
        ("account", b'{"data":null}', "account.data"),
        ("pairs", b'{"data":{}}', "pairs.data"),
        ("prices", b'"soon"', "prices"),
        ("prices", b'[{"from":"BTC","to":"USD","mid":"NaN"}]', "prices[0].mid"),
        ("prices", b'[{"from":"BTC","to":"USD","mid":1e999999}]', "prices[0].mid"),
        ("prices", b'[{"from":"BTC","to":"USD","mid":-1}]', "prices[0].mid"),
        ("balance", b'{"result":"0x"}', "balance.result"),
        ("block", b'{"result":"latest"}', "block.result"),
    ],
)
def test_a_drifted_part_is_broken(name: str, body: bytes, path: str) -> None:
    with pytest.raises(Broken) as caught:
        normalise(payload(parts={name: body}))

    assert caught.value.path == path


@pytest.mark.parametrize("missing", ["account", "pairs", "prices"])
def test_a_missing_part_is_broken(missing: str) -> None:
    whole = payload()
    parts = {name: body for name, body in whole.parts.items() if name != missing}

    with pytest.raises(Broken, match=missing):
        normalise(replace(whole, parts=parts))


def test_the_snapshot_carries_the_moment_of_the_read() -> None:
    assert normalise(payload()).observed_ms == OBSERVED_MS
