"""Order lists and executions become resting orders and what became of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.venues.limitless.payloads import (
    NO,
    NO_TOKEN,
    SLUG,
    YES,
    YES_TOKEN,
    clob,
    loaded,
    market,
    page,
    portfolio,
    sample,
    snapshot,
    status,
    statuses,
    user_order,
)
from venues.errors import Broken
from venues.limitless.signing import parse_iso_ms
from venues.model import VenueOrder

D = Decimal


def orders(rows: Any, *results: dict[str, Any]) -> tuple[VenueOrder, ...]:
    parts: dict[str, Any] = {f"orders:{SLUG}": rows, f"market:{SLUG}": page()}
    if results:
        parts["status:0"] = statuses(*results)
    return snapshot(parts).orders


def test_the_documented_order_rests_unfilled() -> None:
    token = loaded("user_orders.json")[0]["token"]
    parts = {
        f"orders:{SLUG}": sample("user_orders.json"),
        f"market:{SLUG}": page(tokens={"yes": token, "no": "1"}),
    }

    (order,) = snapshot(parts).orders

    assert (order.order_id, order.instrument) == ("c4b1a83a-219f-48db-a9be-1ddadf0bc14c", YES)
    assert (order.quantity, order.price, order.filled) == (D("10.87"), D("0.092"), D(0))
    assert (order.status, order.venue_status) == ("open", "LIVE")
    assert order.created_ms == parse_iso_ms("2026-05-04T08:57:06.448Z")


def test_both_shapes_of_the_list_are_understood() -> None:
    assert orders({"orders": [user_order()]}) == orders([user_order()])


@pytest.mark.parametrize(("side", "sign"), [("BUY", 1), ("SELL", -1), (0, 1), (1, -1), ("sell", -1)])
def test_sells_are_negative(side: str | int, sign: int) -> None:
    (order,) = orders([user_order(side=side)])

    assert order.quantity == sign * D(10)


def test_an_order_for_no_is_an_order_for_no() -> None:
    (order,) = orders([user_order(token=NO_TOKEN)])

    assert (order.instrument, order.quantity, order.price) == (NO, D(10), D("0.2"))


def test_a_partly_filled_order_stays_open() -> None:
    (order,) = orders([user_order(remainingSize="4000000")])

    assert (order.status, order.filled) == ("open", D(6))


@pytest.mark.parametrize(
    ("row", "result", "expected"),
    [
        (user_order(status="MATCHED", remainingSize="0"), None, ("filled", D(10))),
        (user_order(status="MATCHED", remainingSize="0"), status("FAILED"), ("rejected", D(10))),
        (user_order(status="MATCHED", remainingSize="0"), status("CONFIRMED"), ("filled", D(10))),
        (user_order(status="MATCHED", type="FAK", remainingSize="4000000"), None, ("cancelled", D(6))),
    ],
)
def test_what_became_of_a_matched_order(
    row: dict[str, Any], result: dict[str, Any] | None, expected: tuple[str, Decimal]
) -> None:
    (order,) = orders([row], *([result] if result else []))

    assert (order.status, order.filled) == expected


def test_a_market_order_is_told_by_its_fill_alone() -> None:
    assert orders([user_order(type="FOK", price=None, status="MATCHED")]) == ()


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (status("UNMATCHED", gross=0, tx=None, is_taker=False, takerAmount="10000000"), ("cancelled", D(0))),
        (status("MINED", gross=4_000_000, is_taker=False, takerAmount="10000000"), ("cancelled", D(4))),
        (status("CONFIRMED"), ("filled", D(10))),
        (status("FAILED"), ("rejected", D(10))),
        (status("DELAYED", gross=0, takerAmount="10000000"), ("open", D(0))),
        (status("RETRYING"), ("open", D(10))),
        (status("SOMETHING_NEW", gross=0, takerAmount="10000000"), ("cancelled", D(0))),
    ],
)
def test_an_order_that_left_the_list(result: dict[str, Any], expected: tuple[str, Decimal]) -> None:
    """Cancelled orders vanish: only their execution still speaks of them."""
    (order,) = orders([], result)

    assert (order.status, order.filled) == expected
    assert order.quantity == D(10)


def test_a_sell_that_left_the_list_is_sized_by_what_it_offered() -> None:
    result = status(
        "UNMATCHED", gross=0, side=1, makerAmount="7000000", takerAmount="1400000", is_taker=False
    )

    (order,) = orders([], result)

    assert order.quantity == D(-7)


def test_unmatched_means_nothing_without_the_markets_list_of_live_orders() -> None:
    parts = {"status:0": statuses(status("UNMATCHED")), f"market:{SLUG}": page()}

    assert snapshot(parts).orders == ()


def test_an_execution_without_an_order_of_ours_is_passed_over() -> None:
    missing = {"index": 0, "status": "not_found", "error": "Order not found"}

    assert orders([], missing, status(market=None), status(orderType="FOK"), status(token="5")) == ()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"token": "5"}, "token"),
        ({"status": "SLEEPING"}, "status"),
        ({"side": "HOLD"}, "side"),
        ({"createdAt": "yesterday"}, "createdAt"),
        ({"originalSize": "10.5"}, "originalSize"),
        ({"price": "NaN"}, "price"),
    ],
)
def test_an_order_that_makes_no_sense_is_broken(change: dict[str, Any], path: str) -> None:
    with pytest.raises(Broken) as caught:
        orders([user_order(**change)])
    assert caught.value.path == f"orders:{SLUG}[0].{path}"


def test_an_order_of_a_market_nobody_knows_is_broken() -> None:
    with pytest.raises(Broken):
        snapshot({"orders:other": [user_order()]})


LIVE = {"id": "o", "side": "SELL", "price": "0.6", "originalSize": "5000000", "remainingSize": "2000000"}


def test_a_public_portfolio_shows_orders_only_where_their_token_is_named() -> None:
    """Without a token nobody knows whether an order is for YES or NO."""
    row = clob("3000000", orders={"liveOrders": [LIVE, {**LIVE, "id": "p", "token": NO_TOKEN}]})

    (order,) = snapshot({"positions": portfolio(row)}).orders

    assert (order.order_id, order.instrument) == ("p", NO)
    assert (order.quantity, order.filled) == (D(-5), D(3))


def test_the_markets_own_list_wins_over_the_portfolios() -> None:
    row = clob("3000000", orders={"liveOrders": [{**LIVE, "token": YES_TOKEN}]})
    parts = {"positions": portfolio(row), f"orders:{SLUG}": []}

    assert snapshot(parts).orders == ()


def test_an_ordered_instrument_is_marked_and_described_although_nothing_is_held() -> None:
    row = clob("0", "0", of=market())
    parts = {"positions": portfolio(row), f"orders:{SLUG}": [user_order()], f"market:{SLUG}": page()}

    got = snapshot(parts)

    assert [m.instrument for m in got.marks] == [YES]
    assert [i.name for i in got.instruments] == [YES]
    assert got.holdings == ()
