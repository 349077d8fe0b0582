"""What a poll changes: every step once, nothing for a mark, and the venue's holdings have the last word."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.venues.books import FUEL, T0, book, d, feed, fill, last, quantities, snapshot
from validator.positions import identity, rebuild
from vanta_api.records import OrderSource
from venues.book import AccountBook
from venues.fold import MAX_ORDERS
from venues.model import Fill, VenueOrder


def known_book() -> AccountBook:
    """A book that has seen one round trip, so that every further fill is news of its own."""
    account = book()
    feed(account, snapshot(0, [fill(-9, 1, 10), fill(-8, -1, 10)], held=0))
    return account


def test_each_new_fill_is_a_record_of_its_own() -> None:
    account = known_book()
    plans = feed(account, snapshot(5, [fill(1, 1, 10), fill(2, 1, 12), fill(3, -1, 13)], held=1))

    assert quantities(plans[0]) == ["1", "2", "1"]
    assert last(plans).realized_pnl == pytest.approx(2.0)
    assert last(plans).average_entry_price == pytest.approx(11.0)
    assert last(plans).position_uuid == last(plans).orders[0].order_uuid


def test_a_poll_that_moves_only_the_mark_changes_nothing() -> None:
    account = known_book()
    fills = [fill(1, 2, 10)]
    plans = feed(account, *(snapshot(5 + n, fills, held=2, mark=10 + n) for n in range(4)))

    assert quantities(plans[0]) == ["2"]
    assert [len(plan.positions) for plan in plans[1:]] == [0, 0, 0]


def test_an_account_seen_for_the_first_time_gives_each_position_once() -> None:
    plans = feed(
        book(), snapshot(9, [fill(1, 1, 10), fill(2, 1, 11), fill(3, -2, 12), fill(4, 3, 9)], held=3)
    )

    assert quantities(plans[0]) == ["0", "3"]
    assert [p.is_closed_position for p in plans[0].positions] == [True, False]


def test_a_reversal_closes_one_position_and_opens_another() -> None:
    account = known_book()
    plans = feed(account, snapshot(5, [fill(1, 2, 10, fee=d("0.1")), fill(2, -5, 11, fee=d("0.5"))], held=-3))
    opened, closed, reverse = plans[0].positions

    assert closed.position_uuid == opened.position_uuid
    assert closed.is_closed_position
    assert closed.realized_pnl == pytest.approx(2.0)
    assert reverse.position_type == "SHORT"
    assert reverse.position_uuid == reverse.orders[0].order_uuid != closed.orders[-1].order_uuid
    fees = [Decimal(o.venue.fees or 0) for o in (closed.orders[-1], reverse.orders[0]) if o.venue]
    assert fees == [d("0.2"), d("0.3")]


def test_the_101st_order_carries_the_position_over_without_profit() -> None:
    account = known_book()
    fills = [fill(n, 1, 10 + n % 3) for n in range(1, MAX_ORDERS + 2)]
    plans = feed(account, snapshot(500, fills, held=MAX_ORDERS + 1))
    records = plans[0].positions
    full, closed, carried, final = records[-4:]

    assert len(full.orders) == MAX_ORDERS
    assert closed.is_closed_position
    assert closed.orders[-1].src == OrderSource.MAX_ORDERS_PER_POSITION_CLOSE
    assert closed.realized_pnl == pytest.approx(0.0, abs=1e-9)
    assert carried.average_entry_price == pytest.approx(full.average_entry_price)
    assert final.venue
    assert final.venue.quantity == str(MAX_ORDERS + 1)


def test_a_liquidation_closes_whatever_is_left() -> None:
    account = known_book()
    plans = feed(account, snapshot(5, [fill(1, 2, 10), fill(2, -1, 4, kind="liquidation")], held=0, mark=4))

    assert last(plans).is_closed_position
    assert last(plans).orders[-1].order_type == "FLAT"
    assert last(plans).realized_pnl == pytest.approx(-12.0)


def test_a_holding_that_fills_do_not_explain_is_believed_when_seen_twice() -> None:
    account = known_book()
    seen_once, seen_twice = feed(
        account, snapshot(5, [], held=4, average=9), snapshot(6, [], held=4, average=9)
    )

    assert seen_once.positions == []
    assert quantities(seen_twice) == ["4"]
    order = seen_twice.positions[0].orders[0]
    assert order.venue
    assert order.venue.derived
    assert order.price == 9.0


def test_a_disagreement_that_goes_away_was_a_race_and_leaves_nothing() -> None:
    account = known_book()
    plans = feed(
        account, snapshot(5, [], held=4), snapshot(6, [fill(5, 4, 10)], held=4), snapshot(7, [], held=4)
    )

    assert [quantities(plan) for plan in plans] == [[], ["4"], []]


def test_a_derived_order_explains_the_venues_new_average() -> None:
    account = known_book()
    feed(account, snapshot(5, [fill(1, 2, 10)], held=2))
    plans = feed(account, *(snapshot(n, [], held=3, average=12) for n in (6, 7)))

    assert last(plans).average_entry_price == pytest.approx(12.0)
    assert last(plans).orders[-1].price == pytest.approx(16.0)


def test_a_position_that_vanished_closes_at_the_mark() -> None:
    account = known_book()
    feed(account, snapshot(5, [fill(1, 2, 10)], held=2))
    plans = feed(account, *(snapshot(n, [], held=None, mark=11, holdings_complete=True) for n in (6, 7)))

    assert last(plans).is_closed_position
    assert last(plans).realized_pnl == pytest.approx(2.0)


def test_one_empty_answer_is_no_close() -> None:
    account = known_book()
    feed(account, snapshot(5, [fill(1, 2, 10)], held=2))
    plans = feed(account, snapshot(6, [], held=None, holdings_complete=True), snapshot(7, [], held=2))

    assert [plan.positions for plan in plans] == [[], []]


def test_a_late_fill_replaces_the_derived_order_that_stood_for_it() -> None:
    account = known_book()
    feed(account, snapshot(5, [fill(1, 2, 10)], held=2))
    feed(account, *(snapshot(n, [], held=5, mark=11) for n in (6, 7)))
    plans = feed(account, snapshot(9, [fill(6, 3, "10.5")], held=5))
    orders = last(plans).orders

    assert [o.venue.derived for o in orders if o.venue] == [False, False]
    assert last(plans).venue
    assert last(plans).venue.quantity == "5"
    assert feed(account, snapshot(10, [], held=5), snapshot(11, [], held=5))[-1].positions == []


def test_a_late_closing_fill_replaces_the_derived_close() -> None:
    account = known_book()
    feed(account, snapshot(5, [fill(1, 2, 10)], held=2))
    closed = feed(account, *(snapshot(n, [], held=0, mark=11) for n in (6, 7)))
    plans = feed(account, snapshot(9, [fill(6, -2, 12)], held=0))

    assert last(closed).is_closed_position
    assert last(plans).position_uuid == last(closed).position_uuid
    assert last(plans).is_closed_position
    assert last(plans).realized_pnl == pytest.approx(4.0)


def test_a_fill_that_was_taken_back_leaves_the_record_under_the_same_uuid() -> None:
    account = known_book()
    before = feed(account, snapshot(5, [fill(1, 2, 10), fill(2, 1, 10)], held=3))
    plans = feed(account, snapshot(6, [], held=2, voided_fills=frozenset({"f2"})))

    assert last(plans).position_uuid == last(before).position_uuid
    assert quantities(plans[-1]) == ["2"]


def test_a_close_that_was_taken_back_reopens_the_position() -> None:
    account = known_book()
    feed(account, snapshot(5, [fill(1, 2, 10), fill(2, -2, 12)], held=0))
    plans = feed(account, snapshot(6, [], held=2, voided_fills=frozenset({"f2"})))

    assert not last(plans).is_closed_position
    assert quantities(plans[-1]) == ["2"]


def test_a_position_whose_every_fill_was_taken_back_is_void() -> None:
    account = known_book()
    feed(account, snapshot(5, [fill(1, 2, 10)], held=2))
    plans = feed(account, snapshot(6, [], held=0, voided_fills=frozenset({"f1"})))

    assert last(plans).is_closed_position
    assert last(plans).orders == ()
    assert feed(account, snapshot(7, [fill(7, 1, 9)], held=1))[0].positions[-1].venue.quantity == "1"


def test_where_nothing_can_be_sold_short_a_sale_beyond_the_holding_was_a_deposit() -> None:
    spot = msgspec.structs.replace(FUEL, can_short=False)
    account = known_book()
    plans = feed(account, snapshot(5, [fill(1, 2, 10), fill(2, -5, 12)], held=0, instruments=(spot,)))

    assert quantities(plans[0]) == ["2", "5", "0"]
    assert all(p.position_type != "SHORT" for p in plans[0].positions)
    assert [o.venue.derived for o in last(plans).orders if o.venue] == [False, True, False]
    assert feed(account, snapshot(6, [fill(2, -5, 12)], held=0, instruments=(spot,)))[0].positions == []


def test_positions_with_the_venues_own_id_are_never_netted() -> None:
    account = book()
    feed(account, snapshot(0, [], held=0))
    fills = [fill(1, 1, 10, position_id="t1"), fill(2, -2, 11, position_id="t2")]
    plans = feed(account, snapshot(5, fills))

    assert sorted(q or "" for q in quantities(plans[0])) == ["-2", "1"]


def test_the_same_answer_after_a_restart_changes_nothing() -> None:
    account = known_book()
    plans = feed(account, snapshot(5, [fill(1, 2, 10), fill(2, -1, 11)], held=1))
    again = book()
    again.load([plans[-1].positions[-1]], [])
    repeated = feed(again, snapshot(6, [fill(1, 2, 10), fill(2, -1, 11)], held=1, mark=50))

    assert repeated[0].positions == []


def order(status: str = "open", **options: object) -> VenueOrder:
    values = {"order_id": "o1", "instrument": FUEL.name, "quantity": d(2), "price": d(9), "created_ms": T0}
    return VenueOrder(**{**values, "status": status, **options})


def test_a_resting_order_comes_fills_in_part_and_ends() -> None:
    account = book()
    plans = feed(
        account,
        snapshot(1, orders=(order(),)),
        snapshot(2, orders=(order(),)),
        snapshot(3, orders=(order(filled=d(1)),)),
        snapshot(4, orders=(order("filled", filled=d(2)),)),
        snapshot(5, orders=(order("filled", filled=d(2)),)),
    )

    assert [[o.src for o in plan.orders] for plan in plans] == [[5], [], [5], [6], []]


@pytest.mark.parametrize(("fills", "source"), [([], 7), ([fill(2, 2, 9, order_id="o1")], 6)])
def test_an_order_that_vanished_was_filled_if_fills_say_so(fills: list[Fill], source: int) -> None:
    plans = feed(book(), snapshot(1, orders=(order(),)), snapshot(2, fills, orders=()))

    assert [o.src for o in plans[-1].orders] == [source]


@given(st.integers(0, 10**6))
def test_rebuilding_from_the_orders_gives_the_record(seed: int) -> None:
    """DESIGN's rebuild law, for random walks through opening, adding, reducing and reversing."""
    rng = random.Random(seed)
    account, held, fills = book(), Decimal(0), []
    for number in range(1, rng.randrange(2, 40)):
        quantity = d(rng.choice([-3, -2, -1, -held or 1, 1, 2, 3]))
        fills.append(fill(number, quantity, rng.randrange(1, 500) / 7, fee=d(rng.randrange(5)) / 10))
        held += quantity
    plans = feed(account, snapshot(0), *(snapshot(f.time_ms // 1000 - T0 // 1000 + 1, [f]) for f in fills))
    records = [p for plan in plans for p in plan.positions]

    for record in records:
        again = rebuild("hk", record.orders, record.trade_pair, 1000.0, position_uuid=record.position_uuid)
        assert again.net_quantity == pytest.approx(record.net_quantity, abs=1e-9)
        assert again.average_entry_price == pytest.approx(record.average_entry_price, rel=1e-9)
        assert again.realized_pnl == pytest.approx(record.realized_pnl, rel=1e-9, abs=1e-9)
        assert len(record.orders) <= MAX_ORDERS
    open_now = {r.position_uuid: r for r in records}
    assert sum(Decimal(r.venue.quantity or 0) for r in open_now.values() if r.venue) == held
    assert len({msgspec.json.encode(r) for r in records}) == len(records)
    assert all(identity(a) != identity(b) for a, b in pairwise(records))
