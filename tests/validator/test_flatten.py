"""Closing a position by rule: at a price, without one, and when its orders make no sense."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.make import HOUR, O2_PAIR, T0, fill, pair, plain_order, with_facts
from validator.flatten import flatten
from validator.positions import rebuild, truncate
from vanta_api.records import OrderSource, Position, VenueFacts, encode
from vanta_api.wire import from_vanta

UUID = "0c2aa350-2bea-4ccd-8cce-6da220d5bae6"


def held(*fills: tuple[str, str], mark: str | None = None) -> Position:
    """A position of a venue, made of these (quantity, price)."""
    orders = [fill(quantity, price, T0 + n, fees="0.5") for n, (quantity, price) in enumerate(fills)]
    venue = VenueFacts(
        name="o2", account="a1", instrument="FUEL/USDC", position_id="7", status="open", observed_ms=T0
    )
    value = None if mark is None else Decimal(mark)
    return rebuild("hk", orders, O2_PAIR, 1000.0, position_uuid=UUID, mark=value, venue=venue)


def vanta(trade_pair_id: str = "BTCUSD", price: float = 100.0, **fields: Any) -> Position:
    """A position of Vanta's own kind."""
    order = plain_order("LONG", price, T0, leverage=0.1, order_uuid=UUID, **fields)
    return rebuild("hk", [order], pair(trade_pair_id), 1000.0)


def test_a_venue_position_is_settled_at_the_mark() -> None:
    closed = flatten(held(("2", "10")), Decimal("12.5"), T0 + HOUR)
    last = closed.orders[-1]

    assert closed.is_closed_position
    assert (closed.close_ms, closed.position_type, closed.net_quantity) == (T0 + HOUR, "FLAT", 0.0)
    assert closed.realized_pnl == 5.0
    assert closed.current_return == 1.005
    assert closed.return_at_close == pytest.approx(1.0045)  # the venue's fee of 0.5 stays paid
    assert (last.order_type, last.src, last.price) == ("FLAT", 3, 12.5)
    assert (last.quantity, last.value, last.leverage) == (-2.0, -25.0, -0.02)
    assert last.venue is not None
    assert (last.venue.kind, last.venue.quantity, last.venue.derived) == ("elimination", "-2", True)
    assert closed.venue is not None
    assert (closed.venue.status, closed.venue.position_id) == ("eliminated", "7")


def test_the_closing_order_has_the_reversed_uuid() -> None:
    assert flatten(held(("1", "10")), Decimal(9), T0).orders[-1].order_uuid == UUID[::-1]
    assert flatten(vanta(), None, T0).orders[-1].order_uuid == UUID[::-1]


def test_without_a_price_the_position_counts_at_its_newest_order() -> None:
    closed = flatten(held(("2", "10"), ("-1", "11"), mark="50"), None, T0 + HOUR)
    last = closed.orders[-1]

    assert (last.src, last.price, last.venue) == (int(OrderSource.ELIMINATION_FLAT), 0.0, None)
    assert closed.realized_pnl == 2.0
    assert closed.is_closed_position


def test_a_short_option_leg_may_be_closed_at_a_negative_price() -> None:
    closed = flatten(held(("-3", "-2")), Decimal("-1.5"), T0 + HOUR)

    assert closed.orders[-1].price == 0.0
    assert closed.orders[-1].src == 3
    assert closed.realized_pnl == -1.5


def test_a_plain_position_follows_vantas_rules() -> None:
    opened = vanta()
    priced, unpriced = flatten(opened, Decimal(110), T0 + HOUR), flatten(opened, None, T0 + HOUR)

    assert priced.current_return == pytest.approx(1.01)
    assert (priced.orders[-1].quote_usd_rate, priced.orders[-1].leverage) == (1.0, -0.1)
    assert unpriced.current_return == opened.current_return
    assert unpriced.is_closed_position


@pytest.mark.parametrize(
    ("trade_pair_id", "price", "rates"),
    [("USDJPY", 150.0, (1 / 150, 1.0)), ("EURUSD", 1.25, (1.0, 0.8)), ("EURGBP", 0.8, (1.2, 0.9))],
)
def test_rates_are_those_of_the_closing_price(
    trade_pair_id: str, price: float, rates: tuple[float, float]
) -> None:
    position = vanta(trade_pair_id, price, quote_usd_rate=1.2, usd_base_rate=0.9)
    last = flatten(position, Decimal(str(price)), T0).orders[-1]

    assert (last.quote_usd_rate, last.usd_base_rate) == pytest.approx(rates)


def test_a_closed_position_stays_as_it_is() -> None:
    closed = flatten(held(("1", "10")), Decimal(9), T0 + HOUR)
    assert flatten(closed, Decimal(5), T0 + 2 * HOUR) is closed


def test_the_closing_order_is_never_older_than_the_last_one() -> None:
    closed = flatten(held(("1", "10"), ("1", "10")), Decimal(9), T0 - HOUR)

    assert closed.close_ms == T0 + 1
    assert [order.src for order in closed.orders] == [0, 0, 3]


@pytest.mark.parametrize("mark", [None, Decimal(7), Decimal("NaN"), Decimal("Infinity")])
def test_a_record_that_its_orders_do_not_explain_is_closed_as_it_is(mark: Decimal | None) -> None:
    """No orders, an amount that is no number, orders that close on their own: it is over all the same."""
    whole = held(("1", "10"))
    broken = with_facts(whole.venue, quantity="many")
    for odd in (
        msgspec.structs.replace(whole, orders=()),
        msgspec.structs.replace(whole, venue=broken),
        msgspec.structs.replace(whole, orders=(*whole.orders, fill("-1", "10", T0 + 5))),
        msgspec.structs.replace(vanta(), orders=()),
    ):
        closed = flatten(odd, mark, T0 + HOUR)

        assert closed.is_closed_position
        assert (closed.close_ms, closed.net_quantity) == (T0 + HOUR, 0.0)
        assert closed.orders[-1].order_uuid == UUID[::-1]
        assert closed.realized_pnl in (odd.realized_pnl, -3.0)


signs = st.sampled_from(["", "-"])
amounts = st.builds(lambda sign, size: f"{sign}{size}", signs, st.decimals("0.001", "100000", places=3))


@given(
    st.lists(st.tuples(amounts, st.decimals("-100", "100000", places=4).map(str)), min_size=1, max_size=8),
    st.none() | st.decimals("-1000", "100000", places=6),
    st.integers(T0 - HOUR, T0 + HOUR),
)
def test_flattening_is_deterministic_and_rebuildable(
    fills: list[tuple[str, str]], mark: Decimal | None, at_ms: int
) -> None:
    """The same inputs give the same bytes, and the orders alone give the record again."""
    opened = held(*fills)
    closed = flatten(opened, mark, at_ms)

    assert encode(flatten(opened, mark, at_ms)) == encode(closed)
    assert closed.is_closed_position
    again = rebuild(
        closed.miner_hotkey,
        closed.orders,
        closed.trade_pair,
        closed.account_size,
        position_uuid=UUID,
        venue=closed.venue,
    )
    assert again == closed
    assert from_vanta(msgspec.json.decode(encode(closed))) == closed


def test_delayed_readers_still_see_it_open() -> None:
    closed = flatten(held(("2", "10")), Decimal("12.5"), T0 + HOUR)
    older = truncate(closed, T0 + HOUR, Decimal(11))

    assert older is not None
    assert not older.is_closed_position
    assert older.venue is not None
    assert older.venue.status == "open"
