"""Following the journal: what is published when, and what happens when following ends."""

from __future__ import annotations

import threading
import time

import pytest

from journal.entry import ORDERS, POSITIONS
from journal.fold import TrimmedError
from rest_server.audience import Audience
from rest_server.follower import Follower
from rest_server.published import Published
from rest_server.worker import FollowerThread
from runtime.settings import RestSettings
from tests.rest_server.world import DAY, FUEL, HOUR, World, fill, position, resting
from vanta_api.records import OrderSource


def published(follower: Follower) -> Published:
    found = follower.current()
    assert found is not None
    return found


def test_nothing_new_publishes_nothing(world: World) -> None:
    world.put(position("a", [fill("a1", 1, 2.0, world.now)]))
    world.follower.turn()
    before = published(world.follower)
    world.clock.sleep(5)
    world.follower.turn()

    assert published(world.follower) is before


def test_a_due_moment_that_changes_nothing_keeps_the_documents(world: World) -> None:
    """The hour for which older prices were read ahead is over, and there were none."""
    world.put(position("a", [fill("a1", 1, 2.0, world.now - 3 * DAY)]))
    world.follower.turn()
    before = published(world.follower)
    made = before.miner_positions(Audience(100))
    due_ms = before.valid_until_ms
    assert due_ms is not None
    world.clock.sleep((due_ms - world.now) / 1000)
    after = published(world.follower)

    assert after is not before
    assert after.valid_until_ms is not None
    assert after.valid_until_ms > due_ms
    assert after.miner_positions(Audience(100)) is made
    assert published(world.follower) is after


def test_only_the_changed_hotkey_is_encoded_again(world: World) -> None:
    world.put(position("a", [fill("a1", 1, 2.0, world.now)]), position("b", [fill("b1", 1, 2.0, world.now)]))
    world.follower.turn()
    live, delayed = Audience(100), Audience(0)
    before = published(world.follower)
    old = {(hotkey, who): before.books[hotkey].dashboard(who) for hotkey in "ab" for who in (live, delayed)}
    world.put(position("a", [fill("a1", 1, 2.0, world.now), fill("a2", 1, 2.0, world.now)]))
    world.follower.turn()
    after = published(world.follower)

    assert after.books["b"] is before.books["b"]
    assert after.books["a"].dashboard(live) is not old["a", live]
    assert after.books["a"].dashboard(delayed).piece.raw == old["a", delayed].piece.raw
    assert before.books["a"].dashboard(live) is old["a", live]


def test_a_mark_of_another_pair_touches_nobody(world: World) -> None:
    world.put(position("a", [fill("a1", 1, 2.0, world.now)]))
    world.follower.turn()
    before = published(world.follower)
    world.mark(5.0, pair=("BTCUSD", "BTC/USD", 0.0, 0.0, 1.0))
    world.follower.turn()
    assert published(world.follower) is before
    world.mark(5.0, pair=FUEL)
    world.follower.turn()
    assert published(world.follower) is not before


def test_entries_trimmed_before_they_were_read_end_the_following(world: World) -> None:
    for n in range(3):
        world.put(position("a", [fill(n, 1, 2.0, world.now)]))
    world.journal.trim(POSITIONS, 2)
    with pytest.raises(TrimmedError):
        world.follower.turn()


def test_a_thread_that_cannot_follow_says_so(world: World) -> None:
    thread = FollowerThread(world.follower, world.journal.doorbell(), RestSettings(poll_s=0.01))
    assert thread.problem() is not None
    thread.start()
    try:
        assert thread.problem() is None
        assert not thread.has_failed()
        with world.journal._lock:  # trimmed behind its back, before it can look
            for n in range(3):
                world.put(position("a", [fill(n, 1, 2.0, world.now)]))
            world.journal.trim(POSITIONS, 2)
        deadline = time.monotonic() + 5
        while not thread.has_failed():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert "trimmed" in (thread.problem() or "")
    finally:
        thread.stop()


def test_a_thread_that_is_stuck_says_so(world: World) -> None:
    thread = FollowerThread(world.follower, world.journal.doorbell(), RestSettings(poll_s=0.01))
    with world.follower._lock:
        thread.start()
        world.clock.sleep(16)
        assert "stuck" in (thread.problem() or "")
    deadline = time.monotonic() + 5
    while thread.problem() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    thread.stop()


def test_an_entry_is_shown_soon_after_it_is_durable(world: World) -> None:
    """The bell wakes the follower; the poll would take ten seconds."""
    thread = FollowerThread(world.follower, world.journal.doorbell(), RestSettings(poll_s=5))
    thread.start()
    try:
        for n in range(5):
            world.put(position("a", [fill(n, 1, 2.0, world.now)]))
            deadline = time.monotonic() + 2
            while published(world.follower).live.sequence != n + 1:
                assert time.monotonic() < deadline
                time.sleep(0.001)
    finally:
        thread.stop()


def test_finished_orders_leave_with_the_state(world: World) -> None:
    world.put_orders(
        resting("a", 1, world.now, src=int(OrderSource.LIMIT_FILLED)), resting("a", 2, world.now)
    )
    assert len(world.get("/orders/a").get_json()["filled"]) == 1
    world.clock.sleep(400 * DAY / 1000)
    world.put_orders(resting("b", 3, world.now))
    body = world.get("/orders/a").get_json()

    assert (body["filled"], len(body["unfilled"])) == ([], 1)


def test_entries_of_another_stream_move_the_vector(world: World) -> None:
    before = published(world.follower)
    world.put_orders(resting("a", 1, world.now))
    world.follower.turn()
    after = published(world.follower)

    assert (before.vector.get(ORDERS, 0), after.vector[ORDERS]) == (0, 1)


def test_readers_always_see_views_and_vector_of_one_moment(world: World) -> None:
    """Every entry adds one order, so the number of orders must equal the sequence, in every snapshot."""
    orders = [fill("a1", 1, 2.0, world.now - HOUR)]
    done = threading.Event()
    wrong: list[tuple[int, int]] = []

    def read() -> None:
        while not done.is_set():
            now = published(world.follower)
            counted = sum(len(h.record.orders) for book in now.books.values() for h in book.held.values())
            if counted != now.vector.get(POSITIONS, 0):
                wrong.append((counted, now.vector.get(POSITIONS, 0)))
            time.sleep(0.0002)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(60):
        world.put(position("a", orders))
        orders = [*orders, fill(("more", n), 1, 2.0, world.now - HOUR + n)]
        world.follower.turn()
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
