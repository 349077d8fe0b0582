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

KILLS = 3
SOAK_KILLS = int(os.environ.get("VANTA_SOAK_STACK_KILLS", "20"))


def killing_spree(directory: Path, kills: int, seed: int) -> None:
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
        kept = entries(running)

    assert subscriber.faults == []
    assert len(set(subscriber.epochs)) == 1
    assert list(subscriber.frames) == list(range(1, subscriber.last + 1))
    for sequence, frame in subscriber.frames.items():
        assert frame["data"] == json.loads(kept[sequence]), f"entry {sequence} changed its meaning"


def kill_something(running: Stack, rng: random.Random, *, everything: bool) -> None:
    if everything:
        running.kill_everything()
        running.start()
        return
    name = rng.choice(sorted(running.workers()))
    print(f"killing {name}")
    os.kill(running.workers()[name], signal.SIGKILL)


def entries(running: Stack) -> dict[int, bytes]:
    """Every ``positions`` entry on disk."""
    journal = SqliteJournal(running.directory / "data" / "journal" / "journal.sqlite3")
    found: dict[int, bytes] = {}
    while page := journal.read("positions", max(found, default=0)).entries:
        found |= {entry.sequence: entry.body for entry in page}
    journal.close()
    return found


@pytest.mark.timeout(600)
def test_the_stack_survives_kill_nine(tmp_path: Path) -> None:
    killing_spree(tmp_path, KILLS, seed=20_251_120)


@pytest.mark.soak
def test_the_stack_survives_many_kills(tmp_path: Path) -> None:
    killing_spree(tmp_path, SOAK_KILLS, seed=random.SystemRandom().randrange(10**9))
