"""A curve says at every price and moment what position arithmetic says for the same orders."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.ledger.world import DAY, HOUR, MINUTE, T0, order, plain_order, position, wire_pair
from validator.ledger.curve import changed_from, curve_of, tick_after
from validator.positions import rebuild
from vanta_api.records import Order, Position, VenueFacts

amounts = st.decimals("0.01", "500", places=2)
prices = st.decimals("0.5", "3000", places=3)
gaps = st.integers(1, 3 * DAY)


@st.composite
def venue_orders(draw: st.DrawFn) -> list[Order]:
    side = draw(st.sampled_from([1, -1]))
    made: list[Order] = []
    now = T0
    for number in range(draw(st.integers(1, 6))):
        is_reducing = bool(made) and draw(st.booleans())
        quantity = draw(amounts) * side * (-1 if is_reducing else 1)
        price, fee = draw(prices), draw(st.decimals("0", "9", places=2))
        made.append(order("O2:X/USDC", f"{quantity:f}", f"{price:f}", now, f"o{number}", fee=f"{fee:f}"))
        now += draw(gaps)
    return made


@st.composite
def plain_orders(draw: st.DrawFn) -> list[Order]:
    kind = draw(st.sampled_from(["LONG", "SHORT"]))
    made: list[Order] = []
    now = T0
    for number in range(draw(st.integers(1, 5))):
        leverage = float(draw(st.decimals("0.01", "0.4", places=3)))
        is_reducing = bool(made) and draw(st.booleans())
        side = kind if not is_reducing else "SHORT" if kind == "LONG" else "LONG"
        signed = leverage if side == "LONG" else -leverage
        made.append(plain_order(side, signed, float(draw(prices)), now, f"o{number}"))
        now += draw(gaps)
    return made


def check(record: Position, tick: int, mark: Decimal) -> None:
    """Compare the curve with a rebuild from the orders before the tick."""
    curve = curve_of(record)
    kept = [one for one in record.orders if one.processed_ms < tick]
    expected = rebuild("hk", kept, record.trade_pair, record.account_size, mark=mark, at_ms=tick - 1)
    if curve.close_ms is not None and curve.close_ms < tick:
        assert curve.final.ret == record.return_at_close
        return
    line = curve.line(tick)
    totals, unrealized = curve.totals(tick, float(mark))

    assert line is not None
    assert line.at(float(mark)) == pytest.approx(expected.return_at_close, rel=1e-9, abs=1e-9)
    assert totals.ret == line.at(float(mark))
    assert totals.realized == pytest.approx(expected.realized_pnl, rel=1e-9, abs=1e-7)
    assert unrealized == pytest.approx(expected.unrealized_pnl, rel=1e-9, abs=1e-6)


@given(venue_orders(), prices, st.integers(0, 6 * DAY))
def test_a_venue_position_is_worth_what_its_orders_say(orders: list[Order], mark: Decimal, late: int) -> None:
    record = position("hk", "O2:X/USDC", orders)

    check(record, tick_after(orders[0].processed_ms + late), mark)


@given(plain_orders(), prices, st.integers(0, 9 * DAY), st.sampled_from(["BTCUSD", "EURUSD", "AAPL"]))
def test_a_plain_position_is_worth_what_its_orders_say_less_modelled_fees(
    orders: list[Order], mark: Decimal, late: int, pair: str
) -> None:
    record = position("hk", pair, orders, 0.0)

    check(record, tick_after(orders[0].processed_ms + late), mark)


@given(plain_orders(), st.sampled_from(["BTCUSD", "EURUSD"]))
def test_every_change_of_a_modelled_fee_is_a_turn(orders: list[Order], pair: str) -> None:
    curve = curve_of(position("hk", pair, orders, 0.0))
    end = T0 + 2 * DAY
    turns = {tick_after(T0), *curve.turns(T0, end)}
    line = None
    for tick in range(tick_after(T0), end, 20 * MINUTE):
        now = curve.line(tick) if curve.close_ms is None or curve.close_ms >= tick else None
        if line is not None and now is not None and now != line:
            assert any(tick - 20 * MINUTE < turn <= tick for turn in turns), tick
        line = now


def test_a_closed_position_keeps_the_return_of_its_record() -> None:
    orders = [
        order("O2:X/USDC", "10", "5", T0, "a"),
        order("O2:X/USDC", "-10", "6", T0 + HOUR, "b", flat=True),
    ]
    record = msgspec.structs.replace(position("hk", "O2:X/USDC", orders), return_at_close=1.5)

    assert curve_of(record).final.ret == 1.5


def test_orders_that_make_no_position_leave_it_at_one_until_it_closes() -> None:
    record = Position(
        miner_hotkey="hk",
        position_uuid="p",
        open_ms=T0,
        trade_pair=wire_pair("BTCUSD"),
        orders=(plain_order("FLAT", 0.0, 10.0, T0, "x"),),
        is_closed_position=True,
        close_ms=T0 + HOUR,
        return_at_close=0.9,
    )
    curve = curve_of(record)

    assert curve.line(T0 + MINUTE) is None
    assert (curve.close_ms, curve.final.ret) == (T0 + HOUR, 0.9)


def test_a_voided_position_counts_as_nothing() -> None:
    facts = VenueFacts(name="o2", account="a", instrument="X", status="voided")
    record = Position(
        miner_hotkey="hk",
        position_uuid="p",
        open_ms=T0,
        trade_pair=wire_pair("O2:X/USDC"),
        is_closed_position=True,
        close_ms=T0 + HOUR,
        venue=facts,
    )

    assert curve_of(record).final == (1.0, 0.0, 0.0, 1.0, 1.0)


def test_total_loss_is_zero_and_never_below() -> None:
    record = position("hk", "O2:X/USDC", [order("O2:X/USDC", "-1000", "100", T0, "a")])
    line = curve_of(record).line(T0 + MINUTE)

    assert line is not None
    assert line.at(1e9) == 0.0


def test_a_curve_differs_from_its_successor_from_the_new_order_on() -> None:
    first = order("O2:X/USDC", "10", "5", T0, "a")
    second = order("O2:X/USDC", "5", "6", T0 + HOUR, "b")
    late = order("O2:X/USDC", "2", "5.5", T0 + MINUTE, "c")
    closing = order("O2:X/USDC", "-15", "6", T0 + DAY, "d", flat=True)
    one, two = (curve_of(position("hk", "O2:X/USDC", orders)) for orders in ([first], [first, second]))
    three = curve_of(position("hk", "O2:X/USDC", [first, late, second]))
    over = curve_of(position("hk", "O2:X/USDC", [first, second, closing]))

    assert changed_from(one, one) is None
    assert changed_from(one, two) == T0 + HOUR
    assert changed_from(two, three) == T0 + MINUTE
    assert changed_from(two, over) == T0 + DAY
    assert changed_from(over, two) == T0 + DAY
