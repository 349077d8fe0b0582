"""What every venue promises, shown for each against its own sandbox over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from runtime.clock import FakeClock, SystemClock
from runtime.settings import VenueSettings
from tests.venues.serving import serving
from validator.positions import rebuild
from venues import capture
from venues.book import AccountBook
from venues.errors import Broken, Rejected, Retryable
from venues.faults import Faults, Kind
from venues.model import Snapshot
from venues.venue import NAMES, Venue, VenueClient, load
from venues.world import DAY_MS, HISTORY_DAYS

ORIGIN_MS = 1_748_000_000_000 // 3_600_000 * 3_600_000
START_MS = ORIGIN_MS + HISTORY_DAYS * DAY_MS
HARMLESS = {"slow", "duplicates", "reorder"}  # an answer may still be usable
OUTSIDE = (Retryable, Rejected, Broken)


@dataclass
class Room:
    """One venue, its sandbox on a port, and a clock that stands still unless moved."""

    venue: Venue
    settings: VenueSettings
    clock: FakeClock
    faults: Faults
    client: VenueClient

    def look(self, number: int = 0, since_ms: int | None = None) -> Snapshot:
        payload = self.client.fetch(self.settings.accounts[number], since_ms)
        return self.venue.normalise(payload)

    def book(self, number: int = 0) -> AccountBook:
        account = self.settings.accounts[number].account
        return AccountBook(self.venue.name, account, f"{self.venue.name}:{account}", Decimal(100_000))


@pytest.fixture(scope="module", params=NAMES)
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    venue, clock = load(request.param), FakeClock(START_MS)
    sandbox = venue.sandbox(seed=7, accounts=2, origin_ms=ORIGIN_MS, clock=clock)
    faults = Faults(seed=7)
    faults.install(sandbox.app)
    with serving(sandbox.app) as url:
        settings = sandbox.settings(url, tmp_path_factory.mktemp("secrets"))
        client = venue.client(settings, clock)
        yield Room(venue, settings, clock, faults, client)
        client.close()


def test_each_account_has_open_positions_and_older_closed_ones(room: Room) -> None:
    for number in range(2):
        positions = room.book(number).plan(room.look(number)).positions
        old = [p for p in positions if p.close_ms and p.close_ms < START_MS - DAY_MS]

        assert any(not p.is_closed_position for p in positions)
        assert len(old) >= 2


def test_fills_explain_the_holdings(room: Room) -> None:
    for number in range(2):
        snapshot = room.look(number)
        plan = room.book(number).plan(snapshot)

        assert snapshot.fills
        assert plan.suspects == {}


def test_the_same_answer_twice_changes_nothing(room: Room) -> None:
    book = room.book()
    book.commit(book.plan(room.look()))
    again = book.plan(room.look(since_ms=book.since_ms()))

    assert again.positions == []
    assert again.orders == []
    assert again.suspects == {}


def test_time_brings_changes_and_a_late_reader_sees_the_same(room: Room) -> None:
    """Polling often and polling rarely end in the same positions."""
    often, rarely = room.book(), room.book()
    first = room.look()
    for book in (often, rarely):
        book.commit(book.plan(first))
    changes = 0
    for _ in range(10):
        room.clock.advance(20)
        plan = often.plan(room.look(since_ms=often.since_ms()))
        often.commit(plan)
        changes += len(plan.positions)
    rarely.commit(rarely.plan(room.look(since_ms=rarely.since_ms())))

    assert changes > 0
    assert quantities(often) == quantities(rarely)


def quantities(book: AccountBook) -> dict[str, str | None]:
    return {lot: p.venue.quantity for lot, p in book.lots.items() if p.venue and not p.is_closed_position}


def test_every_history_obeys_the_rebuild_law(room: Room) -> None:
    for position in room.book().plan(room.look()).positions:
        again = rebuild(
            position.miner_hotkey,
            position.orders,
            position.trade_pair,
            position.account_size,
            position_uuid=position.position_uuid,
        )
        assert again.net_quantity == pytest.approx(position.net_quantity, abs=1e-9)
        assert again.average_entry_price == pytest.approx(position.average_entry_price, rel=1e-9, abs=1e-9)
        assert again.realized_pnl == pytest.approx(position.realized_pnl, rel=1e-9, abs=1e-9)


def test_marks_value_everything_that_is_open(room: Room) -> None:
    snapshot = room.look()
    marked = {mark.instrument for mark in snapshot.marks}

    assert {holding.instrument for holding in snapshot.holdings} <= marked
    assert snapshot.equity_usd is not None
    assert snapshot.equity_usd > 0


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_fault_is_an_error_of_ours_or_harmless_and_never_a_phantom(room: Room, kind: Kind) -> None:
    client = room.venue.client(quick(room.settings), SystemClock())
    book = room.book()
    book.commit(book.plan(room.look()))
    before = quantities(book)
    room.faults.arm(kind, count=-1, value=0.4 if kind == "timeout" else 0.01 if kind == "slow" else None)
    try:
        for _ in range(2):  # twice: a holding that disagrees is believed the second time
            book.commit(book.plan(room.venue.normalise(client.fetch(room.settings.accounts[0], None))))
        failed = False
    except OUTSIDE:
        failed = True
    finally:
        room.faults.clear()
        client.close()

    assert failed or kind in HARMLESS
    assert quantities(book) == before


def quick(settings: VenueSettings) -> VenueSettings:
    from msgspec.structs import replace

    return replace(settings, timeout_s=0.2, requests_per_s=1000.0)


def test_a_capture_gives_the_same_snapshot(room: Room, tmp_path: Path) -> None:
    payload = room.client.fetch(room.settings.accounts[0], None)
    capture.write(tmp_path, payload)
    (again,) = capture.read(tmp_path)

    assert again == payload
    assert room.venue.normalise(again) == room.venue.normalise(payload)
