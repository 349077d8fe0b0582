"""Tapes: what a tick may see, from a real store of marks and from the tests' own."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.marks import MarkStore
from tests.validator.ledger.world import HOUR, MINUTE, T0, MinuteMarks
from validator.ledger.tape import Tape, Tapes
from vanta_api.records import MarkMessage

PAIR = "O2:FUEL/USDC"
SEED = 20250608


def message(price: str, ms: int) -> MarkMessage:
    return MarkMessage(trade_pair_id=PAIR, venue="o2", instrument="FUEL/USDC", price=price, time_ms=ms)


def test_a_tick_shows_the_last_mark_of_the_minutes_before_it() -> None:
    marks = MinuteMarks()
    for ms, price in ((T0 + 10, "1"), (T0 + 59_999, "2"), (T0 + MINUTE, "3"), (T0 + 5 * MINUTE, "4")):
        marks.put(PAIR, ms, price)
    tape = Tapes(marks).tape(PAIR, T0, T0 + HOUR)

    assert [tape.price(T0 + k * MINUTE) for k in range(8)] == [None, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 4.0]
    assert tape.changes(T0, T0 + 6 * MINUTE) == [(T0 + MINUTE, 2.0), (T0 + 2 * MINUTE, 3.0)]
    assert tape.changes(T0 + MINUTE, T0 + HOUR) == [(T0 + 2 * MINUTE, 3.0), (T0 + 6 * MINUTE, 4.0)]


def test_the_price_before_the_tape_begins_is_known() -> None:
    marks = MinuteMarks()
    marks.put(PAIR, T0 - HOUR, "7")
    tapes = Tapes(marks)

    assert tapes.tape(PAIR, T0, T0 + MINUTE).price(T0) == 7.0
    assert tapes.tape(PAIR, T0 - 2 * HOUR, T0 + MINUTE).price(T0 - 90 * MINUTE) is None


def test_marks_that_came_late_are_seen_after_forgetting() -> None:
    marks = MinuteMarks()
    tapes = Tapes(marks)
    assert tapes.tape(PAIR, T0, T0 + HOUR).price(T0 + HOUR) is None
    marks.put(PAIR, T0 + MINUTE, "5")

    assert tapes.tape(PAIR, T0, T0 + HOUR).price(T0 + HOUR) is None
    tapes.forget()
    assert tapes.tape(PAIR, T0, T0 + HOUR).price(T0 + HOUR) == 5.0


@pytest.mark.parametrize("price", ["1e400", "-1e400", "nan"])
def test_a_price_that_is_no_number_is_passed_over(price: str) -> None:
    tape = Tape(T0)
    tape.add(T0, 2.0)
    tape.add(T0 + MINUTE, float(price))

    assert tape.price(T0 + HOUR) == 2.0


@given(st.lists(st.tuples(st.integers(0, 600_000), st.sampled_from("123")), max_size=40), st.integers(0, 10))
def test_reading_in_pieces_is_reading_at_once(rows: list[tuple[int, str]], cut: int) -> None:
    marks = MinuteMarks()
    for offset, price in sorted(rows):
        marks.put(PAIR, T0 + offset, price)
    whole, pieces = Tapes(marks), Tapes(marks)
    pieces.tape(PAIR, T0, T0 + cut * MINUTE)
    one, other = (tapes.tape(PAIR, T0, T0 + 11 * MINUTE) for tapes in (whole, pieces))

    assert one.changes(T0 - 1, T0 + 12 * MINUTE) == other.changes(T0 - 1, T0 + 12 * MINUTE)


def test_the_tests_marks_are_like_those_of_a_store(tmp_path: Path) -> None:
    rng, now_ms = Random(SEED), T0
    store, own = MarkStore(tmp_path / "marks.sqlite3"), MinuteMarks()
    for _ in range(400):
        now_ms += rng.randrange(90_000)
        price = str(rng.randrange(5))
        store.put([message(price, now_ms)])
        own.put(PAIR, now_ms, price)
    tapes = [Tapes(marks).tape(PAIR, T0, now_ms) for marks in (store, own)]

    assert tapes[0].changes(T0 - 1, now_ms) == tapes[1].changes(T0 - 1, now_ms)
    assert len(tapes[0].changes(T0 - 1, now_ms)) > 100
    for moment in range(T0, now_ms, 7 * MINUTE):
        start = moment - moment % MINUTE - 1
        found = (store.at(PAIR, start), own.at(PAIR, start))
        assert (found[0] is None) == (found[1] is None)
        assert found[0] is None or found[1] is None or found[0].price == found[1].price
    store.close()
