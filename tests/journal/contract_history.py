"""The contract of trimming, epochs, replicas and following."""

from __future__ import annotations

import threading
import time

import pytest

from journal.entry import (
    ACTIONS,
    DURABLE_STREAMS,
    LEDGER,
    ORDERS,
    POSITIONS,
    REGISTRY,
    ConflictError,
    DivergedError,
    Entry,
    UnavailableError,
)
from journal.eras import GAP
from journal.store import TRIM_ROWS, KeyHead, Store
from runtime.clock import FakeClock
from tests.journal.support import Opener, close, entries_of, fill, numbers, position

HOUR_S = 3600.0


class HistoryContract:
    """What happens to numbers over a journal's life."""

    # Trimming

    def test_a_trim_removes_a_prefix_and_says_so(self, journal: Store) -> None:
        fill(journal, 10)

        assert journal.trim(POSITIONS, 4) == 4
        page = journal.read(POSITIONS, 3)
        assert (page.entries, page.oldest, page.head, page.trimmed) == ((), 5, 10, True)
        page = journal.read(POSITIONS, 4)
        assert (numbers(page.entries), page.oldest, page.trimmed) == ([5, 6, 7, 8, 9, 10], 5, False)

    def test_trimming_everything_keeps_the_numbers_going(self, journal: Store) -> None:
        fill(journal, 5)
        journal.trim(POSITIONS, 5)

        page = journal.read(POSITIONS, 5)
        assert (page.entries, page.oldest, page.head, page.trimmed) == ((), 6, 5, False)
        assert journal.read(POSITIONS, 0).trimmed
        (result,) = journal.append([position("new")])
        assert result.sequence == 6
        assert numbers(journal.read(POSITIONS, 5).entries) == [6]

    def test_a_trim_is_bounded_and_can_be_repeated(self, journal: Store) -> None:
        fill(journal, TRIM_ROWS + 20)

        assert journal.trim(POSITIONS, TRIM_ROWS + 10) == TRIM_ROWS
        assert journal.trim(POSITIONS, TRIM_ROWS + 10) == 10
        assert journal.trim(POSITIONS, TRIM_ROWS + 10) == 0
        with pytest.raises(ValueError, match="at a time"):
            journal.trim(POSITIONS, 1, TRIM_ROWS + 1)

    @pytest.mark.parametrize("stream", [REGISTRY, ACTIONS])
    def test_registry_and_actions_are_never_trimmed(self, journal: Store, stream: str) -> None:
        fill(journal, 3, stream)

        with pytest.raises(ValueError, match="never trimmed"):
            journal.trim(stream, 2)
        assert numbers(entries_of(journal, stream)) == [1, 2, 3]

    def test_a_key_remembers_its_last_entry_after_the_entry_was_trimmed(self, journal: Store) -> None:
        journal.append([position("a", b"1"), position("a", b"2")])
        (before,) = journal.append([position("b", b"1")])
        journal.trim(POSITIONS, before.sequence)

        assert journal.append([position("a", b"2")])[0].sequence == 2
        with pytest.raises(ConflictError):
            journal.append([position("a", b"3", expected_last=0)])
        assert journal.append([position("a", b"1")])[0].is_new

    # Epochs

    def test_a_new_epoch_starts_a_million_above_the_head_in_every_stream(self, journal: Store) -> None:
        fill(journal, 3)
        fill(journal, 1, ORDERS)
        before = journal.epoch()

        epoch = journal.new_epoch("new-epoch")
        assert journal.epoch() == epoch
        assert journal.epochs() == [before, epoch]
        assert epoch.id != before.id
        assert epoch.first == {**dict.fromkeys(DURABLE_STREAMS, GAP), POSITIONS: 3 + GAP, ORDERS: 1 + GAP}
        assert journal.heads() == {stream: first - 1 for stream, first in epoch.first.items()}
        (result,) = journal.append([position("a", b"after")])
        assert result.sequence == 3 + GAP

    def test_a_new_epoch_lies_above_heads_known_from_elsewhere(self, journal: Store) -> None:
        fill(journal, 3)

        epoch = journal.new_epoch("old-disk", {POSITIONS: 50, ORDERS: 7})
        assert (epoch.first[POSITIONS], epoch.first[ORDERS], epoch.first[LEDGER]) == (50 + GAP, 7 + GAP, GAP)

    def test_an_unknown_reason_is_refused(self, journal: Store) -> None:
        with pytest.raises(ValueError, match="unknown reason"):
            journal.new_epoch("because")  # type: ignore[arg-type]

    def test_a_page_never_mixes_epochs_and_names_the_epoch_of_its_entries(self, journal: Store) -> None:
        fill(journal, 3)
        old = journal.epoch()
        new = journal.new_epoch("new-epoch")
        journal.append([position("x", b"1"), position("x", b"2")])

        first = journal.read(POSITIONS, 1)
        assert (numbers(first.entries), first.epoch, first.trimmed) == ([2, 3], old.id, False)
        second = journal.read(POSITIONS, 3)
        assert (numbers(second.entries), second.epoch) == ([3 + GAP, 4 + GAP], new.id)
        assert not second.trimmed
        assert journal.read(POSITIONS, 4 + GAP).epoch == new.id
        assert numbers(entries_of(journal)) == [1, 2, 3, 3 + GAP, 4 + GAP]

    def test_an_epoch_without_entries_is_passed_over(self, journal: Store) -> None:
        fill(journal, 2)
        journal.new_epoch("new-epoch")
        last = journal.new_epoch("restore")
        assert journal.read(POSITIONS, 2).entries == ()
        journal.append([position("x", b"1")])

        page = journal.read(POSITIONS, 2)
        assert (numbers(page.entries), page.epoch) == ([last.first[POSITIONS]], last.id)
        assert last.first[POSITIONS] == 1 + 2 * GAP

    def test_content_is_still_compared_across_epochs(self, journal: Store) -> None:
        journal.append([position("a", b"1")])
        journal.new_epoch("new-epoch")

        assert journal.append([position("a", b"1")])[0].sequence == 1

    # Replicas

    def test_a_replica_keeps_numbers_ids_times_and_bytes(
        self, opener: Opener, journal: Store, clock: FakeClock
    ) -> None:
        fill(journal, 30)
        fill(journal, 4, REGISTRY)
        replica = opener.replica(FakeClock(1), {}, journal.epoch())
        clock.advance(60)

        for stream in (POSITIONS, REGISTRY):
            replica.append_replicated(entries_of(journal, stream))
        for stream in DURABLE_STREAMS:
            assert entries_of(replica, stream) == entries_of(journal, stream)
        assert replica.heads() == journal.heads()
        assert replica.epoch() == journal.epoch()

    def test_a_replica_starts_at_its_base(self, opener: Opener, journal: Store, clock: FakeClock) -> None:
        fill(journal, 30)
        replica = opener.replica(clock, {POSITIONS: 20}, journal.epoch())

        assert replica.head(POSITIONS) == 20
        assert replica.read(POSITIONS, 19).trimmed
        page = replica.read(POSITIONS, 20)
        assert (page.entries, page.oldest, page.trimmed) == ((), 21, False)
        replica.append_replicated(entries_of(journal, after=20))
        assert numbers(entries_of(replica, after=20)) == list(range(21, 31))

    def test_a_replica_refuses_local_appends_until_promoted(
        self, opener: Opener, journal: Store, clock: FakeClock
    ) -> None:
        fill(journal, 3)
        replica = opener.replica(clock, {}, journal.epoch())
        replica.append_replicated(entries_of(journal))
        assert replica.is_replica
        with pytest.raises(UnavailableError, match="replica"):
            replica.append([position("x")])

        with pytest.raises(UnavailableError, match="promote"):
            replica.new_epoch("new-epoch")

        epoch = replica.promote({POSITIONS: 40})
        assert not replica.is_replica
        assert replica.append([position("x")])[0].sequence == 40 + GAP == epoch.first[POSITIONS]
        with pytest.raises(UnavailableError):
            replica.append_replicated(entries_of(journal))
        with pytest.raises(UnavailableError):
            replica.promote()

    def test_copied_entries_that_are_there_already_are_skipped(
        self, opener: Opener, journal: Store, clock: FakeClock
    ) -> None:
        fill(journal, 5)
        replica = opener.replica(clock, {}, journal.epoch())
        found = entries_of(journal)
        replica.append_replicated(found[:3])

        results = replica.append_replicated(found)
        assert [result.is_new for result in results] == [False, False, False, True, True]
        assert entries_of(replica) == found

    def test_a_hole_or_a_foreign_chain_is_refused(
        self, opener: Opener, journal: Store, clock: FakeClock
    ) -> None:
        for body in (b"1", b"2", b"3"):
            journal.append([position("a", body)])
        one, two, three = entries_of(journal)
        replica = opener.replica(clock, {}, journal.epoch())
        replica.append_replicated([one])

        with pytest.raises(DivergedError, match="missing"):
            replica.append_replicated([three])
        forged = Entry(POSITIONS, 2, "a", three.event_id, two.time_ms, two.body)
        with pytest.raises(DivergedError, match="chain"):
            replica.append_replicated([forged])
        early = Entry(POSITIONS, 2, "a", two.event_id, one.time_ms - 1, two.body)
        with pytest.raises(DivergedError, match="older"):
            replica.append_replicated([early])
        replica.append_replicated([two, three])
        assert entries_of(replica) == [one, two, three]

    def test_a_promoted_replica_continues_the_chains_of_keys_before_its_base(
        self, opener: Opener, journal: Store, clock: FakeClock
    ) -> None:
        journal.append([position("a", b"1"), position("b", b"1")])
        heads = [KeyHead(POSITIONS, e.key, e.sequence, e.event_id) for e in entries_of(journal)]
        replica = opener.replica(clock, {POSITIONS: 2}, journal.epoch(), heads)
        replica.promote()

        for store in (journal, replica):
            store.append([position("a", b"2", expected_last=1)])
        assert entries_of(replica, after=2)[0].event_id == entries_of(journal, after=2)[0].event_id

    def test_a_promoted_replica_compares_bodies_where_it_has_no_identity(
        self, opener: Opener, journal: Store, clock: FakeClock
    ) -> None:
        journal.append([position("a", b"1", identity=b"i")])
        replica = opener.replica(clock, {}, journal.epoch())
        replica.append_replicated(entries_of(journal))
        replica.promote()

        assert not replica.append([position("a", b"1", identity=b"i")])[0].is_new
        assert replica.append([position("a", b"2", identity=b"i")])[0].is_new

    # Following

    def test_follow_gives_what_is_there_and_then_what_comes(self, journal: Store) -> None:
        fill(journal, 3)
        seen: list[int] = []
        pages = journal.follow(POSITIONS, 1, stop=lambda: len(seen) >= 4, poll_s=5)
        seen += numbers(next(pages).entries)
        assert seen == [2, 3]

        writer = threading.Thread(target=lambda: fill(journal, 2))
        writer.start()
        for page in pages:
            seen += numbers(page.entries)
        writer.join()
        assert seen == [2, 3, 4, 5]

    def test_follow_wakes_up_long_before_its_poll(self, journal: Store) -> None:
        pages = journal.follow(POSITIONS, 0, stop=lambda: False, poll_s=60)
        timer = threading.Timer(0.05, lambda: fill(journal, 1))
        timer.start()

        started = time.monotonic()
        assert numbers(next(pages).entries) == [1]
        assert time.monotonic() - started < 10
        close(pages)
        timer.join()

    def test_follow_yields_an_empty_page_when_nothing_comes(self, journal: Store) -> None:
        pages = journal.follow(POSITIONS, 0, stop=lambda: False, poll_s=0.01)

        assert next(pages).entries == ()
        assert next(pages).entries == ()
        close(pages)

    def test_follow_tells_of_trimmed_entries_and_goes_on_with_the_oldest(self, journal: Store) -> None:
        fill(journal, 6)
        journal.trim(POSITIONS, 4)

        pages = journal.follow(POSITIONS, 0, stop=lambda: False)
        assert next(pages).trimmed
        assert numbers(next(pages).entries) == [5, 6]
        close(pages)

    def test_follow_crosses_into_a_new_epoch(self, journal: Store) -> None:
        fill(journal, 2)
        new = journal.new_epoch("new-epoch")
        fill(journal, 1)

        pages = journal.follow(POSITIONS, 0, stop=lambda: False)
        assert numbers(next(pages).entries) == [1, 2]
        page = next(pages)
        assert (numbers(page.entries), page.epoch) == ([new.first[POSITIONS]], new.id)
        close(pages)

    def test_the_bell_rings_after_an_append_and_not_for_a_no_op(self, journal: Store) -> None:
        bell = journal.doorbell()
        journal.append([position("a", b"1")])
        assert bell.wait(5)
        assert bell.clear()
        journal.append([position("a", b"1")])
        assert not bell.clear()
        bell.close()
