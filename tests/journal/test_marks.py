"""MarkStore: the newest price per instrument, numbered changes, and history at one-minute resolution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.entry import UnavailableError
from journal.marks import KEEP_MS, MINUTE_MS, MarkStore
from vanta_api.records import MarkMessage

T0 = 1_750_000_020_000  # the beginning of a minute


def mark(price: str, time_ms: int = T0, pair: str = "BTCUSD") -> MarkMessage:
    return MarkMessage(trade_pair_id=pair, venue="ostium", instrument=pair, price=price, time_ms=time_ms)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MarkStore]:
    store = MarkStore(tmp_path / "marks.sqlite3")
    yield store
    store.close()


def test_an_empty_store_knows_nothing(store: MarkStore) -> None:
    assert (store.revision(), store.latest(), store.changed_since(0)) == (0, {}, (0, []))
    assert store.at("BTCUSD", T0) is None
    assert store.put([]) == 0


def test_each_put_that_changes_a_price_is_one_revision(store: MarkStore) -> None:
    assert store.put([mark("1"), mark("7", pair="ETHUSD")]) == 1
    assert store.put([mark("2", T0 + 1)]) == 2

    assert store.latest() == {"BTCUSD": mark("2", T0 + 1), "ETHUSD": mark("7", pair="ETHUSD")}
    assert store.changed_since(1) == (2, [mark("2", T0 + 1)])
    assert store.changed_since(2) == (2, [])


def test_an_unchanged_price_is_no_change(store: MarkStore) -> None:
    store.put([mark("1")])

    assert store.put([mark("1", T0 + 5000)]) == 1
    assert store.put([mark("1", T0 + 5000), mark("1", T0 + 6000)]) == 1
    assert store.latest()["BTCUSD"].price == "1"


def test_a_mark_back_at_its_old_price_is_a_change_each_time(store: MarkStore) -> None:
    for n, price in enumerate(("1", "2", "1"), 1):
        assert store.put([mark(price, T0 + n)]) == n


def test_an_older_mark_never_replaces_a_newer_one(store: MarkStore) -> None:
    store.put([mark("2", T0 + 10)])

    assert store.put([mark("1", T0)]) == 1
    assert store.latest()["BTCUSD"].price == "2"


def test_a_reader_whose_revision_lies_ahead_gets_everything(store: MarkStore) -> None:
    store.put([mark("1"), mark("2", pair="ETHUSD")])

    revision, marks = store.changed_since(99)
    assert (revision, len(marks)) == (1, 2)


def test_history_keeps_the_last_mark_of_each_minute(store: MarkStore) -> None:
    for second in range(0, 181, 20):
        store.put([mark(str(second), T0 + 1000 * second)])

    found = store.history("BTCUSD", T0, T0 + 10 * MINUTE_MS)
    assert [m.price for m in found] == ["40", "100", "160", "180"]
    assert [m.price for m in store.history("BTCUSD", T0 + 60_000, T0 + 100_000)] == ["100"]


def test_old_marks_fill_free_minutes_of_the_history(store: MarkStore) -> None:
    store.put([mark("9", T0)])
    store.put([mark("5", T0 - 2 * MINUTE_MS), mark("1", T0 - 1)])
    store.put([mark("4", T0 - 2 * MINUTE_MS)])

    assert store.latest()["BTCUSD"].price == "9"
    assert [m.price for m in store.history("BTCUSD", 0, T0)] == ["4", "1", "9"]


def test_at_gives_the_newest_mark_not_after_a_moment(store: MarkStore) -> None:
    store.put([mark("1", T0)])
    store.put([mark("2", T0 + MINUTE_MS)])
    store.put([mark("3", T0 + 10 * MINUTE_MS)])

    prices = {offset: store.at("BTCUSD", T0 + offset) for offset in (-1, 0, 59_999, 60_000, 599_999, 600_000)}
    assert [m.price if m else None for m in prices.values()] == [None, "1", "1", "2", "2", "3"]
    assert store.at("ETHUSD", T0) is None


def test_a_price_that_held_for_an_hour_is_known_inside_that_hour(store: MarkStore) -> None:
    store.put([mark("10", T0 + 5_000)])
    store.put([mark("11", T0 + 30_000)])
    store.put([mark("12", T0 + 60 * MINUTE_MS)])

    found = store.at("BTCUSD", T0 + 30 * MINUTE_MS)
    assert found is not None
    assert found.price == "11"


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3)), min_size=1, max_size=25), st.integers(0, 500)
)
def test_at_is_right_to_the_minute_and_never_from_the_future(
    tmp_path_factory: pytest.TempPathFactory, ticks: list[tuple[int, int]], moment: int
) -> None:
    store = MarkStore(tmp_path_factory.mktemp("marks") / "marks.sqlite3")
    ticks.sort(key=lambda tick: tick[0])
    for second, price in ticks:
        store.put([mark(str(price), T0 + 1000 * second)])

    found = store.at("BTCUSD", T0 + 1000 * moment)
    store.close()
    floor = moment - moment % 60  # the minute's own marks may be later than the moment
    allowed = {price for second, price in ticks if floor <= second <= moment}
    before = [price for second, price in ticks if second < floor]
    allowed |= set(before[-1:])
    if found is None:
        assert not before
    else:
        assert found.time_ms <= T0 + 1000 * moment
        assert int(found.price) in allowed


def test_trim_keeps_what_at_still_needs(store: MarkStore) -> None:
    for minute in range(10):
        store.put([mark(str(minute), T0 + minute * MINUTE_MS), mark(str(minute), T0 + minute, "ETHUSD")])

    assert store.trim(T0 + 5 * MINUTE_MS + 30_000) == 5
    assert [m.price for m in store.history("BTCUSD", 0, T0 + KEEP_MS)] == ["5", "6", "7", "8", "9"]
    found = store.at("BTCUSD", T0 + 5 * MINUTE_MS + 30_000)
    assert found is not None
    assert found.price == "5"
    assert store.at("ETHUSD", T0 + KEEP_MS) is not None


def test_another_instance_sees_the_changes_and_hears_the_bell(store: MarkStore, tmp_path: Path) -> None:
    reader = MarkStore(tmp_path / "marks.sqlite3")
    bell = reader.doorbell()
    store.put([mark("1")])

    assert bell.wait(5)
    assert reader.changed_since(0) == (1, [mark("1")])
    bell.clear()
    store.put([mark("1", T0 + 1)])
    assert not bell.clear()
    bell.close()
    reader.close()


def test_a_damaged_file_is_put_aside_and_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "marks.sqlite3"
    path.write_bytes(b"this is no database" * 500)

    store = MarkStore(path)
    assert store.put([mark("1")]) == 1
    store.close()
    assert path.with_name("marks.sqlite3.damaged").read_bytes().startswith(b"this is no")


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UnavailableError, match="cannot make"):
        MarkStore(tmp_path / "file" / "marks.sqlite3")
