"""A journal, a clock and a ledger book that can be killed at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from journal.entry import LEDGER, POSITIONS, Draft, Entry
from journal.fold import catch_up
from journal.memory import MemoryJournal
from journal.state import State
from runtime.clock import FakeClock
from tests.validator.ledger.world import DAY, HOUR, MINUTE, T0
from validator.ledger.account import Rules
from validator.ledger.book import Book
from validator.ledger.tape import Marks
from validator.ledger.view import Ledgers
from vanta_api.records import Position, PositionMessage, encode

RULES = Rules(span_ms=6 * HOUR, window_ms=120 * DAY, correction_ms=24 * HOUR)
Event = tuple[int, Position]


class Killed(Exception):
    """The process died here."""


class Stage:
    """Plays positions into a journal and keeps a book on it. ``killer`` decides when the book dies."""

    def __init__(self, marks: Marks, rules: Rules = RULES, killer: Random | None = None, odds: float = 0.02):
        self.marks, self.rules = marks, rules
        self.clock = FakeClock(T0)
        self.journal = MemoryJournal(clock=self.clock)
        self.kills = 0
        self._killer, self._odds = killer, odds
        self.book = self._boot()

    def play(self, events: Sequence[Event], ticks: Sequence[int]) -> None:
        """At every tick, first append what happened before it (by the first part of an event)."""
        waiting = list(events)
        for tick_ms in ticks:
            self.clock.advance((tick_ms - self.clock.now_ms()) / 1000)
            while waiting and waiting[0][0] < tick_ms:
                self.append(waiting.pop(0)[1])
            self.turn(tick_ms)

    def append(self, record: Position) -> None:
        """Make a position durable."""
        body = encode(PositionMessage(position=record))
        self.journal.append([Draft(POSITIONS, f"{record.miner_hotkey}|{record.position_uuid}", body)])

    def turn(self, tick_ms: int) -> None:
        """Bring the book up to a tick, however often it dies on the way."""
        while True:
            try:
                self._follow()
                for work in self.book.work(tick_ms):
                    self._maybe_die()
                    if work.drafts:
                        self.journal.append(work.drafts)
                        self._maybe_die()
                    work.commit()
                return
            except Killed:
                self.kills += 1
                self.book = self._boot()

    def entries(self, stream: str = LEDGER) -> list[Entry]:
        """Every entry of a stream."""
        found: list[Entry] = []
        while (page := self.journal.read(stream, len(found))).entries:
            found += page.entries
        return found

    def latest(self, *, but: str = "") -> dict[str, bytes]:
        """Key → newest body of the ledger stream."""
        return {entry.key: entry.body for entry in self.entries() if entry.key != but}

    def ledgers(self) -> Ledgers:
        """What a reader of the journal sees."""
        view = Ledgers()
        for entry in self.entries():
            view.take(entry.key, entry.body, entry.sequence)
        return view

    def _boot(self) -> Book:
        state = State()
        catch_up(state, self.journal)
        book = Book(self.marks, self.rules)
        book.load(state)
        return book

    def _follow(self) -> None:
        while (page := self.journal.read(POSITIONS, self.book.positions)).entries:
            for entry in page.entries:
                self.book.take(entry)

    def _maybe_die(self) -> None:
        if self._killer is not None and self._killer.random() < self._odds:
            raise Killed


def minutes(start_ms: int, end_ms: int, step_ms: int = MINUTE) -> range:
    """Ticks after one time up to another."""
    return range(start_ms + step_ms, end_ms + 1, step_ms)
