"""kill -9 of any worker, or of everything, at random moments: no gap, no repeat, no changed number."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from journal.sqlite import SqliteJournal
from tests.end_to_end.stack import Stack, Subscriber, stack, until
from tests.end_to_end.trio import Trio

KILLS, SOAK_KILLS = 12, int(os.environ.get("VANTA_SOAK_KILLS", "200"))
STACK_KILLS, SOAK_STACK_KILLS = 3, int(os.environ.get("VANTA_SOAK_STACK_KILLS", "20"))


def seed_of_the_day() -> int:
    """Another one at every run; printed, so that a failure can be repeated."""
    return random.SystemRandom().randrange(10**9)


def kill_the_stack(directory: Path, kills: int, seed: int) -> None:
    """Kill one worker or everything ``kills`` times; then compare what was seen with what is kept."""
    rng = random.Random(seed)
    print(f"seed {seed}, {kills} kills")  # shown by pytest when the test fails
    with stack(directory) as running:
        subscriber = Subscriber(running)
        until(lambda: subscriber.last > 0, 60, "first entries")
        for number in range(kills):
            time.sleep(rng.uniform(0.2, 2.0))  # a random moment of a running system, not a wait for something
            before = subscriber.last
            kill_something(running, rng, everything=number % 3 == 2)
            until(lambda seen=before: subscriber.last > seen, 90, "entries after the kill")  # type: ignore[misc]
        subscriber.stop()
    check(subscriber, directory)


def kill_something(running: Stack, rng: random.Random, *, everything: bool) -> None:
    if everything:
        running.kill_everything()
        running.start()
        return
    name = rng.choice(sorted(running.workers()))
    print(f"killing {name}")
    os.kill(running.workers()[name], signal.SIGKILL)


def kill_the_trio(directory: Path, kills: int, seed: int) -> None:
    """Kill the poller or the WebSocket server while entries flow, at random points of their work."""
    rng = random.Random(seed)
    print(f"seed {seed}, {kills} kills")
    trio = Trio(directory, seed % 1000)
    try:
        for name in ("sandbox-o2", "poll-o2", "ws"):
            trio.start(name)
        subscriber = Subscriber(trio)  # type: ignore[arg-type]
        until(lambda: subscriber.last > 0, 60, "first entries")
        for _ in range(kills):
            name = rng.choice(("poll-o2", "ws"))
            time.sleep(rng.uniform(0.0, 0.6))  # a random moment of a running system, start-up included
            trio.kill(name)
            trio.start(name, wait=rng.random() < 0.7)
        before = subscriber.last
        until(lambda: subscriber.last > before, 60, "entries after the last kill")
        subscriber.stop()
    finally:
        trio.close()
    check(subscriber, directory)


def check(subscriber: Subscriber, directory: Path) -> None:
    """The subscriber saw 1, 2, 3, ... once each, in one epoch, and exactly what is on disk."""
    kept = entries(directory)

    assert subscriber.faults == []
    assert len(set(subscriber.epochs)) == 1
    assert list(subscriber.frames) == list(range(1, subscriber.last + 1))
    for sequence, frame in subscriber.frames.items():
        assert frame["data"] == json.loads(kept[sequence]), f"entry {sequence} changed its meaning"
    assert sorted(kept) == list(range(1, max(kept) + 1))
    assert len(set(kept.values())) == len(kept), "an entry was written twice"


def entries(directory: Path) -> dict[int, bytes]:
    """Every ``positions`` entry on disk."""
    journal = SqliteJournal(directory / "data" / "journal" / "journal.sqlite3")
    found: dict[int, bytes] = {}
    while page := journal.read("positions", max(found, default=0)).entries:
        found |= {entry.sequence: entry.body for entry in page}
    journal.close()
    return found


@pytest.mark.timeout(300)
def test_poller_and_websocket_survive_kill_nine(tmp_path: Path) -> None:
    kill_the_trio(tmp_path, KILLS, seed=20_251_120)


@pytest.mark.timeout(600)
def test_the_stack_survives_kill_nine(tmp_path: Path) -> None:
    kill_the_stack(tmp_path, STACK_KILLS, seed=20_251_120)


@pytest.mark.soak
def test_poller_and_websocket_survive_many_kills(tmp_path: Path) -> None:
    kill_the_trio(tmp_path, SOAK_KILLS, seed_of_the_day())


@pytest.mark.soak
def test_the_stack_survives_many_kills(tmp_path: Path) -> None:
    kill_the_stack(tmp_path, SOAK_STACK_KILLS, seed_of_the_day())
