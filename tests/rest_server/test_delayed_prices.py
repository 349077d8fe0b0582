"""Prices of 24 hours ago."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.marks import MarkStore
from rest_server.delayed_prices import AHEAD_MS, DelayedPrices
from rest_server.shown import Price, price_of
from tests.rest_server.world import DAY
from vanta_api.records import MarkMessage

START = 1_750_000_000_000


class Tape:
    """Marks in memory, newest last."""

    def __init__(self, marks: list[MarkMessage]) -> None:
        self.marks = sorted(marks, key=lambda mark: mark.time_ms)

    def latest(self) -> dict[str, MarkMessage]:
        return {mark.trade_pair_id: mark for mark in self.marks}

    def changed_since(self, revision: int) -> tuple[int, list[MarkMessage]]:
        return 0, self.marks

    def at(self, trade_pair_id: str, ms: int) -> MarkMessage | None:
        older = [mark for mark in self.marks if mark.time_ms <= ms]
        return older[-1] if older else None

    def history(self, trade_pair_id: str, from_ms: int, to_ms: int) -> list[MarkMessage]:
        return [mark for mark in self.marks if from_ms <= mark.time_ms <= to_ms]


def mark(price: int, time_ms: int) -> MarkMessage:
    return MarkMessage(trade_pair_id="p", venue="v", instrument="i", price=str(price), time_ms=time_ms)


offsets = st.integers(-2 * AHEAD_MS, 3 * AHEAD_MS)


@settings(max_examples=200)
@given(
    st.lists(offsets, unique=True, max_size=8),
    st.lists(st.integers(1, AHEAD_MS + 5), max_size=6),
)
def test_the_price_is_the_newest_one_strictly_older_than_24_hours(times: list[int], waits: list[int]) -> None:
    tape = Tape([mark(n + 1, START + offset) for n, offset in enumerate(sorted(times))])
    at_ms = START + DAY
    prices = DelayedPrices(tape, at_ms)
    assert prices.price("p") == expected(tape, at_ms)
    for wait in waits:
        at_ms += wait
        before = prices.price("p")
        assert prices.advance(at_ms) == ({"p"} if expected(tape, at_ms) != before else set())
        assert prices.price("p") == expected(tape, at_ms)


@settings(max_examples=200)
@given(st.lists(offsets, unique=True, min_size=1, max_size=8))
def test_between_two_due_moments_nothing_changes(times: list[int]) -> None:
    tape = Tape([mark(n + 1, START + offset) for n, offset in enumerate(sorted(times))])
    prices = DelayedPrices(tape, START + DAY)
    prices.price("p")
    for _ in range(12):
        due_ms = prices.next_ms()
        assert due_ms is not None
        assert expected(tape, due_ms - 1) == prices.price("p")
        prices.advance(due_ms)
        assert expected(tape, due_ms) == prices.price("p")


def expected(tape: Tape, at_ms: int) -> Price | None:
    return price_of(tape.at("p", at_ms - DAY - 1))


def test_a_pair_without_any_price_has_none(tmp_path: Path) -> None:
    store = MarkStore(tmp_path / "marks.sqlite3")
    prices = DelayedPrices(store, START)
    assert prices.next_ms() is None
    assert prices.price("nothing") is None
    store.close()


@pytest.mark.parametrize("text", ["NaN", "Infinity", "", "x", "1e999999999999999999999"])
def test_a_price_that_is_no_number_is_none(text: str) -> None:
    assert price_of(MarkMessage(trade_pair_id="p", venue="v", instrument="i", price=text, time_ms=1)) is None
