"""The keeper of penalties: each boundary once, whole histories, corrections, and killed in between."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from journal.entry import LEDGER, Appended, Draft, UnavailableError
from journal.fold import catch_up
from journal.memory import MemoryJournal
from journal.state import State
from runtime.settings import RulesSettings
from tests.validator.debt.ledgers import DAY, T0, cp, pass_boundary, perf_draft, run
from tests.validator.eliminations.arena import drafts, entries
from tests.validator.eliminations.arena import position as traded
from validator.challenge import record as challenge
from validator.collateral.accounts import Size
from validator.debt.keeper import PenaltyKeeper, collateral_in
from validator.debt.penalty_record import PREFIX, RENEW_MS, History, PenaltyRecord, read_penalty
from validator.eliminations.index import Index
from validator.ledger.account import Rules
from validator.ledger.checkpoint import SPAN_MS, WINDOW_MS
from validator.registry import ABSENT, Registry

RULES = Rules(span_ms=SPAN_MS, window_ms=WINDOW_MS, correction_ms=DAY)


class Desk:
    """A penalty keeper on a journal, started from its State like a worker."""

    def __init__(self, journal: MemoryJournal, *, usd: float | None = None, **settings: Any) -> None:
        self.journal = journal
        state = State()
        catch_up(state, journal)
        self.registry = Registry(journal, state)
        self.index = Index(journal)
        self.usd = usd
        self.keeper = PenaltyKeeper(
            self.index,
            self.registry,
            journal,
            RULES,
            RulesSettings(**settings),
            lambda hotkey, ms: self.usd,
        )
        self.index.load(state)

    def turn(self, steps: int | None = None) -> None:
        """Write what is due; ``steps``: stop after so many hotkeys."""
        self.index.catch_up()
        for n, _ in enumerate(self.keeper.tick(), 1):
            if n == steps:
                return


def records(journal: MemoryJournal) -> list[PenaltyRecord]:
    """Every record that was written, in order."""
    return [read_penalty(e.body) for e in entries(journal, LEDGER) if e.key.startswith(PREFIX)]


def history(journal: MemoryJournal, hotkey: str = "a") -> History:
    return History(one for one in records(journal) if one.hotkey == hotkey)


def journal_with(*mdds: float, hotkeys: str = "a") -> MemoryJournal:
    """Hotkeys whose spans had these drawdowns; the boundary after the last one has been passed."""
    journal = MemoryJournal()
    for hotkey in hotkeys:
        journal.append(
            [perf_draft(hotkey, cp(T0 + (n + 1) * SPAN_MS, mdd=mdd)) for n, mdd in enumerate(mdds)]
        )
    pass_boundary(journal, T0 + len(mdds) * SPAN_MS)
    return journal


def test_a_record_is_written_where_a_penalty_changed() -> None:
    journal = journal_with(1.0, 1.0, 0.95, 0.85, 0.99)
    Desk(journal).turn()

    assert [(one.end_ms - T0) // SPAN_MS for one in records(journal)] == [4, 1]  # newest first
    found = history(journal)
    assert [found.at(T0 + n * SPAN_MS).values.drawdown for n in (1, 2, 3, 4, 5)] == [1, 1, 1, 0, 0]  # type: ignore[union-attr]
    assert found.at(T0) is None


def test_a_boundary_is_done_once() -> None:
    journal = journal_with(1.0, 1.0)
    desk = Desk(journal)
    desk.turn()
    head = journal.head(LEDGER)
    desk.turn()
    Desk(journal).turn()

    assert journal.head(LEDGER) == head


def test_what_is_registered_when_a_span_ends_holds_for_it_for_ever() -> None:
    journal = journal_with(1.0)
    desk = Desk(journal, usd=200_000.0)
    desk.turn()
    desk.usd = 100.0
    journal.append([perf_draft("a", cp(T0 + 2 * SPAN_MS))])
    pass_boundary(journal, T0 + 2 * SPAN_MS)
    desk.turn()
    Desk(journal, usd=5e6).turn()  # started again, with the two spans behind it

    found = history(journal)
    assert [found.at(T0 + n * SPAN_MS).values.min_collateral for n in (1, 2)] == [1.0, 0.01]  # type: ignore[union-attr]


def test_a_bucket_is_that_of_the_spans_end() -> None:
    journal = journal_with(1.0, 1.0, 1.0)
    one = challenge.admitted("a", challenge.CHALLENGE, T0 + SPAN_MS + 1)
    one = challenge.moved(one, challenge.MAINCOMP, T0 + 3 * SPAN_MS, T0 + 3 * SPAN_MS)
    Registry(journal).put(challenge.key_of("a"), challenge.encode(one), expected=ABSENT)
    Desk(journal).turn()

    found = history(journal)
    status = [found.at(T0 + n * SPAN_MS).values.challenge_period_status for n in (1, 2, 3)]  # type: ignore[union-attr]
    assert status == ["unknown", "CHALLENGE", "MAINCOMP"]


def test_a_long_time_without_change_is_renewed() -> None:
    journal = journal_with(*[1.0] * (70 * 4))
    Desk(journal).turn()

    ends = sorted(one.end_ms for one in records(journal))
    assert len(ends) == 3
    assert all(later - one == RENEW_MS for one, later in pairwise(ends))


def test_a_corrected_span_is_looked_at_again() -> None:
    journal = journal_with(1.0, 1.0, 1.0)
    desk = Desk(journal)
    desk.turn()
    journal.append([perf_draft("a", cp(T0 + 2 * SPAN_MS, mdd=0.8))])
    desk.turn()

    found = history(journal)
    assert [found.at(T0 + n * SPAN_MS).values.drawdown for n in (1, 2, 3)] == [1, 0, 0]  # type: ignore[union-attr]


def test_a_correction_just_before_a_restart_is_not_overlooked() -> None:
    journal = journal_with(1.0, 1.0, 1.0)
    Desk(journal).turn()
    journal.append([perf_draft("a", cp(T0 + 2 * SPAN_MS, mdd=0.8))])
    Desk(journal).turn()

    assert history(journal).at(T0 + 2 * SPAN_MS).values.drawdown == 0  # type: ignore[union-attr]


def test_a_hotkey_that_comes_later_gets_its_whole_history() -> None:
    journal = journal_with(1.0, 1.0, 1.0)
    desk = Desk(journal)
    desk.turn()
    journal.append([perf_draft("b", one) for one in run(2, mdd=0.5)])
    desk.turn()

    assert history(journal, "b").at(T0 + SPAN_MS).values.drawdown == 0  # type: ignore[union-attr]


def test_positions_enter_as_they_were() -> None:
    journal = journal_with(*[1.0] * 8)
    journal.append(drafts(traded("a", "p1", opened_ms=T0 + 1)))
    desk = Desk(journal)
    desk.turn()

    assert desk.index.hotkeys() == ["a"]
    assert len(records(journal)) == 1


class Dying(MemoryJournal):
    """A journal whose writer dies at a given append."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        if self.left == 0:
            raise UnavailableError("killed")
        self.left = None if self.left is None else self.left - 1
        return super().append(drafts)


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_any_append_the_result_is_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the writer dies, and wherever: afterwards every span has the penalties of one run."""
    monkeypatch.setattr("validator.debt.keeper.DRAFTS_PER_APPEND", 2)
    rng = random.Random(seed)
    mdds = [rng.choice([1.0, 0.95, 0.92]) for _ in range(30)] + [0.8] + [1.0] * 10
    plain, dying = journal_with(*mdds, hotkeys="abc"), Dying()
    buckets = challenge.admitted("a", challenge.CHALLENGE, T0)
    for n in range(1, 40):
        bucket = challenge.MAINCOMP if n % 2 else challenge.PROBATION
        buckets = challenge.moved(buckets, bucket, T0 + n * SPAN_MS, T0 + n * SPAN_MS)
    for journal in (plain, dying):
        if journal is dying:
            for entry in entries(plain, LEDGER):
                journal.append([Draft(LEDGER, entry.key, entry.body)])
        Registry(journal).put(challenge.key_of("a"), challenge.encode(buckets), expected=ABSENT)
    Desk(plain).turn()
    for _ in range(60):
        dying.left = rng.randrange(4)
        try:
            Desk(dying).turn(rng.choice([1, 2, None]))
        except UnavailableError:
            continue
    dying.left = None
    Desk(dying).turn()

    for hotkey in "abc":
        one, other = history(plain, hotkey), history(dying, hotkey)
        for n in range(1, len(mdds) + 1):
            expected, found = one.at(T0 + n * SPAN_MS), other.at(T0 + n * SPAN_MS)
            assert expected is not None
            assert found is not None
            assert found.values == expected.values, (hotkey, n)


def test_collateral_is_that_of_the_day() -> None:
    sizes = {
        "a": [
            Size(100_000.0, 0.0, T0, T0),  # reported by a venue: nobody was asked for collateral
            Size(150_000.0, 300.0, T0 + 1, T0 + DAY),
            Size(500_000.0, 1000.0, T0 + DAY + 1, T0 + 2 * DAY),
        ],
        "b": [Size(1.0, 0.0, T0, T0)],
    }
    registry, asked = Registry(MemoryJournal()), []

    def read() -> dict[str, list[Size]]:
        asked.append(1)
        return sizes

    collateral = collateral_in(registry, read)
    days = [collateral("a", T0 + n * DAY + 5) for n in range(4)]
    assert days == [None, 150_000.0, 500_000.0, 500_000.0]
    assert collateral("b", T0 + 9 * DAY) is None
    assert len(asked) == 1
    registry.put("x|1", b"1", expected=ABSENT)
    collateral("a", T0)
    assert len(asked) == 2
