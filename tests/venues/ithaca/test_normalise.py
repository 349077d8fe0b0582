"""What the normaliser makes of the venue's answers, edge case by edge case."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.venues.ithaca.payloads import (
    BINARY,
    CALL,
    CREATED_MS,
    FORWARD,
    OBSERVED_MS,
    PUT,
    SPOT,
    STAMP_MS,
    contract,
    leg,
    ok,
    order,
    payload,
    position,
    sample,
)
from venues.errors import Broken
from venues.ithaca.normalise import normalise
from venues.model import Snapshot

D = Decimal


def reference(*prices: tuple[int, float | None]) -> bytes:
    return ok([{"contractId": number, "referencePrice": price} for number, price in prices])


def test_documented_open_orders_become_resting_orders_with_unit_prices() -> None:
    """The sample's five orders: totals per order become prices per unit, sells lose their sign."""
    snapshot = normalise(payload(openOrders=json.dumps(sample("client_open_orders.json")).encode()))
    orders = {one.order_id: one for one in snapshot.orders}
    assert len(orders) == 5
    sell = orders["1780080905569458"]
    assert (sell.instrument, sell.quantity, sell.status) == (
        "WETH/USDC-250205080-3600-C",
        D("-0.0007"),
        "open",
    )
    assert sell.price == D("15.85714286")
    assert sell.created_ms == 1738360264223
    assert sell.updated_ms == 1738360260010
    assert sell.notional_price == D("3315.14")
    assert orders["1780080904649219"].price == D("23")
    put = orders["1780080904843514"]
    assert (put.instrument, put.price) == ("WETH/USDC-250207080-3000-P", D("19.125"))
    assert snapshot.fills == ()


def test_documented_cancellation_is_a_cancelled_order_with_its_reason() -> None:
    body = json.dumps(sample("order_status_cancelled.json")).encode()
    (one,) = normalise(payload(orderStatus__1=body)).orders
    assert (one.status, one.filled, one.quantity) == ("cancelled", D(0), D("-0.0007"))
    assert one.venue_status == "CANCELED: CANCELLED_BY_USER"


def test_documented_two_leg_order_gives_fills_with_a_negative_price_and_a_parent() -> None:
    body = json.dumps(sample("trade_history_two_leg.json")).encode()
    snapshot = normalise(payload(tradeHistory__0=body))
    first, second = snapshot.fills
    assert (first.instrument, first.quantity, first.price) == (
        "WETH/USDC-20231027-1400-BC",
        D("1.0109"),
        D("20.9097"),
    )
    assert (second.instrument, second.quantity, second.price) == (
        "WETH/USDC-20231027-1200-BP",
        D("1.0109"),
        D("-19.9205"),
    )
    assert first.notional_usd == second.notional_usd == D("1.0109")
    assert first.time_ms == 1697761296298
    whole = next(one for one in snapshot.orders if one.instrument == "WETH/USDC-STRATEGY")
    assert (whole.order_id, whole.quantity, whole.price) == ("1738439686005861", D(1), D(1))
    assert (whole.filled, whole.status) == (D(1), "filled")
    legs = [one for one in snapshot.orders if one is not whole]
    assert [one.order_id for one in legs] == ["1738439686005861:231027020", "1738439686005861:231027038"]
    assert [one.price for one in legs] == [D("20.9096"), D("-19.9204")]


def test_documented_history_settles_every_kind_at_the_expiry_price() -> None:
    """Forward at S, call and put at intrinsic value, binary at its payout; each once, at 08:00 UTC."""
    snapshot = normalise(
        payload(
            historical__0=json.dumps(sample("client_historical_positions.json")).encode(),
            contracts=json.dumps(sample("contract_list.json")).encode(),
        )
    )
    fills = {fill.fill_id: fill for fill in snapshot.fills}
    assert {fill.kind for fill in snapshot.fills} == {"expiry"}
    assert {fill.time_ms for fill in snapshot.fills} == {1726387200000}
    assert (fills["expiry:6663"].quantity, fills["expiry:6663"].price) == (D("0.0015"), D("2423.1799"))
    assert (fills["expiry:6571"].quantity, fills["expiry:6571"].price) == (D("-0.0004"), D("23.1799"))
    assert (fills["expiry:6573"].quantity, fills["expiry:6573"].price) == (D("0.0012997"), D("176.8201"))
    assert (fills["expiry:6578"].quantity, fills["expiry:6578"].price) == (D("-0.03"), D(0))
    assert fills["expiry:6571"].notional_usd == D("0.0004") * D("2423.1799")
    assert fills["expiry:6578"].notional_usd == D("0.03")
    assert fills["expiry:6663"].notional_usd is None


def test_documented_positions_and_funds_give_holdings_and_equity() -> None:
    snapshot = normalise(
        payload(
            positions=json.dumps(sample("client_current_positions.json")).encode(),
            contracts=json.dumps(sample("contract_list.json")).encode(),
            fundLock=json.dumps(sample("client_fund_lock_state.json")).encode(),
            spotPrices=json.dumps(sample("spot_prices.json")).encode(),
            referencePrices__x=json.dumps(sample("reference_prices.json")).encode(),
        )
    )
    short, long = snapshot.holdings
    assert (short.instrument, short.quantity) == ("WETH/USDC-250207080-3000-C", D("-0.0002"))
    assert (long.instrument, long.average_entry_price) == ("WETH/USDC-250207080-3100-C", D("205.4615"))
    assert long.notional_price == D("1788.19")
    funds = D("10.3953") + (D(10) - D("0.0000439")) * D("1788.19")
    assert snapshot.equity_usd == funds - D("0.0002") * D("130.25") + D("0.0013") * D("88.125")


def test_float_dust_is_quantised_and_dust_alone_is_no_holding() -> None:
    rows = [position(30919, 0.0013000000000000002, 101.00000000000001), position(30925, 4.3e-17, 12.5)]
    (holding,) = normalise(payload(positions=ok(rows))).holdings
    assert (holding.quantity, holding.average_entry_price) == (D("0.0013"), D("101.0000"))


def test_exponent_notation_is_exact() -> None:
    body = b'{"result":"OK","payload":[{"contractId":30919,"positionsAvgPrice":5e1,"positionsQty":-5e-07}]}'
    (holding,) = normalise(payload(positions=body)).holdings
    assert (holding.quantity, holding.average_entry_price) == (D("-0.0000005"), D(50))


def test_negative_average_price_is_kept() -> None:
    (holding,) = normalise(payload(positions=ok([position(30940, 2.5, -19.92)]))).holdings
    assert holding.average_entry_price == D("-19.92")


def test_spot_contract_is_never_held_nor_filled_but_its_order_rests() -> None:
    rows = [position(87633, 0.5, 95000.0)]
    filled = order(7, 47500.0, leg(SPOT, "BUY", 0.5, 0.5, average=95000.0, last=0.5), status="FILLED")
    resting = order(8, -9000.0, leg(SPOT, "SELL", 0.1))
    snapshot = normalise(payload(positions=ok(rows), tradeHistory__0=ok([filled]), openOrders=ok([resting])))
    assert snapshot.holdings == ()
    assert snapshot.fills == ()
    assert {(one.order_id, one.instrument, one.status) for one in snapshot.orders} == {
        ("7", "WBTC/USDC-SPOT", "filled"),
        ("8", "WBTC/USDC-SPOT", "open"),
    }


def test_forward_is_priced_in_full_and_its_price_is_its_notional() -> None:
    filled = order(
        7,
        -6600.0,
        leg(FORWARD, "SELL", 2.0, 2.0, average=3300.0, last=2.0, last_price=3300.0),
        status="FILLED",
    )
    snapshot = normalise(payload(tradeHistory__0=ok([filled]), positions=ok([position(30901, -2.0, 3300.0)])))
    (fill,) = snapshot.fills
    assert (fill.instrument, fill.quantity, fill.price) == ("WETH/USDC-250207080-F", D(-2), D(3300))
    assert fill.notional_usd is None
    assert snapshot.holdings[0].notional_price is None


def test_option_notional_is_the_underlyings_price_and_a_binarys_is_its_payout() -> None:
    call = order(7, 10.0, leg(CALL, "BUY", 0.5, 0.5, average=20.0, last=0.5), status="FILLED")
    binary = order(8, -3.0, leg(BINARY, "SELL", 10.0, 10.0, average=0.3, last=10.0), status="FILLED")
    first, second = normalise(payload(tradeHistory__0=ok([call, binary]))).fills
    assert first.notional_usd == D("0.5") * D("3300.5")
    assert second.notional_usd == D(10)


def test_single_leg_price_is_positive_whichever_way_the_premium_goes() -> None:
    buy = order(7, -2.0, leg(CALL, "BUY", 0.5))
    sell = order(8, -2.0, leg(CALL, "SELL", 0.5))
    assert [one.price for one in normalise(payload(openOrders=ok([buy, sell]))).orders] == [D(4), D(4)]


def test_credit_strategy_is_a_sold_package_at_its_signed_total() -> None:
    spread = order(7, -12.5, leg(CALL, "SELL", 1.0), leg(PUT, "BUY", 1.0))
    whole, sold, bought = normalise(payload(openOrders=ok([spread]))).orders
    assert (whole.instrument, whole.quantity, whole.price) == ("WETH/USDC-STRATEGY", D(-1), D("-12.5"))
    assert (sold.order_id, sold.quantity, sold.price) == ("7:30919", D(-1), D(0))
    assert (bought.order_id, bought.quantity) == ("7:30925", D(1))


def test_strategy_over_two_pairs_lists_each_leg_under_its_own_instrument() -> None:
    other = contract(555, "Put", 90000.0, pair="WBTC/USDC", expiry=250214080)
    mixed = order(7, 5.0, leg(CALL, "BUY", 1.0), leg(other, "SELL", 0.01))
    snapshot = normalise(payload(openOrders=ok([mixed])))
    assert [one.instrument for one in snapshot.orders] == [
        "WETH/USDC-STRATEGY",
        "WETH/USDC-250207080-3500-C",
        "WBTC/USDC-250214080-90000-P",
    ]
    names = {one.name for one in snapshot.instruments}
    assert names == {one.instrument for one in snapshot.orders}


def test_instrument_of_the_same_name_is_listed_once_with_fee_and_lot() -> None:
    snapshot = normalise(
        payload(
            openOrders=ok([order(7, 5.0, leg(CALL, "BUY", 1.0))]),
            positions=ok([position(30919, 1.0, 20.0), position(30940, 5.0, 0.4), position(30901, 1.0, 3300)]),
        )
    )
    by_name = {one.name: one for one in snapshot.instruments}
    assert len(by_name) == len(snapshot.instruments) == 3
    assert by_name["WETH/USDC-250207080-3500-C"].lot == D("1e-7")
    assert by_name["WETH/USDC-250207080-3500-C"].fee == D("0.0004")
    assert by_name["WETH/USDC-250207080-3600-BC"].lot == D("1e-4")
    assert by_name["WETH/USDC-250207080-3600-BC"].fee == D("0.01")
    assert by_name["WETH/USDC-250207080-F"].display == "WETH/USDC 7 Feb 2025 forward"


@pytest.mark.parametrize(
    ("status", "filled", "cancelled", "expected"),
    [
        ("NEW", 0.0, 0.0, "open"),
        ("PENDING", 0.0, 0.0, "open"),
        ("PARTIALLY_FILLED", 0.4, 0.0, "open"),
        ("FILLED", 1.0, 0.0, "filled"),
        ("CANCELED", 0.4, 0.6, "cancelled"),
        ("REJECTED", 0.0, 0.0, "rejected"),
        ("CANCEL_REJECTED", 0.4, 0.0, "open"),
        ("CANCEL_REJECTED", 1.0, 0.0, "filled"),
        ("CANCEL_REJECTED", 0.0, 1.0, "cancelled"),
        ("SUSPENDED_BY_VENUE", 0.0, 0.0, "open"),
    ],
)
def test_status_of_an_order(status: str, filled: float, cancelled: float, expected: str) -> None:
    """Known statuses map; a refused cancellation and a status we never saw go by the quantities."""
    report = order(7, 20.0, leg(CALL, "BUY", 1.0, filled, average=20.0, cancelled=cancelled), status=status)
    (one,) = normalise(payload(openOrders=ok([report]))).orders
    assert (one.status, one.filled) == (expected, D(str(filled)))
    assert one.venue_status == status


def test_leg_without_its_contract_is_found_among_the_contracts() -> None:
    report = order(7, 20.0, leg(CALL, "BUY", 1.0, with_contract=False))
    assert normalise(payload(openOrders=ok([report]))).orders[0].instrument == "WETH/USDC-250207080-3500-C"


def test_opened_time_is_the_earliest_fill_shown_with_the_position() -> None:
    orders = [
        order(7, 20.0, leg(CALL, "BUY", 1.0), stamp_ms=STAMP_MS - 90_000),
        order(8, 20.0, leg(CALL, "BUY", 1.0, 1.0, average=20.0, last=1.0), status="FILLED"),
        order(9, 5.0, leg(CALL, "BUY", 1.0, 0.5, average=20.0, last=0.5), stamp_ms=STAMP_MS + 15_000),
    ]
    rows = [position(30919, 1.5, 20.0, orders=orders)]
    snapshot = normalise(payload(positions=ok(rows)))
    assert snapshot.holdings[0].opened_ms == STAMP_MS
    assert sum(fill.quantity for fill in snapshot.fills) == D("1.5")


def test_the_same_payload_gives_the_same_snapshot() -> None:
    body = payload(tradeHistory__0=json.dumps(sample("trade_history_two_leg.json")).encode())
    assert normalise(body) == normalise(body)


def marks_of(snapshot: Snapshot) -> dict[str, Decimal]:
    return {mark.instrument: mark.price for mark in snapshot.marks}


def test_mark_is_the_middle_then_the_reference_then_the_price_list() -> None:
    """One contract per step of the precedence, and one that nobody values."""
    fifth = contract(30999, "Call", 9000.0)
    rows = [position(number, 1.0, 1.0) for number in (30919, 30925, 30940, 30901, 30999)]
    snapshot = normalise(
        payload(
            contracts=ok([CALL, PUT, BINARY, FORWARD, fifth]),
            positions=ok(rows),
            bestBidAskPrecise=ok(
                {
                    "30919": {"bestAsk": 21.0, "bestBid": 19.0},
                    "30925": {"bestAsk": 9.0, "bestBid": None},
                    "30940": {},
                }
            ),
            referencePrices__x=reference((30919, 99.0), (30925, 8.125), (30901, None)),
            priceList=json.dumps(
                [
                    {"contractId": 30940, "price": 0.38123456789},
                    {"contractId": 30925, "price": 7.0},
                    {"contractId": 30901, "price": 3301.5},
                ]
            ).encode(),
        )
    )
    assert marks_of(snapshot) == {
        "WETH/USDC-250207080-3500-C": D(20),
        "WETH/USDC-250207080-3000-P": D("8.125"),
        "WETH/USDC-250207080-3600-BC": D("0.38123457"),
        "WETH/USDC-250207080-F": D("3301.5"),
    }
    put = next(mark for mark in snapshot.marks if mark.price == D("8.125"))
    assert (put.bid, put.ask, put.time_ms) == (None, D(9), OBSERVED_MS)


def test_resting_orders_are_marked_and_finished_ones_are_not() -> None:
    resting = order(7, 20.0, leg(CALL, "BUY", 1.0))
    done = order(8, 20.0, leg(PUT, "BUY", 1.0, cancelled=1.0), status="CANCELED")
    snapshot = normalise(
        payload(
            openOrders=ok([resting]),
            tradeHistory__0=ok([done]),
            referencePrices__x=reference((30919, 21.0), (30925, 9.0)),
        )
    )
    assert marks_of(snapshot) == {"WETH/USDC-250207080-3500-C": D(21)}


def test_equity_is_unknown_without_the_price_of_a_currency_that_is_held() -> None:
    funds = [{"currency": "WSOL", "orderValue": 0, "fundLockValue": 3.0, "settleValue": 0}]
    assert normalise(payload(fundLock=ok(funds))).equity_usd is None
    funds[0]["fundLockValue"] = 0.0
    assert normalise(payload(fundLock=ok(funds))).equity_usd == 0


@pytest.mark.parametrize(
    ("part", "body", "path"),
    [
        ("positions", ok([position(1, 1.0, 1.0)]), "positions.payload[0].contractId"),
        ("positions", ok([position(30919, 1, 1), position(30919, 1, 1)]), "positions.payload[1].contractId"),
        ("positions", ok([{"contractId": 30919, "positionsQty": 1.0}]), "positions.payload[0]"),
        ("positions", b'{"result":"OK","payload":null}', "positions.payload"),
        ("positions", b'{"result":"INVALID_ACCOUNT","payload":[]}', "positions.result"),
        ("positions", b"<html>maintenance</html>", "positions"),
        ("positions", ok([position(30919, 1e30, 1.0)]), "positions.payload[0].positionsQty"),
        ("openOrders", ok([order(7, 1.0)]), "openOrders.payload[0].details"),
        ("openOrders", ok([order(7, 1.0, leg(CALL, "HOLD", 1.0))]), "openOrders.payload[0].details[0].side"),
        (
            "openOrders",
            ok([order(7, 1.0, leg(CALL, "BUY", 1.0), leg(CALL, "SELL", 1.0))]),
            "openOrders.payload[0].details",
        ),
        (
            "openOrders",
            ok([order(7, 1.0, leg(CALL, "BUY", 1.0, 1.5, average=1.0))]),
            "openOrders.payload[0].details[0].remainingQty",
        ),
        (
            "tradeHistory:0",
            ok([order(7, 1.0, leg(contract(5, "TwinWin", 1.0), "BUY", 1.0))]),
            "tradeHistory:0.payload[0].details[0].contractDto.payoff",
        ),
        ("contracts", ok([contract(30919, "Call")]), "contract[30919].economics.strike"),
        (
            "contracts",
            ok([contract(30919, "Call", 1.0, pair="WETH")]),
            "contract[30919].economics.currencyPair",
        ),
        (
            "contracts",
            ok([contract(30919, "Call", 1.0, expiry=251399080)]),
            "contract[30919].economics.expiry",
        ),
        ("bestBidAskPrecise", ok({"x": {}}), "bestBidAskPrecise.payload"),
    ],
)
def test_drift_is_broken_with_its_field_path(part: str, body: bytes, path: str) -> None:
    """Each deviation from the documented shape names the field, what was expected and what came."""
    drifted = payload(positions=ok([position(30919, 1.0, 1.0)]))
    drifted.parts[part] = body
    if part == "contracts":
        drifted.parts["historical:0"] = ok({"250207080": {"expiryPrices": {}, "positions": []}})
    with pytest.raises(Broken) as raised:
        normalise(drifted)
    assert raised.value.path == path


@pytest.mark.parametrize("part", ["systemInfo", "positions", "openOrders", "tradeHistory:0", "historical:0"])
def test_missing_part_is_broken(part: str) -> None:
    body = payload()
    del body.parts[part]
    with pytest.raises(Broken, match="expected an answer, got nothing"):
        normalise(body)


def test_created_time_is_the_first_sighting() -> None:
    """The venue moves the insertion date when an order changes; the trail keeps the first."""
    first = order(7, 20.0, leg(CALL, "BUY", 1.0))
    later = order(
        7, 20.0, leg(CALL, "BUY", 1.0, cancelled=1.0), status="CANCELED", inserted_ms=CREATED_MS + 9_000
    )
    (one,) = normalise(payload(tradeHistory__0=ok([later]), trail=ok([first]))).orders
    assert (one.created_ms, one.status) == (CREATED_MS, "cancelled")
