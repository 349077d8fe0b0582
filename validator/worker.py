"""The validator as a worker process: follows positions and prices, keeps the ledgers.

Rule 1: a minute is counted ``settle_s`` after it ended, so that what belongs to it has arrived.
Rule 2: nothing is kept here that is not in the journal or follows from it; a killed worker begins again.
Rule 3: a journal that takes no entries now (disk full, replica) is tried again; the work is done anew then.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from journal.entry import POSITIONS, UnavailableError
from journal.fold import entries_after
from journal.layout import boot_state, open_journal, open_marks
from journal.sqlite import SqliteJournal
from runtime.settings import ValidatorSettings
from runtime.worker import BEAT_EVERY_S, CannotStart, Worker
from validator.ledger.account import Rules
from validator.ledger.book import Book
from validator.ledger.checkpoint import DAY_MS, HOUR_MS, MINUTE_MS
from validator.ledger.tape import Marks

TRY_AGAIN_S: Final = 1.0  # after the journal refused an append

WRITTEN: Final = Counter("vanta_validator_entries", "Ledger entries appended")
THROUGH: Final = Gauge("vanta_validator_through_timestamp_seconds", "Boundary that every ledger has passed")
BEHIND: Final = Gauge("vanta_validator_behind_seconds", "Age of the newest counted minute beyond its due")

_log = structlog.get_logger()


def main(worker: Worker) -> int:
    """Keep ledgers until told to stop; returns the exit code."""
    try:
        journal, marks = open_journal(worker.settings, clock=worker.clock), open_marks(worker.settings)
        with closing(journal), closing(marks):
            keeper = Keeper(worker, journal, marks)
            keeper.load()
            worker.ready(hotkeys=len(keeper.book.accounts), through_ms=keeper.book.through_ms)
            keeper.run()
    except UnavailableError as error:
        raise CannotStart(str(error)) from None
    return 0


def rules_of(settings: ValidatorSettings) -> Rules:
    """The ledgers' rules."""
    return Rules(
        span_ms=settings.checkpoint_hours * HOUR_MS,
        window_ms=settings.window_days * DAY_MS,
        correction_ms=round(settings.correction_hours * HOUR_MS),
    )


class Keeper:
    """Turns the book: entries in, ledger entries out."""

    def __init__(self, worker: Worker, journal: SqliteJournal, marks: Marks) -> None:
        self._worker, self._journal = worker, journal
        self._settings = worker.settings.validator
        self.book = Book(marks, rules_of(self._settings))
        self._problem: str | None = None
        self._next_beat_s = 0.0

    def load(self) -> None:
        """Begin where the journal is. Raises JournalError."""
        self.book.load(boot_state(self._worker.settings, self._journal))

    def run(self) -> None:
        """Follow until told to stop. Raises JournalError when the journal or the marks are damaged."""
        with closing(self._journal.doorbell()) as bell:
            while not self._worker.stop.is_set():
                bell.clear()
                self._beat()
                if not self.turn():
                    self._worker.stop.wait(TRY_AGAIN_S)
                bell.wait(self._settings.poll_s)

    def turn(self) -> bool:
        """Take in what is new and write what follows from it; False when the journal refused."""
        try:
            for entry in entries_after(self._journal, POSITIONS, self.book.positions):
                self.book.take(entry)
            if self._journal.is_replica:
                self._note("this node is a replica: its ledgers come from its source")
                return False
            self._work()
        except UnavailableError as error:
            self._note(str(error))
            return False
        self._note(None)
        return True

    def _work(self) -> None:
        tick_ms = self._due_ms()
        if tick_ms <= self.book.tick_ms and not self.book.is_dirty:
            return
        for work in self.book.work(tick_ms):
            if self._worker.stop.is_set():
                return
            if work.drafts:
                WRITTEN.inc(sum(done.is_new for done in self._journal.append(work.drafts)))
            work.commit()
            self._beat()

    def _due_ms(self) -> int:
        """The newest tick that may be counted."""
        settled_ms = self._worker.clock.now_ms() - round(self._settings.settle_s * 1000)
        return max(0, settled_ms - settled_ms % MINUTE_MS)

    def _beat(self) -> None:
        """Show how far the ledgers are, at most once a second."""
        now_s = self._worker.clock.monotonic()
        if now_s < self._next_beat_s:
            return
        self._next_beat_s = now_s + BEAT_EVERY_S
        behind_s = (self._due_ms() - self.book.tick_ms) / 1000 if self.book.tick_ms else None
        THROUGH.set((self.book.through_ms or 0) / 1000)
        BEHIND.set(behind_s or 0.0)
        self._worker.beat(
            hotkeys=len(self.book.accounts),
            positions_sequence=self.book.positions,
            ledger_through_ms=self.book.through_ms,
            ledger_tick_ms=self.book.tick_ms or None,
            behind_s=behind_s,
            problem=self._problem,
        )

    def _note(self, problem: str | None) -> None:
        """Remember what is wrong; say so once."""
        if problem == self._problem:
            return
        if problem is None:
            _log.info("ledgers are written again")
        else:
            _log.warning("ledgers wait", problem=problem)
        self._problem = problem
