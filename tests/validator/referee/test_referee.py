"""All the rules on one journal, with the ledgers that a worker keeps."""

from __future__ import annotations

from typing import Any

import pytest

from journal.entry import LEDGER, POSITIONS
from journal.fold import catch_up, entries_after
from journal.memory import MemoryJournal
from journal.state import State
from runtime.clock import FakeClock
from runtime.settings import EmissionsSettings, RestSettings, RulesSettings, Settings
from tests.validator.eliminations.arena import drafts, entries, newest_positions, position
from tests.validator.ledger.world import DAY, HOUR, MINUTE, T0, MinuteMarks
from validator.challenge import record
from validator.debt.penalty_record import PREFIX as PENALTY
from validator.eliminations.keeper import rows
from validator.eliminations.requests import request_elimination
from validator.ledger.account import Rules
from validator.ledger.book import Book
from validator.ledger.checkpoint import SPAN_MS, WINDOW_MS
from validator.referee import Referee
from validator.registry import Registry

RULES = Rules(span_ms=SPAN_MS, window_ms=WINDOW_MS, correction_ms=DAY)
PAIR = "O2:FUEL/USDC"


class Worker:
    """Book and referee, turned minute by minute."""

    def __init__(self, journal: MemoryJournal, marks: MinuteMarks, clock: FakeClock, **settings: Any) -> None:
        self.journal, self.marks, self.clock = journal, marks, clock
        self.settings = Settings(**settings)
        self.book = Book(marks, RULES)
        self.referee = Referee(self.settings, journal, marks, self.book, RULES, clock)
        state = State()
        catch_up(state, journal)
        self.book.load(state)
        self.referee.load(state)

    def turn(self) -> None:
        for entry in entries_after(self.journal, POSITIONS, self.book.positions):
            self.book.take(entry)
        now_ms = self.clock.now_ms()
        for work in self.book.work(now_ms - now_ms % MINUTE):
            self.journal.append(work.drafts)
            work.commit()
        self.referee.tick()

    def until(self, at_ms: int, step_ms: int = MINUTE) -> None:
        """Turn until a moment."""
        while self.clock.now_ms() < at_ms:
            self.clock.advance(step_ms / 1000)
            self.turn()


def market(*prices: tuple[int, str]) -> MinuteMarks:
    """Marks at minutes after T0."""
    marks = MinuteMarks()
    for minute, price in prices:
        marks.put(PAIR, T0 + minute * MINUTE + 1, price)
    return marks


def traders(*hotkeys: str, quantity: str = "10000", minute: int = 1) -> MemoryJournal:
    """Each bought at 2 USD on an account of 100,000 USD, and holds."""
    journal = MemoryJournal(clock=FakeClock(T0))
    journal.append(
        drafts(
            *(
                position(hotkey, f"{hotkey}-1", quantity=quantity, opened_ms=T0 + minute * MINUTE)
                for hotkey in hotkeys
            )
        )
    )
    return journal


def test_a_falling_price_ends_a_hotkey_within_a_minute() -> None:
    """20,000 USD held: 0.99 is a loss of 10.1 %, 1.05 one of 9.5 %."""
    journal = traders("a")
    worker = Worker(journal, market((1, "2"), (10, "1.05"), (20, "0.99"), (30, "3")), FakeClock(T0))
    worker.until(T0 + 20 * MINUTE)
    assert rows(worker.referee.registry) == []
    worker.until(T0 + 22 * MINUTE)

    (row,) = rows(worker.referee.registry)
    assert (row.hotkey, row.reason, row.dd) == ("a", "FAILED_CHALLENGE_PERIOD_DRAWDOWN", 10.1)
    assert row.elimination_initiated_time_ms <= T0 + 22 * MINUTE
    assert row.price_info == {PAIR: 0.99}
    (closed,) = newest_positions(journal).values()
    assert closed.orders[-1].price == 0.99
    assert closed.realized_pnl == pytest.approx(-10_100.0)
    worker.until(T0 + 40 * MINUTE)
    assert len(entries(journal, POSITIONS)) == 2


def test_what_was_lost_before_the_validator_came_is_forgiven() -> None:
    """The hotkey comes 20 % down; it stays, and loses another tenth of what was left only later."""
    journal = traders("a")
    clock = FakeClock(T0 + 3 * HOUR)
    worker = Worker(journal, market((1, "2"), (60, "0"), (240, "0.21"), (300, "-0.81")), clock)
    worker.until(T0 + 250 * MINUTE)
    assert rows(worker.referee.registry) == []
    worker.until(T0 + 310 * MINUTE)

    (row,) = rows(worker.referee.registry)
    assert row.reason == "FAILED_CHALLENGE_PERIOD_DRAWDOWN"


def test_rules_that_are_switched_off_eliminate_nobody_but_operators_do() -> None:
    journal = traders("a", "b")
    worker = Worker(journal, market((1, "2"), (10, "0.1")), FakeClock(T0), rules=RulesSettings(enabled=False))
    worker.until(T0 + 30 * MINUTE)
    assert rows(worker.referee.registry) == []
    request_elimination(Registry(journal), "b", T0, "op")
    worker.clock.advance(1.0)
    worker.turn()

    assert [row.hotkey for row in rows(worker.referee.registry)] == ["b"]
    assert worker.referee.challenges.challenges()["a"].bucket == record.CHALLENGE


def test_penalties_are_written_at_every_boundary() -> None:
    journal = traders("a", "b")
    worker = Worker(journal, market((1, "2")), FakeClock(T0))
    worker.until(T0 + 13 * HOUR, 10 * MINUTE)

    keys = [e.key for e in entries(journal, LEDGER) if e.key.startswith((PENALTY, "penalty_through"))]
    assert keys.count("penalty_through") == 3  # at the start and after two spans
    assert {key.split("|")[1] for key in keys if key.startswith(PENALTY)} == {"a", "b"}
    again = Worker(journal, market((1, "2")), worker.clock)
    head = journal.head(LEDGER)
    again.until(worker.clock.now_ms() + 5 * MINUTE)
    assert journal.head(LEDGER) == head


def test_work_can_be_stopped_between_two_hotkeys() -> None:
    journal = traders("a", "b", "c")
    worker = Worker(journal, market((1, "2")), FakeClock(T0))
    worker.until(T0 + 6 * HOUR - 30 * MINUTE, 30 * MINUTE)
    worker.clock.advance(30 * 60)
    for work in worker.book.work(worker.clock.now_ms() // MINUTE * MINUTE):
        journal.append(work.drafts)
        work.commit()
    before = journal.head(LEDGER)
    worker.referee.tick(lambda: False)

    written = [e.key for e in entries(journal, LEDGER)][before:]
    assert [key.split("|")[1] for key in written] == ["a"]


def test_settings_reach_every_part(tmp_path: Any) -> None:
    metagraph = tmp_path / "metagraph.json"
    metagraph.write_text('["a"]')
    source = tmp_path / "emissions.json"
    source.write_text("nonsense")
    worker = Worker(
        traders("a"),
        market((1, "2")),
        FakeClock(T0),
        rest=RestSettings(metagraph_file=str(metagraph)),
        emissions=EmissionsSettings(source=str(source), refresh_s=1),
        rules=RulesSettings(drawdown_percent=1.0),
    )
    worker.until(T0 + 10 * MINUTE)
    metagraph.write_text('["somebody else"]')
    worker.until(T0 + 12 * MINUTE)

    assert [row.reason for row in rows(worker.referee.registry)] == ["ZOMBIE"]
    assert str(worker.referee.facts()["emissions_problem"]).startswith("emissions: ")
    worker.referee.close()
