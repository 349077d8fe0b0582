"""The keeper writes checkpoints when they are due, trims after them, and survives a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from journal import checkpoint, witness
from journal.entry import POSITIONS
from journal.keeper import Keeper
from journal.layout import boot_state, open_journal, open_marks
from journal.marks import MarkStore
from journal.sqlite import SqliteJournal
from runtime.clock import FakeClock
from runtime.settings import JournalSettings, Settings
from tests.journal.support import fill
from tests.journal.test_marks import mark


class Desk:
    """A keeper with everything around it."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.settings = Settings(
            data_dir=directory,
            journal=JournalSettings(checkpoint_interval_s=60, checkpoint_entries=100, checkpoints_kept=3),
        )
        self.journal: SqliteJournal = open_journal(self.settings, clock=self.clock)
        self.marks: MarkStore = open_marks(self.settings)
        self.alive_calls = 0
        state = boot_state(self.settings, self.journal)
        self.keeper = Keeper(
            self.settings, self.journal, self.marks, state, clock=self.clock, alive=self._alive
        )

    def _alive(self) -> bool:
        self.alive_calls += 1
        return True

    @property
    def checkpoints(self) -> list[int]:
        """The ``positions`` numbers of the checkpoints, oldest first."""
        headers = map(checkpoint.read_header, checkpoint.files(self.settings.checkpoint_dir))
        return [header.vector[POSITIONS] for header in headers][::-1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.marks.close()
    desk.journal.close()


def test_the_first_step_writes_a_checkpoint(desk: Desk) -> None:
    desk.keeper.step()
    assert desk.checkpoints == [0]


def test_a_checkpoint_comes_after_the_interval_if_there_is_news(desk: Desk) -> None:
    desk.keeper.step()
    fill(desk.journal, 5)
    desk.clock.advance(59)
    desk.keeper.step()
    assert desk.checkpoints == [0]

    desk.clock.advance(1)
    desk.keeper.step()
    assert desk.checkpoints == [0, 5]
    desk.clock.advance(600)
    desk.keeper.step()
    assert desk.checkpoints == [0, 5]


def test_a_new_epoch_is_news(desk: Desk) -> None:
    desk.keeper.step()
    desk.journal.new_epoch("new-epoch")
    desk.clock.advance(60)
    desk.keeper.step()

    assert desk.checkpoints == [0, 999_999]


def test_many_entries_bring_a_checkpoint_sooner(desk: Desk) -> None:
    desk.keeper.step()
    fill(desk.journal, 100)
    desk.clock.advance(1)
    desk.keeper.step()

    assert desk.checkpoints == [0, 100]


def test_only_the_newest_checkpoints_are_kept(desk: Desk) -> None:
    for _ in range(6):
        fill(desk.journal, 1)
        desk.clock.advance(60)
        desk.keeper.step()

    assert desk.checkpoints == [4, 5, 6]


def test_the_witness_is_as_new_as_the_checkpoint(desk: Desk) -> None:
    fill(desk.journal, 7)
    desk.keeper.step()

    seen = witness.read(desk.settings.witness_path)
    assert seen is not None
    assert (seen.epoch, seen.heads[POSITIONS]) == (desk.journal.epoch().id, 7)


def test_old_entries_and_marks_go_once_checkpoints_hold_them(desk: Desk) -> None:
    fill(desk.journal, 50)
    desk.marks.put([mark("1", desk.clock.now_ms())])
    desk.keeper.step()
    desk.clock.advance(8 * 86_400)
    desk.marks.put([mark("2", desk.clock.now_ms() - 50 * 3_600_000)])
    fill(desk.journal, 1)
    desk.keeper.step()
    fill(desk.journal, 1)
    desk.clock.advance(60)
    desk.keeper.step()

    assert desk.journal.read(POSITIONS, 50).oldest == 51
    assert len(desk.marks.history("BTCUSD", 0, desk.clock.now_ms())) == 1


def test_a_checkpoint_that_cannot_be_written_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(desk.journal, 3)
    with monkeypatch.context() as patch:
        patch.setattr("journal.checkpoint.write", _refuse)
        desk.keeper.step()
    assert desk.checkpoints == []

    desk.clock.advance(60)
    desk.keeper.step()
    assert desk.checkpoints == [3]


def _refuse(*_: object) -> Path:
    raise OSError(28, "No space left on device")


def test_close_writes_the_news(desk: Desk) -> None:
    desk.keeper.step()
    fill(desk.journal, 2)
    desk.keeper.close()
    desk.keeper.close()

    assert desk.checkpoints == [0, 2]


def test_a_long_catch_up_says_that_it_is_alive(desk: Desk) -> None:
    fill(desk.journal, 4100)
    desk.keeper.step()

    assert desk.alive_calls >= 2


def test_boot_after_the_keeper_is_the_same_state(desk: Desk) -> None:
    fill(desk.journal, 30)
    desk.keeper.step()
    fill(desk.journal, 10)

    state = boot_state(desk.settings, desk.journal)
    assert state.vector == desk.journal.heads()
