"""O2 payloads become snapshots: every documented case, and drift is named, never guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.venues.o2.samples import (
    BASE,
    MARKET,
    OBSERVED_MS,
    QUOTE,
    order,
    parts,
    payload,
    sample,
    trade,
)
from venues.errors import Broken
from venues.model import Fill, Snapshot, VenueOrder
from venues.o2.normalise import normalise
from venues.o2.schemas import is_usd, moment

TRADES = f"trades/{MARKET}/0"
ORDERS = f"orders/{MARKET}/0"
ETH = "0x" + "e0" * 32
ETH_MARKET = "0x" + "0e" * 32
CROSS_MARKET = "0x" + "0c" * 32


def snapshot_of(**changes: Any) -> Snapshot:
    return normalise(payload({**parts(), **changes}))


def fills_of(*rows: dict[str, Any], since_ms: int | None = None) -> tuple[Fill, ...]:
    asked = payload({**parts(), TRADES: {"trades": list(rows)}})
    return normalise(msgspec.structs.replace(asked, since_ms=since_ms)).fills


def order_of(**changes: Any) -> VenueOrder:
    (found,) = snapshot_of(**{ORDERS: {"orders": [order(**changes)]}}).orders
    return found


def test_the_documented_account_is_read_exactly() -> None:
    got = snapshot_of()

    assert [(f.quantity, f.price, f.time_ms) for f in got.fills] == [
        (Decimal(40), Decimal("0.025"), 1767225600123),
        (Decimal(-10), Decimal("0.026"), 1767229200456),
    ]
    (holding,) = got.holdings
    assert (holding.instrument, holding.quantity) == ("fFUEL/fUSDC", Decimal(1110))
    assert got.holdings_complete
    (mark,) = got.marks
    assert (mark.price, mark.bid, mark.ask) == (Decimal("0.026"), Decimal("0.0259"), Decimal("0.0261"))
    assert mark.time_ms == 1767229260000
    assert got.equity_usd == Decimal("59.87872") + 1110 * Decimal("0.026")


def test_the_instrument_carries_fee_lot_and_dust() -> None:
    (instrument,) = snapshot_of().instruments

    assert (instrument.name, instrument.base, instrument.quote) == ("fFUEL/fUSDC", "fFUEL", "fUSDC")
    assert instrument.fee == Decimal("0.0001")
    assert instrument.lot == Decimal("0.001")
    assert instrument.dust == Decimal("0.000001")
    assert instrument.vanta_pair is None


def test_locked_coins_are_owned_and_the_trade_account_is_not_counted_twice() -> None:
    balance = {"total_locked": "5000000000", "total_unlocked": "7000000000", "trading_account_balance": "6"}

    (holding,) = snapshot_of(**{f"balance/{BASE}": balance}).holdings

    assert holding.quantity == Decimal(12)


def test_a_coin_that_is_all_gone_has_no_holding() -> None:
    nothing = {"total_locked": "0", "total_unlocked": "0", "trading_account_balance": "0"}

    assert snapshot_of(**{f"balance/{BASE}": nothing}).holdings == ()


@pytest.mark.parametrize(
    ("side", "role", "quantity"),
    [("Buy", "maker", 40), ("Sell", "maker", -40), ("Buy", "taker", -40), ("Sell", "taker", 40)],
)
def test_a_taker_did_the_opposite_of_the_listed_side(side: str, role: str, quantity: int) -> None:
    (fill,) = fills_of(trade(side=side, trader_side=role), since_ms=1)

    assert fill.quantity == quantity


def test_side_and_role_are_read_in_any_case() -> None:
    (fill,) = fills_of(trade(side="SELL", trader_side="Taker"))

    assert fill.quantity == 40


@pytest.mark.parametrize("side", ["Buy", "Sell"])
def test_a_self_trade_is_two_fills_that_cancel_and_pays_the_fee_once(side: str) -> None:
    bought, sold = fills_of(trade(side=side, trader_side="both"))

    assert bought.quantity == 40
    assert bought.quantity + sold.quantity == 0
    assert bought.fee + sold.fee == Decimal(1) * Decimal("0.0001")
    assert bought.fill_id != sold.fill_id
    assert (bought.fee == 0) == (side == "Buy")  # the maker's leg is free


def test_the_takers_fee_is_estimated_from_the_total_and_the_maker_pays_none() -> None:
    taken = trade(trade_id="2", side="Sell", trader_side="taker")

    maker, taker = fills_of(trade(trade_id="1"), taken)

    assert maker.fee == 0
    assert taker.fee == Decimal("0.0001")
    assert not taker.derived


def test_coins_sold_that_no_trade_bought_were_deposited_and_never_short() -> None:
    rows = [
        trade(trade_id="3", timestamp=1767225603000, side="Sell", quantity="60000000000"),
        trade(trade_id="2", timestamp=1767225602000),
        trade(trade_id="1", timestamp=1767225601000, side="Sell", price="24000"),
    ]

    got = fills_of(*rows)

    assert [(fill.kind, fill.quantity) for fill in got] == [
        ("transfer", Decimal(40)),
        ("trade", Decimal(-40)),
        ("trade", Decimal(40)),
        ("transfer", Decimal(20)),
        ("trade", Decimal(-60)),
    ]
    assert [fill.price for fill in got if fill.derived] == [Decimal("0.024"), Decimal("0.025")]
    assert len({fill.fill_id for fill in got}) == 5


def test_a_part_of_the_history_does_not_tell_what_was_deposited() -> None:
    selling = payload({**parts(), TRADES: {"trades": [trade(side="Sell")]}})

    (fill,) = normalise(msgspec.structs.replace(selling, since_ms=1)).fills

    assert fill.kind == "trade"


def test_fills_come_oldest_first_and_repeated_rows_count_once() -> None:
    rows = [trade(trade_id=str(n), timestamp=1767225600000 + 1000 * n) for n in (5, 4, 4, 3)]
    again = {"trades": [trade(trade_id="5", timestamp=1767225605000)]}

    got = snapshot_of(**{TRADES: {"trades": rows}, f"trades/{MARKET}/1": again}).fills

    assert [fill.time_ms for fill in got] == [1767225603000, 1767225604000, 1767225605000]


def test_fills_of_one_millisecond_keep_the_venues_order() -> None:
    by_number = fills_of(trade(trade_id="8", price="8"), trade(trade_id="7", price="7"))
    by_listing = fills_of(trade(trade_id="0xbb", price="8"), trade(trade_id="0xcc", price="7"))

    assert [fill.price for fill in by_number] == [Decimal("0.000007"), Decimal("0.000008")]
    assert [fill.price for fill in by_listing] == [Decimal("0.000007"), Decimal("0.000008")]


def test_a_bare_list_of_trades_and_json_numbers_are_understood() -> None:
    row = trade(trade_id=812345, quantity=40000000000, price=25000, total=1000000, timestamp="1767225600")

    (fill,) = snapshot_of(**{TRADES: [row]}).fills

    assert (fill.quantity, fill.price, fill.time_ms) == (Decimal(40), Decimal("0.025"), 1767225600000)


def test_the_fill_id_names_market_and_trade() -> None:
    (fill,) = fills_of(trade())

    assert fill.fill_id == "09c17f779eb0a765-812345"
    assert fill.order_id is None


def test_ids_are_the_same_with_and_without_prefix_in_any_case() -> None:
    markets = sample("markets")
    markets["markets"][0]["market_id"] = MARKET[2:].upper()
    markets["markets"][0]["base"]["asset"] = BASE[2:].upper()

    got = snapshot_of(markets=markets)

    assert len(got.fills) == 2
    assert len(got.holdings) == 1
    assert order_of(order_id="AB" * 32).order_id == "0x" + "ab" * 32


def test_an_open_order_keeps_its_size_and_what_was_filled() -> None:
    got = order_of()

    assert (got.quantity, got.filled, got.price) == (Decimal(100), Decimal(40), Decimal("0.025"))
    assert (got.status, got.venue_status) == ("open", "partially_filled")
    assert got.created_ms == 1767225600000


@pytest.mark.parametrize(
    ("changes", "status", "venue_status"),
    [
        ({"partially_filled": False, "quantity_fill": "0"}, "open", "open"),
        ({"close": True, "cancel": True}, "cancelled", "cancelled_partially_filled"),
        ({"close": True, "cancel": True, "quantity_fill": "0"}, "cancelled", "cancelled"),
        ({"close": True, "quantity_fill": "100000000000"}, "filled", "filled"),
        ({"close": True, "quantity_fill": "99999999001"}, "filled", "closed_as_dust"),
        ({"close": True}, "cancelled", "expired_partially_filled"),
        ({"close": True, "quantity_fill": "0"}, "cancelled", "expired"),
    ],
)
def test_status_comes_from_the_flags(changes: dict[str, Any], status: str, venue_status: str) -> None:
    got = order_of(**changes)

    assert (got.status, got.venue_status) == (status, venue_status)


def test_a_sell_order_is_negative_and_a_time_limited_one_can_rest() -> None:
    got = order_of(side="sell", order_type={"Limit": ["25000", 1767225700]})

    assert got.quantity == -100


@pytest.mark.parametrize(
    "kind", ["Market", "FillOrKill", {"BoundedMarket": {"max_price": 1, "min_price": "0"}}]
)
def test_orders_that_never_rest_are_no_resting_orders(kind: Any) -> None:
    infinite = {"Quote": {"desired_base_quantity": "Infinite", "remaining_quote_token": 1}}

    got = snapshot_of(**{ORDERS: {"orders": [order(order_type=kind, desired_quantity=infinite)]}})

    assert got.orders == ()


def test_the_later_page_knows_better_about_an_order() -> None:
    closed = {"orders": [order(close=True, quantity_fill="100000000000")]}

    (got,) = snapshot_of(**{ORDERS: {"orders": [order()]}, f"orders/{MARKET}/1": closed}).orders
    (single,) = snapshot_of(
        **{ORDERS: {"orders": [order()]}, f"order/{MARKET}/0": {"order": order(close=True, cancel=True)}}
    ).orders

    assert got.status == "filled"
    assert single.status == "cancelled"


@pytest.mark.parametrize(
    ("row", "price"),
    [
        ({"last": "26000", "bid": "25900", "ask": "26100"}, "0.026"),
        ({"last": "29000", "bid": "25900", "ask": "26100"}, "0.0261"),
        ({"last": "20000", "bid": "25900", "ask": "26100"}, "0.0259"),
        ({"last": None, "bid": "25900", "ask": "26100"}, "0.026"),
        ({"last": "26000", "bid": None, "ask": None}, "0.026"),
        ({"last_price": 0.026, "best_bid": "0.0259", "best_ask": 0.0261}, "0.026"),
    ],
)
def test_the_mark_is_the_last_trade_inside_the_spread(row: dict[str, Any], price: str) -> None:
    for body in (row, [row]):
        (mark,) = snapshot_of(**{f"ticker/{MARKET}": body}).marks
        assert mark.price == Decimal(price)


def test_without_a_ticker_price_the_book_gives_the_mark() -> None:
    got = snapshot_of(**{f"ticker/{MARKET}": [], f"depth/{MARKET}": sample("depth")})

    (mark,) = got.marks
    assert (mark.price, mark.time_ms) == (Decimal("0.026"), OBSERVED_MS)
    view = {"view": {"buys": sample("depth")["orders"]["buys"]}}
    one_sided = snapshot_of(**{f"ticker/{MARKET}": [{}], f"depth/{MARKET}": view})
    assert one_sided.marks[0].price == Decimal("0.0259")


def test_a_market_that_never_traded_has_no_mark_but_its_holding_counts() -> None:
    got = snapshot_of(**{f"ticker/{MARKET}": []})

    assert got.marks == ()
    assert len(got.holdings) == 1
    assert got.equity_usd == Decimal("59.87872")


def test_a_coin_that_moved_while_being_read_says_nothing() -> None:
    got = snapshot_of(moving=[BASE])

    assert got.holdings == ()
    assert not got.holdings_complete
    assert len(got.fills) == 2


def with_cross_market() -> dict[str, Any]:
    """ETH/fUSDC beside fFUEL/fUSDC, and fFUEL/ETH, which is quoted in a coin."""
    made = parts()
    fuel = made["markets"]["markets"][0]
    eth = {"symbol": "ETH", "asset": ETH, "decimals": 9, "max_precision": 4}
    made["markets"]["markets"] += [
        {**fuel, "market_id": ETH_MARKET, "base": eth},
        {**fuel, "market_id": CROSS_MARKET, "quote": eth},
    ]
    made[f"balance/{ETH}"] = {"total_locked": "0", "total_unlocked": "2000000000"}
    for market, price in ((ETH_MARKET, "3000000000"), (CROSS_MARKET, "9000")):
        made[f"ticker/{market}"] = [{"last": price}]
        made[f"trades/{market}/0"] = {"trades": []}
        made[f"orders/{market}/0"] = {"orders": []}
    return made


def test_a_trade_against_another_coin_is_a_trade_of_both_in_dollars() -> None:
    made = with_cross_market()
    row = trade(quantity="10000000000", price="9000", total="90000", trader_side="taker", side="Sell")
    made[f"trades/{CROSS_MARKET}/0"] = {"trades": [row]}
    made[TRADES] = {"trades": []}

    got = normalise(msgspec.structs.replace(payload(made), since_ms=1))

    base, quote = got.fills
    assert (base.instrument, base.quantity, base.price) == ("fFUEL/fUSDC", Decimal(10), Decimal("0.027"))
    assert (quote.instrument, quote.quantity, quote.price) == (
        "ETH/fUSDC",
        Decimal("-0.00009"),
        Decimal(3000),
    )
    assert base.derived
    assert quote.derived
    assert base.fee == Decimal("0.00009") * 3000 * Decimal("0.0001")
    assert {mark.instrument: mark.price for mark in got.marks}["fFUEL/ETH"] == Decimal("0.027")


def test_one_coin_in_two_markets_is_one_position_at_its_usdc_market() -> None:
    made = with_cross_market()
    tether = {**made["markets"]["markets"][1], "market_id": "0x" + "01" * 32}
    tether["quote"] = {"symbol": "USDT", "asset": "0x" + "d0" * 32, "decimals": 6, "max_precision": 4}
    made["markets"]["markets"].insert(0, tether)
    made[f"balance/{tether['quote']['asset']}"] = {"total_locked": "0", "total_unlocked": "0"}
    made[f"ticker/{tether['market_id']}"] = [{"last": "3001000000"}]
    made[f"trades/{tether['market_id']}/0"] = {"trades": [trade(trade_id="77")]}
    made[f"orders/{tether['market_id']}/0"] = {"orders": [order()]}

    got = normalise(payload(made))

    assert {h.instrument for h in got.holdings} == {"fFUEL/fUSDC", "ETH/fUSDC"}
    assert "ETH/fUSDC" in {fill.instrument for fill in got.fills}
    assert "ETH/USDT" not in {fill.instrument for fill in got.fills}
    assert "ETH/USDT" in {placed.instrument for placed in got.orders}


def test_a_market_whose_quote_has_no_dollar_price_is_left_out() -> None:
    made = with_cross_market()
    made[f"ticker/{ETH_MARKET}"] = []

    got = normalise(payload(made))

    assert "fFUEL/ETH" not in {instrument.name for instrument in got.instruments}


def test_a_market_that_was_not_read_is_not_part_of_the_picture() -> None:
    made = with_cross_market()
    del made[f"trades/{CROSS_MARKET}/0"]

    assert len(normalise(payload(made)).instruments) == 2


def test_a_dollar_traded_for_a_dollar_is_cash_and_no_position() -> None:
    made = parts()
    base = made["markets"]["markets"][0]["base"]
    base["symbol"] = "USDT"

    got = normalise(payload(made))

    assert got.holdings == ()
    assert got.fills == ()
    assert got.equity_usd == 1110 + Decimal("59.87872")


@pytest.mark.parametrize(
    ("symbol", "expected"), [("fUSDC", True), ("USDT", True), ("FUEL", False), ("fFUEL", False)]
)
def test_dollars_are_known_with_the_test_networks_prefix(symbol: str, expected: bool) -> None:
    assert is_usd(symbol) is expected


@pytest.mark.parametrize(
    "value", ["1767225600", 1767225600, 1767225600000, "1767225600000", "2026-01-01T00:00:00Z", 1767225600.0]
)
def test_a_time_is_read_in_whatever_form_it_comes(value: Any) -> None:
    assert moment("t", value) == 1767225600000


@pytest.mark.parametrize("value", ["soon", "", "-5", "1e400", float("nan"), "²"])
def test_what_is_no_time_is_broken(value: Any) -> None:
    with pytest.raises(Broken):
        moment("t", value)


@pytest.mark.parametrize(
    ("part", "body", "path"),
    [
        (TRADES, {"trades": [trade(price="0.5")]}, f"{TRADES}.trades[0].price"),
        (TRADES, {"trades": [trade(quantity="-1")]}, f"{TRADES}.trades[0].quantity"),
        (TRADES, {"trades": [trade(total=-1)]}, f"{TRADES}.trades[0].total"),
        (TRADES, {"trades": [trade(price="NaN")]}, f"{TRADES}.trades[0].price"),
        (TRADES, {"trades": [trade(price="9" * 60)]}, f"{TRADES}.trades[0].price"),
        (TRADES, {"trades": [trade(side="Hold")]}, f"{TRADES}.trades[0].side"),
        (TRADES, {"trades": [trade(trader_side="judge")]}, f"{TRADES}.trades[0].trader_side"),
        (TRADES, {"trades": [{"trade_id": "1"}]}, f"{TRADES}.trades[0]"),
        (TRADES, {"trades": [trade(timestamp=None)]}, f"{TRADES}.trades[0].timestamp"),
        (TRADES, {}, TRADES),
        (ORDERS, {"orders": [order(order_id="nothex")]}, f"{ORDERS}.orders[0].order_id"),
        (ORDERS, {"orders": [order(close="no")]}, f"{ORDERS}.orders[0].close"),
        ("markets", {"markets": [{}]}, "markets.markets[0]"),
        (f"ticker/{MARKET}", [{"last": "NaN"}], f"ticker/{MARKET}.last"),
        (f"balance/{BASE}", {"total_locked": "1"}, f"balance/{BASE}"),
        (
            f"balance/{BASE}",
            {"total_locked": "0", "total_unlocked": "1", "trading_account_balance": "2"},
            f"balance/{BASE}.total_unlocked",
        ),
    ],
)
def test_drift_is_named_with_its_field(part: str, body: Any, path: str) -> None:
    with pytest.raises(Broken) as caught:
        snapshot_of(**{part: body})

    assert caught.value.path == path
    assert caught.value.expected
    assert caught.value.got


def test_a_missing_balance_is_broken() -> None:
    made = parts()
    del made[f"balance/{QUOTE}"]

    with pytest.raises(Broken, match=f"balance/{QUOTE}"):
        normalise(payload(made))


def test_no_number_passes_through_a_float() -> None:
    row = trade(quantity="12345678901234567890123", price="1234567890123456789", total="1")

    (fill,) = fills_of(row)

    assert fill.quantity == Decimal("12345678901234.567890123")
    assert fill.price == Decimal("1234567890123.456789")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


ODD = st.sampled_from(
    [
        "0E+99999",
        "1E-999999999",
        "1e400",
        "-0",
        "٣",
        "1_000",
        "+5",
        "9" * 38,
        "Infinity",
        1e300,
        2**64,
        1e-300,
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON document."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(found for key, child in children for found in places(child, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The document with another value at ``path``."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@given(st.data())
def test_a_drifted_payload_is_broken_or_a_snapshot_and_nothing_else(data: st.DataObject) -> None:
    made = parts()
    part = data.draw(st.sampled_from(sorted(made)))
    where = data.draw(st.sampled_from(places(made[part])))
    made[part] = changed(made[part], where, data.draw(JSON | ODD))

    try:
        got = normalise(payload(made))
    except Broken:
        return
    assert isinstance(got, Snapshot)


@given(st.sampled_from(sorted(parts())), st.binary(max_size=40))
def test_bytes_that_are_no_answer_are_broken(part: str, body: bytes) -> None:
    whole = payload(parts())
    bad = msgspec.structs.replace(whole, parts={**whole.parts, part: body})

    try:
        got = normalise(bad)
    except Broken:
        return
    assert isinstance(got, Snapshot)
