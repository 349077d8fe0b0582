"""Opening the journal, its marks and its State where the settings say they are."""

from __future__ import annotations

from journal.checkpoint import boot
from journal.marks import MarkStore
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal
from journal.state import DAY_MS, State
from journal.store import HistoryReader
from runtime.clock import Clock
from runtime.settings import Settings


def open_journal(settings: Settings, *, clock: Clock | None = None) -> SqliteJournal:
    """Open the journal for appending and reading; makes it, and heeds the witness."""
    return SqliteJournal(settings.journal_path, clock=clock, witness_file=settings.witness_path)


def open_reader(settings: Settings) -> SqliteReader:
    """Open the journal for reading only. Raises UnavailableError while there is none."""
    return SqliteReader(settings.journal_path)


def open_marks(settings: Settings) -> MarkStore:
    """Open the marks; makes them."""
    return MarkStore(settings.marks_path)


def window_ms(settings: Settings) -> int:
    """How long closed positions stay in a State, in ms."""
    return settings.journal.closed_window_days * DAY_MS


def boot_state(settings: Settings, reader: HistoryReader) -> State:
    """Return the journal's present State from the newest usable checkpoint and what came after."""
    return boot(reader, settings.checkpoint_dir, window_ms=window_ms(settings))
