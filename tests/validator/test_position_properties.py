"""Laws of the arithmetic for generated histories: rebuild law, closing, tiers, identity, no NaN."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.make import O2_PAIR, T0, fill, pair, plain_order, with_facts
from validator.positions import (
    MARK_FIELDS,
    aggregates,
    identity,
    order_identity,
    rebuild,
    truncate,
    value_position,
)
from vanta_api.records import Order, Position, RestingOrder, VenueFacts, decode_position_message, encode

amounts = st.decimals("0.000001", "1000000", places=6)
signed = st.builds(lambda size, sign: size * sign, amounts, st.sampled_from([1, -1]))
prices = st.decimals("-1000", "100000", places=8)
any_float = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def histories(draw: st.DrawFn) -> list[Order]:
    """Venue fills at distinct times that may add, reduce, close and reverse."""
    rows = draw(st.lists(st.tuples(signed, prices, prices), min_size=1, max_size=12))
    return [
        fill(str(quantity), str(price), T0 + i, fees=str(fee))
        for i, (quantity, price, fee) in enumerate(rows)
    ]


@st.composite
def plain_histories(draw: st.DrawFn) -> list[Order]:
    """Plain orders with arbitrary finite numbers, some fields missing."""
    maybe = st.none() | any_float
    return draw(
        st.lists(
            st.builds(
                plain_order,
                st.sampled_from(["LONG", "SHORT", "FLAT"]),
                st.floats(0, allow_infinity=False),
                st.integers(0, 2**53),
                leverage=maybe,
                value=maybe,
                quantity=maybe,
                slippage=any_float,
                quote_usd_rate=any_float,
                usd_base_rate=any_float,
                src=st.integers(0, 10),
            ),
            min_size=1,
            max_size=6,
        )
    )


@st.composite
def sane_histories(draw: st.DrawFn) -> list[Order]:
    """Plain orders as they are really written: a signed leverage and a price."""
    rows = draw(
        st.lists(
            st.tuples(st.floats(0.01, 5), st.floats(0.01, 1e5), st.sampled_from("LSF")),
            min_size=1,
            max_size=8,
        )
    )
    kinds: dict[str, tuple[Any, int]] = {"L": ("LONG", 1), "S": ("SHORT", -1), "F": ("FLAT", 0)}
    return [
        plain_order(kinds[kind][0], price, T0 + i, leverage=size * kinds[kind][1])
        for i, (size, price, kind) in enumerate(rows)
    ]


@given(histories(), st.randoms(use_true_random=False))
def test_rebuild_does_not_depend_on_the_order_of_its_input(orders: list[Order], random: Any) -> None:
    shuffled = list(orders)
    random.shuffle(shuffled)

    assert rebuild("hk", shuffled, O2_PAIR, 1e5) == rebuild("hk", orders, O2_PAIR, 1e5)


@given(histories(), prices)
def test_rebuild_law(orders: list[Order], mark: Decimal) -> None:
    """All orders of a position, folded again, give the position."""
    position = rebuild("hk", orders, O2_PAIR, 1e5, mark=mark)

    again = rebuild("hk", position.orders, O2_PAIR, 1e5, mark=mark)

    assert again == position


@given(histories())
def test_the_fold_agrees_with_fractions(orders: list[Order]) -> None:
    """Quantity, average entry and realised P&L against an independent sum over the orders that count."""
    position = rebuild("hk", orders, O2_PAIR, 1e5)
    facts = position.venue
    assert facts is not None
    cash, held = Decimal(0), Decimal(0)
    for order in position.orders:
        assert order.venue is not None
        quantity = Decimal(order.venue.quantity or "0")
        if position.is_closed_position and order is position.orders[-1]:
            quantity = -held
        cash -= quantity * Decimal(order.venue.price or "0")
        held += quantity

    assert Decimal(facts.quantity or "") == held
    average, realized = Decimal(facts.average_entry_price or ""), Decimal(facts.realized_pnl or "")
    largest = max(
        Decimal(1), abs(cash), *(abs(Decimal(one.venue.price or "0")) for one in orders if one.venue)
    )
    assert abs(realized - (cash + average * held)) <= Decimal("1e-9") * largest


@given(histories(), prices)
def test_closing_zeroes(orders: list[Order], price: Decimal) -> None:
    closing = fill(None, str(price), T0 + 1000, flat=True)

    position = rebuild("hk", [*orders, closing], O2_PAIR, 1e5)

    assert position.is_closed_position
    assert position.position_type == "FLAT"
    assert (position.net_quantity, position.net_leverage, position.net_value) == (0.0, 0.0, 0.0)
    assert position.unrealized_pnl == 0.0
    assert position.venue is not None
    assert position.venue.quantity == "0"


@given(histories(), st.integers(-1, 13), prices)
def test_a_delayed_view_is_the_position_as_it_was(orders: list[Order], cut: int, mark: Decimal) -> None:
    """Truncating the whole history equals rebuilding the older part of it."""
    facts = VenueFacts(name="o2", account="a1", instrument="FUEL/USDC", observed_ms=T0 + 1000)
    position = rebuild("hk", orders, O2_PAIR, 1e5, venue=facts)
    kept = [order for order in position.orders if order.processed_ms < T0 + cut]

    lagged = truncate(position, T0 + cut, mark)

    if not kept:
        assert lagged is None
        return
    then = rebuild(
        "hk", [order for order in orders if order.processed_ms < T0 + cut], O2_PAIR, 1e5, mark=mark
    )
    assert lagged is not None
    assert identity(_unobserved(lagged)) == identity(_unobserved(then))
    assert (lagged.current_return, lagged.return_at_close) == (then.current_return, then.return_at_close)


@given(histories(), prices, prices)
def test_the_mark_does_not_change_identity(orders: list[Order], mark: Decimal, other: Decimal) -> None:
    position = rebuild("hk", orders, O2_PAIR, 1e5, mark=mark)

    valued = value_position(position, other, T0 + 99)

    assert identity(valued) == identity(position)
    kept = [name for name in Position.__struct_fields__ if name not in (*MARK_FIELDS, "venue")]
    assert [getattr(valued, name) for name in kept] == [getattr(position, name) for name in kept]


@given(histories(), signed)
def test_an_order_more_changes_identity(orders: list[Order], quantity: Decimal) -> None:
    position = rebuild("hk", orders, O2_PAIR, 1e5)
    longer = rebuild("hk", [*orders, fill(str(quantity), "1", T0 + 1000)], O2_PAIR, 1e5)

    assert (identity(longer) != identity(position)) == (not position.is_closed_position)


@pytest.mark.parametrize(
    "change",
    [{"status": "frozen"}, {"fees": "3"}, {"quantity": "2"}, {"position_id": "9"}, {"derived": True}],
)
def test_facts_that_matter_change_identity(change: dict[str, Any]) -> None:
    position = rebuild("hk", [fill("1", "1")], O2_PAIR, 1e5)
    changed = msgspec.structs.replace(position, venue=with_facts(position.venue, **change))

    assert identity(changed) != identity(position)


def test_the_time_of_observation_is_no_event() -> None:
    facts = VenueFacts(name="o2", account="a", instrument="i", observed_ms=1, mark_price="1", venue_ms=5)
    later = msgspec.structs.replace(facts, observed_ms=2, mark_price="2", unrealized_pnl="3")
    order = RestingOrder(
        miner_hotkey="hk",
        trade_pair_id="O2:x",
        trade_pair=O2_PAIR,
        order_type="LONG",
        processed_ms=1,
        order_uuid="u",
        venue=facts,
    )
    again = msgspec.structs.replace(order, venue=later)
    filled = msgspec.structs.replace(order, src=6)

    assert order_identity(order) == order_identity(again) != order_identity(filled)


@given(plain_histories(), any_float, st.sampled_from(["EURUSD", "USDJPY", "BTCUSD", "EURGBP"]), any_float)
def test_no_finite_input_gives_nan(orders: list[Order], account: float, pair_id: str, mark: float) -> None:
    """Every number of a rebuilt position is finite, or the history is refused."""
    try:
        position = rebuild("hk", orders, pair(pair_id), account, mark=Decimal(repr(mark)), at_ms=2**53)
    except ValueError:
        return
    _assert_finite(msgspec.to_builtins(msgspec.structs.replace(position, orders=())))
    _assert_finite([order.leverage for order in position.orders])
    _assert_finite(aggregates([position], 2**53))


@given(st.lists(st.tuples(any_float, any_float, any_float), min_size=1, max_size=5), any_float, any_float)
def test_no_finite_venue_amount_gives_nan(
    rows: list[tuple[float, float, float]], account: float, mark: float
) -> None:
    orders = [fill(repr(q), repr(p), T0 + i, fees=repr(f)) for i, (q, p, f) in enumerate(rows)]
    try:
        position = rebuild("hk", orders, O2_PAIR, account, mark=Decimal(repr(mark)))
        position = value_position(position, Decimal(repr(mark)), T0)
    except ValueError:
        return
    body = encode({"position": position})
    _assert_finite(msgspec.json.decode(body))
    assert decode_position_message(body).position == position


@given(sane_histories(), st.sampled_from(["SOLUSD", "USDJPY", "EURUSD"]), st.sampled_from([0.0, 1000.0]))
def test_a_plain_history_folds_again_to_itself(orders: list[Order], pair_id: str, account: float) -> None:
    """The rewritten orders of a position are a history of the same position."""
    if orders[0].order_type == "FLAT":
        orders = [plain_order("LONG", 1.0, T0 - 1, leverage=1.0), *orders]

    position = rebuild("hk", orders, pair(pair_id), account)

    assert rebuild("hk", position.orders, pair(pair_id), account) == position


@given(sane_histories(), st.sampled_from([0.0, 1000.0]))
def test_closing_zeroes_a_plain_position(orders: list[Order], account: float) -> None:
    opening = plain_order("SHORT", 10.0, T0 - 1, leverage=-1.0)
    flat = plain_order("FLAT", 10.0, T0 + 100)

    position = rebuild("hk", [opening, *orders, flat], pair("SOLUSD"), account)

    assert position.is_closed_position
    assert (position.net_quantity, position.net_leverage, position.net_value) == (0.0, 0.0, 0.0)
    assert position.unrealized_pnl == 0.0
    assert sum(order.leverage or 0.0 for order in position.orders) == pytest.approx(0.0, abs=1e-9)


def _unobserved(position: Position) -> Position:
    return msgspec.structs.replace(position, venue=with_facts(position.venue, observed_ms=None, status=None))


def _assert_finite(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            _assert_finite(one)
    if isinstance(value, float):
        assert math.isfinite(value), value
