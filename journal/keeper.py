"""The keeper: writes checkpoints, trims what they hold, keeps the witness.

Rule: nobody waits for the keeper. If it is away, the others go on; its absence only makes the next start
slower and the file larger.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, NoReturn

import structlog
from prometheus_client import Gauge

from journal import checkpoint, retention, witness
from journal.entry import Entry, JournalError, UnavailableError
from journal.fold import catch_up
from journal.layout import boot_state, open_journal, open_marks
from journal.marks import MarkStore
from journal.sqlite import SqliteJournal
from journal.state import State
from runtime import worker
from runtime.clock import Clock, SystemClock
from runtime.settings import Settings
from runtime.worker import CannotStart, Worker

LOOK_S: Final = 1.0
BEAT_ENTRIES: Final = 2000  # a long catch-up says in between that it is alive
HOUR_MS: Final = 3_600_000

log = structlog.get_logger()

_head = Gauge("vanta_journal_head", "Highest number given in a stream", ["stream"])
_bytes = Gauge("vanta_journal_bytes", "Size of the journal's file and its write-ahead log")
_checkpoint_time = Gauge("vanta_checkpoint_time_seconds", "When the newest checkpoint was written")


class Keeper:
    """One journal's keeper; ``step`` does what is due and is called about once a second."""

    def __init__(
        self,
        settings: Settings,
        journal: SqliteJournal,
        marks: MarkStore,
        state: State,
        *,
        clock: Clock | None = None,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings, self._journal, self._marks, self._state = settings, journal, marks, state
        self._clock = clock or SystemClock()
        self._alive = alive  # called in long work; False when the keeper shall stop
        self._entries = 0  # since the newest checkpoint
        self._epoch = ""  # of the newest checkpoint
        self._written_s = -settings.journal.checkpoint_interval_s
        self._is_first = True

    @property
    def entries_since_checkpoint(self) -> int:
        return self._entries

    def step(self) -> None:
        """Take over new entries; write a checkpoint, trim and note the witness when it is time."""
        self._take_over()
        limits = self._settings.journal
        waited = self._clock.monotonic() - self._written_s >= limits.checkpoint_interval_s
        if self._entries >= limits.checkpoint_entries or (waited and self._is_news()):
            self.write()

    def write(self) -> None:
        """Write a checkpoint now, then what may follow one. A full disk is logged and tried again later."""
        now_ms = self._clock.now_ms()
        self._written_s = self._clock.monotonic()
        try:
            checkpoint.write(self._settings.checkpoint_dir, self._state, now_ms)
            witness.write(self._settings.witness_path, self._state.epoch, self._state.vector, now_ms)
        except OSError as error:
            log.error("checkpoint not written", error=str(error))
            return
        self._entries, self._epoch, self._is_first = 0, self._state.epoch, False
        _checkpoint_time.set(now_ms / 1000)
        checkpoint.prune(self._settings.checkpoint_dir, self._settings.journal.checkpoints_kept)
        self._trim(now_ms)

    def close(self) -> None:
        """Write a last checkpoint if there is news."""
        self._take_over()
        if self._is_news():
            self.write()

    def _take_over(self) -> None:
        self._entries += catch_up(self._state, self._journal, on_entry=self._note)
        for stream, number in self._state.vector.items():
            _head.labels(stream).set(number)
        _bytes.set(self._journal.size_bytes())

    def _note(self, entry: Entry) -> None:
        if entry.sequence % BEAT_ENTRIES == 0:
            self._alive()

    def _is_news(self) -> bool:
        return self._is_first or self._entries > 0 or self._epoch != self._state.epoch

    def _trim(self, now_ms: int) -> None:
        limits = self._settings.journal
        try:
            retention.trim(
                self._journal,
                self._settings.checkpoint_dir,
                clock=self._clock,
                keep_ms=int(limits.retention_hours * HOUR_MS),
                stop=lambda: not self._alive(),
            )
            self._marks.trim(now_ms - int(limits.marks_hours * HOUR_MS))
        except UnavailableError as error:
            log.warning("trimming put off", error=str(error))


def run(argv: list[str]) -> NoReturn:
    """Run the keeper as a worker."""
    worker.run("keeper", keep, argv)


def keep(frame: Worker) -> int:
    """The worker's main function: until told to stop, look once a second."""
    journal, marks, state = _open(frame)

    def alive() -> bool:
        frame.beat(entries_since_checkpoint=keeper.entries_since_checkpoint, sequences=state.vector)
        return not frame.stop.is_set()

    keeper = Keeper(frame.settings, journal, marks, state, clock=frame.clock, alive=alive)
    try:
        keeper.step()
        frame.ready(epoch=state.epoch)
        while not frame.stop.wait(LOOK_S):
            keeper.step()
            alive()
        keeper.close()
    except JournalError as error:
        sys.stderr.write(f"keeper: {error}\n")
        return 1
    finally:
        marks.close()
        journal.close()
    return 0


def _open(frame: Worker) -> tuple[SqliteJournal, MarkStore, State]:
    try:
        journal = open_journal(frame.settings, clock=frame.clock)
        return journal, open_marks(frame.settings), boot_state(frame.settings, journal)
    except JournalError as error:
        raise CannotStart(str(error)) from error
