"""Retention trims what two checkpoints hold and nobody needs, and never more."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path

import pytest

from journal import checkpoint, retention
from journal.entry import ACTIONS, ORDERS, POSITIONS, REGISTRY
from journal.fold import catch_up
from journal.memory import MemoryJournal
from journal.state import State
from runtime.clock import FakeClock
from tests.journal.bodies import position_body
from tests.journal.support import entries_of, fill, numbers, position

DAY_S = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal(clock: FakeClock) -> MemoryJournal:
    return MemoryJournal(clock=clock)


def write_checkpoint(journal: MemoryJournal, directory: Path, clock: FakeClock) -> State:
    state = State()
    catch_up(state, journal)
    checkpoint.write(directory, state, clock.now_ms())
    clock.advance(1)
    return state


def test_nothing_goes_before_there_are_two_checkpoints(
    journal: MemoryJournal, clock: FakeClock, tmp_path: Path
) -> None:
    fill(journal, 10)
    clock.advance(100 * DAY_S)
    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0) == {}
    write_checkpoint(journal, tmp_path, clock)
    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0) == {}

    write_checkpoint(journal, tmp_path, clock)
    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0) == {POSITIONS: 10}


def test_never_past_the_second_newest_whole_checkpoint(
    journal: MemoryJournal, clock: FakeClock, tmp_path: Path
) -> None:
    for count in (600, 700, 50):
        fill(journal, count)
        write_checkpoint(journal, tmp_path, clock)
    newest = checkpoint.files(tmp_path)[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    fill(journal, 5)
    clock.advance(30 * DAY_S)

    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0) == {POSITIONS: 600}
    assert numbers(entries_of(journal, after=600)) == list(range(601, 1356))
    present = checkpoint.boot(journal, tmp_path)
    assert present.vector == journal.heads()


def test_entries_of_the_last_25_hours_stay_whatever_is_asked(
    journal: MemoryJournal, clock: FakeClock, tmp_path: Path
) -> None:
    fill(journal, 4)
    clock.advance(3600)
    fill(journal, 4)
    clock.advance(25 * 3600 - 10)
    for _ in range(2):
        write_checkpoint(journal, tmp_path, clock)

    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0) == {POSITIONS: 4}
    clock.advance(20)
    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=int(40 * 3600e3)) == {}
    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0) == {POSITIONS: 4}


def test_registry_and_actions_stay_and_open_positions_live_in_the_state(
    journal: MemoryJournal, clock: FakeClock, tmp_path: Path
) -> None:
    journal.append([position("open", position_body()), position("closed", position_body(close_ms=1))])
    fill(journal, 3, REGISTRY)
    fill(journal, 3, ACTIONS)
    fill(journal, 3, ORDERS)
    clock.advance(10 * DAY_S)
    for _ in range(2):
        before = write_checkpoint(journal, tmp_path, clock)

    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0) == {POSITIONS: 2, ORDERS: 3}
    assert len(entries_of(journal, REGISTRY)) == len(entries_of(journal, ACTIONS)) == 3
    assert entries_of(journal, POSITIONS, after=2) == []
    present = checkpoint.boot(journal, tmp_path)
    assert present == before
    assert "open" in present.latest[POSITIONS]


def test_a_stop_ends_the_trim_between_two_transactions(
    journal: MemoryJournal, clock: FakeClock, tmp_path: Path
) -> None:
    fill(journal, 1200)
    clock.advance(30 * DAY_S)
    for _ in range(2):
        write_checkpoint(journal, tmp_path, clock)
    answers = chain([False], repeat(True))

    assert retention.trim(journal, tmp_path, clock=clock, keep_ms=0, stop=lambda: next(answers)) == {
        POSITIONS: 500
    }
