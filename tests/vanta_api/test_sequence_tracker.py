"""The client's cursor logic: every subset, repetition and filter of a stream, checked against a model."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vanta_api.sequence_tracker import Cursor, Gap, Resync, Tracker
from vanta_api.server_frames import ServerFrame


def frame(number: int, **fields: Any) -> ServerFrame:
    return ServerFrame(sequence=number, **fields)


@given(st.integers(0, 50), st.lists(st.integers(1, 40), max_size=40))
def test_numbers_are_passed_once_in_order_and_every_hole_is_named(start: int, steps: list[int]) -> None:
    """Frames with jumps and repeats: passed numbers plus gaps cover the stream exactly once."""
    tracker = Tracker.at(Cursor(epoch="e", sequence=start))
    covered: list[int] = []
    number = start
    for step in steps:
        number = number + step if step < 30 else max(1, number - step)  # sometimes an old one again
        before = tracker.last
        verdict = tracker.data(frame(number))
        if number <= before:
            assert verdict == "repeat"
            number = before
            continue
        if isinstance(verdict, Gap):
            covered.extend(range(verdict.first, verdict.last + 1))
        covered.append(number)

    assert covered == list(range(start + 1, tracker.last + 1))


@given(st.lists(st.booleans(), max_size=60), st.sets(st.integers(1, 60)))
def test_a_filter_makes_no_gaps_and_hides_none(wanted: list[bool], lost: set[int]) -> None:
    """Of the wanted entries some are lost: exactly the stretches with a lost one are gaps."""
    tracker = Tracker.at(Cursor(epoch="e", sequence=0), is_filtered=True)
    sent, received = 0, 0
    for number, is_wanted in enumerate(wanted, 1):
        if not is_wanted:
            continue
        if number not in lost:
            verdict = tracker.data(frame(number, prev_sequence=sent))
            assert verdict == ("next" if sent == received else Gap(received + 1, sent))
            received = number
        sent = number


def test_a_filtered_client_moves_on_with_heartbeats() -> None:
    tracker = Tracker.at(Cursor(epoch="e", sequence=5), is_filtered=True)

    assert tracker.heartbeat(ServerFrame(type="heartbeat", current_sequence=9)) is None
    assert tracker.last == 9
    assert tracker.data(frame(12, prev_sequence=5)) == "next"


def test_the_first_frame_of_an_unknown_place_is_a_beginning() -> None:
    tracker = Tracker()

    assert tracker.data(frame(500)) == "next"
    assert tracker.data(frame(502)) == Gap(501, 501)


def test_a_heartbeat_alone_is_no_proof() -> None:
    """Its frames may still be under way; the next heartbeat proves the loss."""
    tracker = Tracker.at(Cursor(epoch="e", sequence=5))
    beat = ServerFrame(type="heartbeat", current_sequence=7)

    assert tracker.heartbeat(beat) is None
    assert tracker.data(frame(6)) == "next"
    assert tracker.heartbeat(beat) == Gap(7, 7)
    assert tracker.data(frame(7)) == "repeat"
    assert tracker.heartbeat(beat) is None


def test_streams_have_cursors_of_their_own() -> None:
    tracker = Tracker.at(Cursor(epoch="e", sequence=5, streams={"orders": 2}))

    assert tracker.data(ServerFrame(stream="orders", stream_sequence=3)) == "next"
    assert tracker.data(ServerFrame(stream="orders", stream_sequence=3)) == "repeat"
    assert tracker.data(ServerFrame(stream="ledger", stream_sequence=99)) == "next"
    assert tracker.cursor == Cursor(epoch="e", sequence=5, streams={"orders": 3, "ledger": 99})


def test_a_new_epoch_takes_all_cursors_anew() -> None:
    tracker = Tracker.at(Cursor(epoch="e1", sequence=5, streams={"orders": 2}))
    reply = ServerFrame(
        status="success", current_sequence=1_000_005, epoch="e2", recovered=False, reason="epoch_changed",
        heads={"orders": 1_000_002, "registry": 1},
    )  # fmt: skip

    assert tracker.welcome(reply, ("orders",)) == Resync("epoch_changed", 5, 1_000_005, "e2")
    assert tracker.cursor == Cursor(epoch="e2", sequence=1_000_005, streams={"orders": 1_000_002})


def test_the_whole_history_begins_at_the_oldest_kept() -> None:
    tracker = Tracker.at(Cursor(sequence=0))
    reply = ServerFrame(status="success", current_sequence=90, epoch="e", recovered=True, oldest_sequence=41)

    assert tracker.welcome(reply) is None
    assert tracker.data(frame(41)) == "next"


def test_notices_of_the_server_move_the_cursor_where_the_stream_goes_on() -> None:
    tracker = Tracker.at(Cursor(epoch="e", sequence=5, streams={"orders": 2}))
    trimmed = ServerFrame(type="resync_required", reason="trimmed", current_sequence=50, stream="orders")
    slow = ServerFrame(type="resync_required", reason="slow_consumer", current_sequence=60)

    assert tracker.notice(trimmed) == Resync("trimmed", 2, 50, "e", None, "orders")
    assert tracker.notice(slow) is None
    assert tracker.cursor == Cursor(epoch="e", sequence=5, streams={"orders": 50})
