"""The contract of numbering, content, time and pages."""

from __future__ import annotations

import random
import threading
import uuid

import pytest

from journal.entry import (
    DURABLE_STREAMS,
    ORDERS,
    PAGE_BYTES,
    PAGE_ENTRIES,
    POSITIONS,
    REGISTRY,
    ConflictError,
    Draft,
)
from journal.store import Store
from runtime.clock import FakeClock
from tests.journal.support import Opener, entries_of, fill, numbers, position

HOUR_S = 3600.0


class AppendContract:
    """What an append and a page mean."""

    # Numbers

    def test_an_empty_journal_has_head_zero_and_nothing_kept(self, journal: Store) -> None:
        assert journal.heads() == dict.fromkeys(DURABLE_STREAMS, 0)
        page = journal.read(POSITIONS, 0)
        assert (page.entries, page.oldest, page.head, page.trimmed) == ((), 1, 0, False)
        assert page.epoch == journal.epoch().id
        assert dict(journal.epoch().first) == dict.fromkeys(DURABLE_STREAMS, 1)

    def test_each_stream_counts_from_one_without_gaps(self, journal: Store) -> None:
        results = journal.append(
            [position("a"), Draft(ORDERS, "x", b"1"), position("b"), Draft(ORDERS, "y", b"2"), position("c")]
        )

        assert [(r.stream, r.sequence, r.is_new) for r in results] == [
            (POSITIONS, 1, True),
            (ORDERS, 1, True),
            (POSITIONS, 2, True),
            (ORDERS, 2, True),
            (POSITIONS, 3, True),
        ]
        assert numbers(entries_of(journal)) == [1, 2, 3]
        assert journal.heads() == {**dict.fromkeys(DURABLE_STREAMS, 0), POSITIONS: 3, ORDERS: 2}

    def test_an_entry_comes_back_as_it_was_appended(self, journal: Store, clock: FakeClock) -> None:
        body = '{"text":"\u20ac \U0001f600"}'.encode()
        journal.append([Draft(REGISTRY, "schl\u00fcssel|1", body)])

        (entry,) = journal.read(REGISTRY, 0).entries
        assert (entry.stream, entry.sequence, entry.key) == (REGISTRY, 1, "schl\u00fcssel|1")
        assert entry.body == body
        assert entry.time_ms == clock.now_ms()
        assert uuid.UUID(bytes=entry.event_id).version == 5

    def test_an_unknown_stream_is_refused_and_nothing_is_written(self, journal: Store) -> None:
        with pytest.raises(ValueError, match="unknown stream 'marks'"):
            journal.append([position("a"), Draft("marks", "BTCUSD", b"{}")])

        assert journal.head(POSITIONS) == 0

    def test_an_append_of_nothing_changes_nothing(self, journal: Store) -> None:
        assert journal.append([]) == []
        assert journal.heads() == dict.fromkeys(DURABLE_STREAMS, 0)

    def test_more_drafts_than_a_usual_transaction_holds_are_still_one_append(self, journal: Store) -> None:
        drafts = [position(f"key{n}", b"%d" % n) for n in range(700)]
        drafts.append(position("key0", b"x", expected_last=99))

        with pytest.raises(ConflictError):
            journal.append(drafts)
        assert journal.head(POSITIONS) == 0
        assert [r.sequence for r in journal.append(drafts[:-1])] == list(range(1, 701))

    # No change lost, none repeated

    def test_equal_content_is_a_no_op_that_returns_its_number(self, journal: Store) -> None:
        journal.append([position("a", b"1"), position("b", b"1")])

        (again,) = journal.append([position("a", b"1")])
        assert (again.sequence, again.is_new) == (1, False)
        assert journal.head(POSITIONS) == 2

    def test_one_two_one_is_three_entries_with_three_ids(self, journal: Store) -> None:
        for body in (b"1", b"2", b"1"):
            journal.append([position("a", body)])

        found = entries_of(journal)
        assert [entry.body for entry in found] == [b"1", b"2", b"1"]
        assert len({entry.event_id for entry in found}) == 3

    def test_one_two_one_inside_one_append_is_three_entries(self, journal: Store) -> None:
        results = journal.append([position("a", b"1"), position("a", b"2"), position("a", b"1")])

        assert [(r.sequence, r.is_new) for r in results] == [(1, True), (2, True), (3, True)]

    def test_the_same_content_twice_in_one_append_is_one_entry(self, journal: Store) -> None:
        results = journal.append([position("a", b"1"), position("a", b"1")])

        assert [(r.sequence, r.is_new) for r in results] == [(1, True), (1, False)]

    def test_identity_decides_what_is_equal(self, journal: Store) -> None:
        journal.append([position("a", b'{"q":1,"mark":10}', identity=b"q1")])

        (moved,) = journal.append([position("a", b'{"q":1,"mark":11}', identity=b"q1")])
        (changed,) = journal.append([position("a", b'{"q":2,"mark":11}', identity=b"q2")])
        assert (moved.sequence, moved.is_new) == (1, False)
        assert (changed.sequence, changed.is_new) == (2, True)

    def test_equal_keys_in_different_streams_are_different_keys(self, journal: Store) -> None:
        results = journal.append([position("a", b"1"), Draft(ORDERS, "a", b"1")])

        assert all(result.is_new for result in results)
        ids = {entries_of(journal, stream)[0].event_id for stream in (POSITIONS, ORDERS)}
        assert len(ids) == 2

    def test_event_ids_depend_on_the_history_only(self, opener: Opener, clock: FakeClock) -> None:
        first, second = opener.empty(clock), opener.empty(FakeClock(5))
        for journal in (first, second):
            journal.append([position("a", b"1"), position("b", b"9")])
            journal.append([position("a", b"2")])

        assert [e.event_id for e in entries_of(first)] == [e.event_id for e in entries_of(second)]

    # Expected last entry

    def test_a_new_key_can_be_demanded(self, journal: Store) -> None:
        journal.append([Draft(REGISTRY, "subaccount|7", b"mine", expected_last=0)])

        with pytest.raises(ConflictError, match=r"subaccount\|7"):
            journal.append([Draft(REGISTRY, "subaccount|7", b"yours", expected_last=0)])
        assert [entry.body for entry in entries_of(journal, REGISTRY)] == [b"mine"]

    def test_the_last_entry_can_be_demanded(self, journal: Store) -> None:
        journal.append([Draft(REGISTRY, "a", b"1")])

        (result,) = journal.append([Draft(REGISTRY, "a", b"2", expected_last=1)])
        assert result.sequence == 2
        with pytest.raises(ConflictError):
            journal.append([Draft(REGISTRY, "a", b"3", expected_last=1)])

    def test_a_repeated_compare_and_set_is_a_no_op(self, journal: Store) -> None:
        draft = Draft(REGISTRY, "a", b"1", expected_last=0)
        journal.append([draft])

        (again,) = journal.append([draft])
        assert (again.sequence, again.is_new) == (1, False)

    def test_a_conflict_writes_nothing_of_the_append(self, journal: Store) -> None:
        journal.append([Draft(REGISTRY, "a", b"1")])

        with pytest.raises(ConflictError):
            journal.append([position("p"), Draft(REGISTRY, "a", b"2", expected_last=0), position("q")])
        assert journal.heads()[POSITIONS] == 0
        (result,) = journal.append([position("p")])
        assert result == journal.append([position("p")])[0].__class__(POSITIONS, 1, True)

    # Time

    def test_time_never_goes_back(self, journal: Store, clock: FakeClock) -> None:
        journal.append([position("a", b"1")])
        clock.advance(-HOUR_S)
        journal.append([position("a", b"2"), Draft(ORDERS, "o", b"1")])
        clock.advance(2 * HOUR_S)
        journal.append([position("a", b"3")])

        times = [entry.time_ms for entry in entries_of(journal)]
        assert times == sorted(times)
        assert times[0] == times[1] == entries_of(journal, ORDERS)[0].time_ms
        assert times[2] == clock.now_ms()

    def test_sequence_at_finds_the_newest_entry_of_a_moment(self, journal: Store, clock: FakeClock) -> None:
        start_ms = clock.now_ms()
        for n in range(20):
            journal.append([position("a", b"%d" % n), position("b", b"%d" % n)])
            clock.advance(1)

        assert journal.sequence_at(POSITIONS, start_ms - 1) == 0
        for n in range(20):
            assert journal.sequence_at(POSITIONS, start_ms + 1000 * n) == 2 * n + 2
            assert journal.sequence_at(POSITIONS, start_ms + 1000 * n + 999) == 2 * n + 2
        assert journal.sequence_at(ORDERS, start_ms + 5000) == 0

    def test_sequence_at_before_everything_kept_is_the_number_before_it(
        self, journal: Store, clock: FakeClock
    ) -> None:
        for n in range(10):
            journal.append([position("a", b"%d" % n)])
            clock.advance(1)
        journal.trim(POSITIONS, 4)

        assert journal.sequence_at(POSITIONS, 0) == 4
        journal.trim(POSITIONS, 10)
        assert journal.sequence_at(POSITIONS, 0) == 10

    # Pages

    def test_pages_hold_at_most_the_limit_and_continue_without_hole(self, journal: Store) -> None:
        fill(journal, 1203)

        page = journal.read(POSITIONS, 0, 10_000)
        assert len(page.entries) == PAGE_ENTRIES
        assert numbers(journal.read(POSITIONS, 3, 2).entries) == [4, 5]
        assert numbers(entries_of(journal)) == list(range(1, 1204))

    def test_pages_hold_about_the_byte_limit_but_at_least_one_entry(self, journal: Store) -> None:
        journal.append([position(f"k{n}", b"%d" % n * 100_000) for n in range(6)])

        assert numbers(journal.read(POSITIONS, 0).entries) == [1, 2, 3]
        assert sum(len(e.body) for e in journal.read(POSITIONS, 0).entries) < PAGE_BYTES + 100_000
        assert numbers(journal.read(POSITIONS, 2, max_bytes=1).entries) == [3]
        assert numbers(entries_of(journal)) == [1, 2, 3, 4, 5, 6]

    def test_large_and_incompressible_bodies_come_back_unchanged(self, journal: Store) -> None:
        source = random.Random(7)
        bodies = [
            b"",
            b"x" * 2048,
            b"x" * 2049,
            b"ab" * 500_000,
            source.randbytes(2049),
            source.randbytes(300_000),
        ]
        journal.append([position(f"k{n}", body) for n, body in enumerate(bodies)])

        assert [entry.body for entry in entries_of(journal)] == bodies

    def test_reading_past_the_head_gives_nothing_and_says_where_the_head_is(self, journal: Store) -> None:
        fill(journal, 3)

        page = journal.read(POSITIONS, 99)
        assert (page.entries, page.head, page.oldest, page.trimmed) == ((), 3, 1, False)

    def test_threads_that_append_at_once_get_different_numbers_and_all_entries_are_there(
        self, journal: Store
    ) -> None:
        got: list[int] = []

        def write(writer: int) -> None:
            for n in range(25):
                got.append(journal.append([position(f"w{writer}", b"%d" % n)])[0].sequence)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == numbers(entries_of(journal)) == list(range(1, 201))
