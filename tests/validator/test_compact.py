"""The compact form of dashboards: its keys, and what is told again and what is not."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.rest_server.world import BTC, DAY, FUEL, HOUR, fill, new_uuid, position, resting
from validator import compact
from validator.compact import MARGIN_MS, Changed
from validator.ledger.checkpoint import DAY_MS, SPAN_MS, Checkpoint
from vanta_api.records import Order, OrderSource, Position, RestingOrder

NOW = 1_750_000_000_000
LATER = NOW + 10 * DAY


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def closed(seed: str, opened_ms: int, closed_ms: int) -> Position:
    return position("a", [fill(f"{seed}-1", 2, 10.0, opened_ms), fill(f"{seed}-2", 0, 11.0, closed_ms)])


def opened(seed: str, opened_ms: int) -> Position:
    return position("a", [fill(f"{seed}-1", 2, 10.0, opened_ms)])


def span(end_ms: int, **facts: Any) -> Checkpoint:
    return Checkpoint(last_update_ms=end_ms, accum_ms=SPAN_MS, **facts)


def test_an_open_position_has_the_wires_keys() -> None:
    found = plain(compact.position(opened("x", NOW)))

    assert set(found) == {"tp", "t", "o", "r", "ap", "rp", "up", "nl", "fo"}
    assert (found["tp"], found["t"], found["o"], found["ap"]) == ("FUEL/USDC", "LONG", NOW, 10.0)
    assert set(found["fo"][new_uuid("x-1")]) == {"t", "e", "p", "v", "l", "q", "pr", "s"}


def test_a_closed_position_has_no_leverage_but_a_close() -> None:
    found = plain(compact.position(closed("x", NOW, NOW + HOUR)))

    assert "nl" not in found
    assert (found["t"], found["c"]) == ("FLAT", NOW + HOUR)
    assert found["rc"] == 1.00002


def test_fees_stand_by_their_time() -> None:
    orders = [fill("x-1", 2, 10.0, NOW), fill("x-2", 1, 10.0, NOW + 1)]
    charged = [msgspec.structs.replace(one, venue=_with_fees(one, "0.25")) for one in orders]
    found = plain(compact.position(position("a", charged)))

    assert found["fh"] == {
        str(NOW): {"t": "transaction", "a": 0.25},
        str(NOW + 1): {"t": "transaction", "a": 0.25},
    }


def _with_fees(order: Order, fees: str) -> Any:
    assert order.venue is not None
    return msgspec.structs.replace(order.venue, fees=fees)


def test_only_orders_that_reduce_a_position_stand_inside_it() -> None:
    facts = resting("a", 2, NOW).venue
    assert facts is not None
    bracket = resting("a", 1, NOW, execution_type="BRACKET", src=int(OrderSource.BRACKET_UNFILLED))
    reducing = resting("a", 2, NOW, venue=msgspec.structs.replace(facts, reduce_only=True))
    others = [
        resting("a", 3, NOW),
        resting("a", 4, NOW, execution_type="BRACKET", trade_pair_id=BTC[0], trade_pair=BTC),
        resting("a", 5, NOW, execution_type="BRACKET", src=int(OrderSource.BRACKET_CANCELLED)),
    ]
    found = plain(compact.position(opened("x", NOW), [bracket, reducing, *others]))

    assert set(found["uo"]) == {new_uuid(1), new_uuid(2)}
    assert "uo" not in plain(compact.position(closed("y", NOW, NOW + 1), [bracket]))


def test_open_positions_are_always_told_and_closed_ones_when_they_are_news() -> None:
    held = [opened("x", NOW), closed("y", NOW, NOW + HOUR), closed("z", NOW, NOW + 2 * HOUR)]

    whole = compact.positions(held, [], 0, LATER)
    assert whole is not None
    assert len(whole.positions) == 3
    assert whole.positions_time_ms == NOW + 2 * HOUR

    some = compact.positions(held, [], NOW + HOUR, LATER)
    assert some is not None
    assert set(some.positions) == {held[0].position_uuid, held[2].position_uuid}
    none = compact.positions(held, [], NOW + 2 * HOUR, LATER)
    assert none is not None
    assert set(none.positions) == {held[0].position_uuid}
    assert none.all_time_returns is msgspec.UNSET
    assert compact.positions(held[1:], [], NOW + 2 * HOUR, LATER) is None
    assert compact.positions([], [], 0, LATER) is None


def test_what_a_venue_tells_late_is_news_when_it_is_learnt() -> None:
    """The position closed before the reader's bound, but was seen to be closed after it."""
    late = position("a", [fill("x-1", 2, 10.0, NOW), fill("x-2", 0, 11.0, NOW + HOUR, NOW + 3 * HOUR)])

    found = compact.positions([late], [], NOW + 2 * HOUR, LATER)
    assert found is not None
    assert found.positions_time_ms == NOW + 3 * HOUR


def test_the_next_bound_stays_behind_the_present() -> None:
    fresh = compact.positions([closed("x", NOW - HOUR, NOW - 1)], [], 0, NOW)
    assert fresh is not None
    assert fresh.positions_time_ms == NOW - MARGIN_MS

    again = compact.positions([closed("x", NOW - HOUR, NOW - 1)], [], NOW - 5, NOW)
    assert again is not None
    assert again.positions_time_ms == NOW - 5, "a bound never goes back"


def test_limit_orders_tell_what_rests_and_what_no_longer_does() -> None:
    changed = [
        Changed(NOW, resting("a", 1, NOW)),
        Changed(NOW + 5, resting("a", 2, NOW, src=int(OrderSource.LIMIT_FILLED))),
        Changed(NOW + 7, resting("a", 3, NOW, src=int(OrderSource.LIMIT_CANCELLED))),
    ]
    whole = plain(compact.limit_orders(changed, 0, LATER))
    assert set(whole["open_orders"]) == {new_uuid(1)}
    assert "closed_orders" not in whole
    assert whole["limit_orders_time_ms"] == NOW + 7
    assert whole["open_orders"][new_uuid(1)] == {
        "tp": "FUEL/USDC",
        "t": "LONG",
        "e": "LIMIT",
        "p": NOW,
        "v": None,
        "q": 1.0,
        "lp": 0.5,
    }

    later = plain(compact.limit_orders(changed, NOW, LATER))
    assert later["closed_orders"] == sorted([new_uuid(2), new_uuid(3)])
    assert "open_orders" not in later
    assert compact.limit_orders(changed, NOW + 7, LATER) is None


def test_a_ledger_tells_spans_that_ended_later() -> None:
    spans = [
        span(NOW, mpv=1.0, prev_portfolio_ret=1.01, realized_pnl=5.0),
        span(NOW + SPAN_MS, mpv=1.1, prev_portfolio_ret=1.02, unrealized_pnl=-2.0),
    ]
    whole = plain(compact.ledger(spans, lambda ms: "CHALLENGE" if ms == NOW else "MAINCOMP", 0))

    assert whole == {
        "portfolio_return": 1.02,
        "checkpoints": {
            str(NOW): {"m": 1.0, "s": "CHALLENGE", "r": 5.0},
            str(NOW + SPAN_MS): {"m": 1.1, "s": "MAINCOMP", "u": -2.0},
        },
        "checkpoints_time_ms": NOW + SPAN_MS,
    }
    assert plain(compact.ledger(spans, lambda _: "x", NOW + SPAN_MS)) == {"portfolio_return": 1.02}
    assert compact.ledger([], lambda _: "x", 0) is None


def test_statistics_tell_complete_days_in_per_cent() -> None:
    start = NOW // DAY_MS * DAY_MS
    gains = [span(start + n * SPAN_MS, gain=math.log(1.01) / 4) for n in range(1, 5)]
    unfinished = [span(start + 5 * SPAN_MS, gain=1.0)]

    found = plain(compact.statistics(gains + unfinished, 0))
    assert found == {"daily_returns": {"2025-06-15": 1.0}, "daily_returns_time_ms": start}
    assert compact.statistics(gains, start) is None
    assert compact.statistics(unfinished, 0) is None


steps = st.lists(st.tuples(st.integers(1, 40_000), st.booleans()), min_size=1, max_size=30)


@given(steps=steps)
def test_a_reader_that_follows_the_bounds_misses_no_close(steps: list[tuple[int, bool]]) -> None:
    """Positions close some seconds before anybody learns of it, in any order; the reader asks in between."""
    at_ms, bound_ms = NOW, 0
    held: list[Position] = []
    known: dict[str, int] = {}
    for number, (after_ms, asks) in enumerate(steps):
        at_ms += after_ms
        learnt_late_ms = (number * 7_919) % MARGIN_MS
        held.append(closed(f"p{number}", NOW - HOUR, at_ms - learnt_late_ms))
        if asks:
            found = compact.positions(held, [], bound_ms, at_ms)
            if found is not None:
                known |= dict.fromkeys(found.positions, at_ms)
                bound_ms = found.positions_time_ms
    last = compact.positions(held, [], bound_ms, at_ms + 1)
    known |= dict.fromkeys(last.positions if last else {}, at_ms)
    assert set(known) == {one.position_uuid for one in held}


@given(bounds=st.lists(st.integers(0, LATER), max_size=5))
def test_bounds_never_go_back(bounds: list[int]) -> None:
    """Whatever a client sends, what it is told to send next is not older."""
    orders: list[RestingOrder] = [resting("a", n, NOW + n) for n in range(3)]
    for bound in bounds:
        told = compact.limit_orders([Changed(one.processed_ms, one) for one in orders], bound, LATER)
        assert told is None or told.limit_orders_time_ms >= bound
        found = compact.positions([opened("x", NOW)], [], bound, LATER)
        assert found is not None
        assert found.positions_time_ms >= bound
        assert FUEL[1] in {one.tp for one in found.positions.values()}
