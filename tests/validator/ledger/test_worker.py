"""The worker: settles minutes, survives refusals, and ``kill -9`` at any moment changes nothing it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from journal.entry import LEDGER, POSITIONS, Appended, Draft, UnavailableError
from journal.layout import open_journal, open_marks
from journal.marks import MarkStore
from journal.sqlite import SqliteJournal
from runtime.clock import FakeClock
from runtime.settings import Settings, ValidatorSettings
from runtime.worker import Worker
from tests.validator.ledger.stage import RULES, Stage
from tests.validator.ledger.world import (
    DAY,
    HOUR,
    MINUTE,
    T0,
    VENUE_PAIRS,
    MinuteMarks,
    history,
    order,
    position,
    walk,
)
from validator.ledger.record import THROUGH_KEY, read_through
from validator.ledger.view import Ledgers
from validator.worker import Keeper, rules_of
from vanta_api.records import MarkMessage, Position, PositionMessage, encode

ROOT = Path(__file__).resolve().parents[3]
SEED = 20250605
PAIR = "O2:FUEL/USDC"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0 + HOUR)


@pytest.fixture
def worker(tmp_path: Path, clock: FakeClock) -> Worker:
    return Worker("validator", Settings(data_dir=tmp_path), clock)


@pytest.fixture
def journal(worker: Worker, clock: FakeClock) -> Iterator[SqliteJournal]:
    opened = open_journal(worker.settings, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def marks(worker: Worker) -> Iterator[MarkStore]:
    opened = open_marks(worker.settings)
    yield opened
    opened.close()


def put(journal: SqliteJournal, record: Position) -> None:
    body = encode(PositionMessage(position=record))
    journal.append([Draft(POSITIONS, f"{record.miner_hotkey}|{record.position_uuid}", body)])


def bodies(journal: SqliteJournal) -> dict[str, bytes]:
    """Key → newest body of the ledger stream."""
    found: dict[str, bytes] = {}
    after = 0
    while (page := journal.read(LEDGER, after)).entries:
        found |= {entry.key: entry.body for entry in page.entries}
        after = page.entries[-1].sequence
    return found


def ledgers(journal: SqliteJournal) -> Ledgers:
    view = Ledgers()
    for number, (key, body) in enumerate(bodies(journal).items()):
        view.take(key, body, number)
    return view


def opened(price: str = "100") -> Position:
    return position("hk", PAIR, [order(PAIR, "100", price, T0 + 30 * MINUTE, "a")])


def test_a_minute_is_counted_when_it_had_time_to_settle(
    worker: Worker, journal: SqliteJournal, marks: MarkStore, clock: FakeClock
) -> None:
    keeper = Keeper(worker, journal, marks)
    keeper.load()
    put(journal, opened())
    marks.put([mark("110", T0 + HOUR - 5_000)])
    assert keeper.turn()
    assert keeper.book.tick_ms == T0 + HOUR - MINUTE
    assert keeper.book.accounts["hk"].value() == (1.0, 1.0)

    clock.advance(45)
    keeper.turn()

    assert keeper.book.tick_ms == T0 + HOUR
    assert keeper.book.accounts["hk"].value() == pytest.approx((1.01, 1.0))


def mark(price: str, ms: int) -> MarkMessage:
    return MarkMessage(trade_pair_id=PAIR, venue="o2", instrument="FUEL/USDC", price=price, time_ms=ms)


def test_boundaries_are_written_once_all_have_passed_them(
    worker: Worker, journal: SqliteJournal, marks: MarkStore, clock: FakeClock
) -> None:
    keeper = Keeper(worker, journal, marks)
    keeper.load()
    put(journal, opened())
    keeper.turn()
    clock.advance(5 * 3600 + 44)
    keeper.turn()
    assert read_through(bodies(journal)[THROUGH_KEY]).end_ms == T0
    clock.advance(1)
    keeper.turn()

    assert read_through(bodies(journal)[THROUGH_KEY]).end_ms == T0 + 6 * HOUR
    bundle = ledgers(journal).bundle("hk")
    assert bundle is not None
    assert [one.open_ms for one in bundle["portfolio"].cps] == [6 * HOUR - 30 * MINUTE]


class RefusingJournal:
    """A journal that refuses a few appends, as a full disk does."""

    def __init__(self, journal: SqliteJournal, refusals: int) -> None:
        self._journal, self.refusals = journal, refusals

    def append(self, drafts: list[Draft]) -> list[Appended]:
        self.refusals -= 1
        if self.refusals >= 0:
            raise UnavailableError("no room left")
        return self._journal.append(drafts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def test_a_journal_that_refuses_is_tried_again(
    worker: Worker, journal: SqliteJournal, marks: MarkStore, clock: FakeClock
) -> None:
    put(journal, opened())
    clock.advance(20 * 3600)
    keeper = Keeper(worker, RefusingJournal(journal, 2), marks)  # type: ignore[arg-type]
    keeper.load()

    assert [keeper.turn() for _ in range(3)] == [False, False, True]
    assert len(bodies(journal)) == 4


def test_a_replica_writes_nothing_until_it_is_promoted(
    tmp_path: Path, worker: Worker, journal: SqliteJournal, marks: MarkStore, clock: FakeClock
) -> None:
    copy = SqliteJournal.open_at(
        tmp_path / "copy" / "j.sqlite3", journal.heads(), journal.epoch(), clock=clock
    )
    keeper = Keeper(worker, copy, marks)

    assert not keeper.turn()
    copy.promote()
    assert keeper.turn()
    assert THROUGH_KEY in bodies_after(copy)
    copy.close()


def bodies_after(journal: SqliteJournal) -> dict[str, bytes]:
    page = journal.read(LEDGER, journal.epoch().first[LEDGER] - 1)
    return {entry.key: entry.body for entry in page.entries}


def test_the_rules_are_the_settings() -> None:
    settings = ValidatorSettings(checkpoint_hours=12, window_days=90, correction_hours=12.5)
    rules = rules_of(settings)

    assert (rules.span_ms, rules.window_ms, rules.correction_ms) == (12 * HOUR, 90 * DAY, 45_000_000)


class ValidatorProcess:
    """``python -m validator`` on a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._errors = (data_dir / "stderr").open("ab")
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "validator", f"--data-dir={data_dir}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "VANTA_VALIDATOR__SETTLE_S": "0"},
        )

    def ready(self) -> dict[str, Any]:
        """Its readiness line."""
        assert self.popen.stdout is not None
        facts: dict[str, Any] = json.loads(self.popen.stdout.readline())
        return facts

    def end(self, number: int) -> int:
        """Send a signal; the exit code."""
        self.popen.send_signal(number)
        code = self.popen.wait(20)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        self._errors.close()
        return code


def furnish(data_dir: Path, hotkeys: int) -> tuple[MinuteMarks, list[Position]]:
    """A journal and marks of the last days, and what they hold."""
    now_ms = int(time.time() * 1000)
    start_ms = now_ms // DAY * DAY - 3 * DAY
    rng = Random(SEED)
    found = walk(rng, VENUE_PAIRS, start_ms, now_ms - HOUR, gaps=0.5)
    last: dict[str, Position] = {}
    for number in range(hotkeys):
        for _, one in history(rng, found, f"hk{number:03d}", VENUE_PAIRS, start_ms, now_ms - 7 * HOUR):
            last[one.position_uuid] = one
    settings = Settings(data_dir=data_dir)
    journal, marks = open_journal(settings), open_marks(settings)
    records = list(last.values())
    for first in range(0, len(records), 200):
        journal.append(
            [
                Draft(
                    POSITIONS,
                    f"{one.miner_hotkey}|{one.position_uuid}",
                    encode(PositionMessage(position=one)),
                )
                for one in records[first : first + 200]
            ]
        )
    for pair in VENUE_PAIRS:
        marks.put(list(found.history(pair, 0, now_ms)))
    marks.close()
    journal.close()
    return found, records


def is_unfinished(data_dir: Path) -> bool:
    """Whether something is written, but not all of it."""
    journal = open_journal(Settings(data_dir=data_dir))
    written = bodies(journal)
    journal.close()
    return bool(written) and THROUGH_KEY not in written


@pytest.mark.timeout(180)
def test_killed_at_random_it_writes_what_one_that_lives_would(tmp_path: Path) -> None:
    kills = int(os.environ.get("VANTA_SOAK_VALIDATOR_KILLS", "6"))
    marks, records = furnish(tmp_path, 40)
    rng = Random(SEED)
    interrupted = 0
    for number in range(5 * kills):
        if number >= kills and interrupted:
            break
        process = ValidatorProcess(tmp_path)
        process.ready()
        time.sleep(rng.uniform(0.0, 0.25))  # the moment of the kill: anything will do
        process.end(signal.SIGKILL)
        interrupted += is_unfinished(tmp_path)
    print(f"seed {SEED}, {kills} kills, {interrupted} in the middle of writing")
    assert interrupted
    process = ValidatorProcess(tmp_path)
    process.ready()
    journal = open_journal(Settings(data_dir=tmp_path))
    deadline = time.monotonic() + 60
    while THROUGH_KEY not in bodies(journal) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.end(signal.SIGTERM) == 0
    written = bodies(journal)
    journal.close()
    through = read_through(written.pop(THROUGH_KEY))
    calm = Stage(marks, RULES)
    for one in records:
        calm.append(one)
    calm.turn(through.end_ms)

    assert written == calm.latest(but=THROUGH_KEY)
    assert through.positions == len(records)
    beat = msgspec.json.decode((tmp_path / "run" / "validator.json").read_bytes())
    assert beat["hotkeys"] == 40
    assert beat["problem"] is None
