"""Fills out of order reports that tell of the last fill only."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.venues.ithaca.payloads import (
    CALL,
    PUT,
    STAMP_MS,
    contract,
    history,
    leg,
    ok,
    order,
    payload,
    position,
)
from venues.ithaca.normalise import normalise
from venues.model import Fill

D = Decimal
STEP_MS = 15_000
EXPIRY_MS = 1_738_915_200_000  # 2025-02-07 08:00 UTC


def report(
    filled: float, average: float, last: float | None, last_price: float | None, stamp: int, **extra: Any
) -> dict[str, Any]:
    """One report of order 7: 1.0 calls bought, ``filled`` of them so far."""
    status = extra.pop("status", "FILLED" if filled == 1.0 else "PARTIALLY_FILLED" if filled else "NEW")
    cancelled = extra.pop("cancelled", 0.0)
    row = leg(
        CALL, "BUY", 1.0, filled, average=average, last=last, last_price=last_price, cancelled=cancelled
    )
    return order(7, 25.0, row, status=status, stamp_ms=STAMP_MS + stamp * STEP_MS)


NEW = report(0.0, 0.0, None, None, 0)
FIRST = report(0.4, 20.0, 0.4, 20.0, 1)
SECOND = report(0.7, 20.4286, 0.3, 21.0, 2)
THIRD = report(1.0, 21.2, 0.3, 23.0, 3)


def fills(*, opened: list[Any] = [], done: list[Any] = [], trail: list[Any] = []) -> list[Fill]:  # noqa: B006
    return list(normalise(payload(openOrders=ok(opened), tradeHistory__0=ok(done), trail=ok(trail))).fills)


def told(found: list[Fill]) -> list[tuple[str, Decimal, Decimal]]:
    return [(fill.fill_id, fill.quantity, fill.price) for fill in found]


def test_each_report_seen_gives_its_own_fill() -> None:
    """With every report at hand, the fills are exactly the executions."""
    assert told(fills(done=[THIRD], trail=[NEW, FIRST, SECOND])) == [
        ("7:30919:0.4", D("0.4"), D(20)),
        ("7:30919:0.7", D("0.3"), D(21)),
        ("7:30919:1", D("0.3"), D(23)),
    ]


def test_two_partial_fills_are_told_apart_from_the_last_report_alone() -> None:
    """The first fill gets the same name, quantity and price as when it was seen by itself."""
    alone = told(fills(opened=[FIRST]))
    both = told(fills(opened=[SECOND]))
    assert both[0][:2] == alone[0][:2]
    assert abs(both[0][2] - alone[0][2]) < D("0.001")
    assert both[1] == ("7:30919:0.7", D("0.3"), D(21))


def test_fills_that_were_never_seen_become_one_at_the_price_that_gives_the_average() -> None:
    earlier, last = fills(done=[THIRD])
    assert (earlier.fill_id, earlier.quantity) == ("7:30919:0.7", D("0.7"))
    assert last == fills(done=[THIRD], trail=[NEW, FIRST, SECOND])[-1]
    assert abs(earlier.price * earlier.quantity + last.price * last.quantity - D("21.2")) < D("1e-6")
    assert earlier.time_ms <= last.time_ms


def test_a_missed_report_is_filled_in_between_two_seen_ones() -> None:
    first, missed, last = fills(done=[THIRD], trail=[NEW, FIRST])
    assert (missed.fill_id, missed.quantity) == ("7:30919:0.7", D("0.3"))
    total = sum(fill.quantity * fill.price for fill in (first, missed, last))
    assert abs(total - D("21.2")) < D("1e-6")
    assert first.time_ms <= missed.time_ms <= last.time_ms


def test_a_repeated_report_gives_nothing_new() -> None:
    assert fills(opened=[SECOND], done=[SECOND], trail=[FIRST, FIRST, SECOND]) == fills(
        opened=[SECOND], trail=[FIRST]
    )


def test_a_cancelled_rest_keeps_what_was_filled() -> None:
    cancelled = report(0.4, 20.0, 0.4, 20.0, 5, status="CANCELED", cancelled=0.6)
    (fill,) = fills(done=[cancelled], trail=[FIRST])
    assert (fill.quantity, fill.time_ms) == (D("0.4"), STAMP_MS + STEP_MS)


def test_a_cancellation_that_hides_the_fill_does_not_take_it_back() -> None:
    hidden = report(0.0, 0.0, None, None, 5, status="CANCELED", cancelled=1.0)
    assert told(fills(done=[hidden], trail=[FIRST])) == [("7:30919:0.4", D("0.4"), D(20))]


def test_without_the_last_quantity_the_average_prices_the_fill() -> None:
    whole = report(1.0, 21.2, None, None, 3)
    assert told(fills(done=[whole])) == [("7:30919:1", D(1), D("21.2"))]


def test_without_the_last_price_the_averages_tell_it() -> None:
    silent = report(0.7, 20.4286, 0.3, None, 2)
    assert abs(fills(opened=[silent], trail=[FIRST])[1].price - 21) < D("0.001")


def test_a_last_quantity_larger_than_what_is_new_is_not_believed() -> None:
    """A report may repeat the last fill's quantity of another leg's pace; the totals decide."""
    odd = report(0.5, 20.2, 0.4, 21.0, 2)
    first, second = fills(opened=[odd], trail=[FIRST])
    assert (second.quantity, second.price) == (D("0.1"), D("21"))
    assert first.quantity == D("0.4")


def test_sells_are_negative_and_legs_are_named_apart() -> None:
    spread = order(
        9,
        5.0,
        leg(CALL, "BUY", 1.0, 0.5, average=20.0, last=0.5),
        leg(PUT, "SELL", 2.0, 1.0, average=7.5, last=1.0),
        status="PARTIALLY_FILLED",
    )
    assert told(fills(opened=[spread])) == [
        ("9:30919:0.5", D("0.5"), D(20)),
        ("9:30925:1", D(-1), D("7.5")),
    ]


def test_an_order_in_two_answers_counts_once_at_its_latest() -> None:
    """Filled between two requests: still open in one answer, done in the other."""
    snapshot = normalise(payload(openOrders=ok([SECOND]), tradeHistory__0=ok([THIRD])))
    (one,) = snapshot.orders
    assert one.status == "filled"
    assert sum(fill.quantity for fill in snapshot.fills) == 1


def settled(price: float | None, *rows: dict[str, Any], **extra: bytes) -> Any:
    prices = {} if price is None else {"WETH/USDC": price}
    return normalise(
        payload(EXPIRY_MS + 3_600_000, historical__0=ok(history(250207080, prices, *rows)), **extra)
    )


def test_settled_position_is_closed_and_not_held_even_if_still_listed() -> None:
    rows = ok([position(30919, 0.4, 20.0)])
    snapshot = settled(3600.0, position(30919, 0.4, 20.0), positions=rows)
    (fill,) = snapshot.fills
    assert (fill.kind, fill.quantity, fill.price) == ("expiry", D("-0.4"), D(100))
    assert snapshot.holdings == ()
    assert snapshot.holdings_complete


def test_unsettled_expiry_closes_nothing_and_the_list_is_incomplete() -> None:
    snapshot = settled(None, position(30919, 0.4, 20.0))
    assert snapshot.fills == ()
    assert not snapshot.holdings_complete


def test_silence_right_after_an_expiry_is_not_taken_for_emptiness() -> None:
    """Minutes after 08:00 the settlement may not be published; half an hour later silence means none."""
    assert not normalise(payload(EXPIRY_MS + 60_000)).holdings_complete
    assert normalise(payload(EXPIRY_MS - 1)).holdings_complete
    assert normalise(payload(EXPIRY_MS + 1_800_000)).holdings_complete
    published = ok(history(250207080, {"WETH/USDC": 3600.0}, position(30919, 0.4, 20.0)))
    assert normalise(payload(EXPIRY_MS + 60_000, historical__0=published)).holdings_complete


def test_nothing_follows_the_closing_fill() -> None:
    """The auction at the expiry is stamped a moment after 08:00; the settlement still comes last."""
    late = order(
        7, 8.0, leg(CALL, "BUY", 0.4, 0.4, average=20.0, last=0.4), status="FILLED", stamp_ms=EXPIRY_MS + 10
    )
    snapshot = settled(3600.0, position(30919, 0.4, 20.0), tradeHistory__0=ok([late]))
    assert [fill.kind for fill in snapshot.fills] == ["trade", "expiry"]
    assert snapshot.fills[1].time_ms >= EXPIRY_MS + 10


def test_history_of_one_expiry_may_come_without_its_key() -> None:
    bare = {"totalCollateral": {}, "expiryPrices": {"WETH/USDC": 3600.0}, "payoff": {}}
    body = ok({**bare, "positions": [position(30919, 0.4, 20.0)]})
    (fill,) = normalise(payload(EXPIRY_MS, historical__0=body)).fills
    assert fill.fill_id == "expiry:30919"


def test_one_expiry_in_two_windows_closes_once() -> None:
    body = ok(history(250207080, {"WETH/USDC": 3600.0}, position(30919, 0.4, 20.0)))
    assert len(normalise(payload(EXPIRY_MS, historical__0=body, historical__1=body)).fills) == 1


def test_spot_and_flat_rows_of_the_history_close_nothing() -> None:
    spot = contract(87634, "Spot", expiry=250207080)
    snapshot = settled(
        3600.0,
        position(87634, 1.0, 3500.0),
        position(30919, 1e-17, 20.0),
        contracts=ok([CALL, spot]),
    )
    assert snapshot.fills == ()


def test_payoffs_at_the_strike() -> None:
    """At exactly the strike the binary call pays nothing and the binary put pays one."""
    kinds = [
        contract(index, payoff, 3600.0)
        for index, payoff in enumerate(("Call", "Put", "BinaryCall", "BinaryPut"))
    ]
    rows = [position(index, 1.0, 0.5) for index in range(4)]
    snapshot = settled(3600.0, *rows, contracts=ok(kinds))
    assert [fill.price for fill in snapshot.fills] == [D(0), D(0), D(0), D(1)]
