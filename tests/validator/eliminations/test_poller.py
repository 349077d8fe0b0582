"""A real poller after an elimination: whatever the venue says, nothing of it reaches ``positions`` again."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from journal.entry import ORDERS, POSITIONS
from journal.fold import catch_up
from journal.marks import MarkStore
from journal.memory import MemoryJournal
from journal.state import State
from runtime.clock import FakeClock
from runtime.settings import AccountSettings, VenueSettings
from tests.validator.eliminations.arena import Arena, Prices, entries, newest_orders, newest_positions
from tests.venues.books import FUEL, T0, d, fill, snapshot
from validator.gate import Gate, residuals
from validator.registry import Registry
from venues.model import VenueOrder
from venues.poll import restore
from venues.poller import Poller
from venues.sink import Sink

HOTKEY = "o2:a"


class Bench:
    """A poller that writes through the gate, started from the journal like a process."""

    def __init__(self, journal: MemoryJournal, marks: MarkStore) -> None:
        self.journal, self.marks = journal, marks
        self.start()

    def start(self) -> None:
        state = State()
        catch_up(state, self.journal)
        settings = VenueSettings(accounts=[AccountSettings(account="a", account_size=d(1000))])
        tracked = restore("o2", settings, state)
        sink = Sink(Gate(self.journal, Registry(self.journal, state)), self.marks, "8.8.9")
        venue: Any = _Named()
        self.poller = Poller(venue, venue, settings, tracked, sink, FakeClock(), random.Random(1))

    def see(self, *snapshots: Any) -> None:
        for one in snapshots:
            self.poller.take(self.poller.tracked[0], one)


class _Named:
    """All that the poller asks of a venue when snapshots are handed in."""

    name = "o2"


def order(number: int) -> VenueOrder:
    return VenueOrder(
        order_id=f"r{number}",
        instrument=FUEL.name,
        quantity=d(1),
        price=d(5),
        created_ms=T0 + number * 1000,
        status="open",
    )


def test_a_pollers_changes_never_reach_positions_after_an_elimination(tmp_path: Path) -> None:
    marks = MarkStore(tmp_path / "marks.sqlite3")
    bench = Bench(MemoryJournal(), marks)
    fills = [fill(1, 2, 10)]
    bench.see(snapshot(5, fills, held=2, orders=(order(1),)))
    arena = Arena(bench.journal, Prices(**{"O2:FUEL/USDC": "11"}))
    arena.keeper.eliminate(HOTKEY, "MAX_TOTAL_DRAWDOWN", 10.0, T0 + 6_000)
    heads = bench.journal.heads()
    (closed,) = newest_positions(bench.journal).values()
    assert closed.orders[-1].price == 11.0
    assert residuals(arena.registry, HOTKEY)[0]["quantity"] == "2"

    fills += [fill(7, 3, 12), fill(8, -9, 12)]  # adds, then reverses
    bench.see(
        snapshot(7, fills[:2], held=5, orders=(order(1), order(2))),
        snapshot(8, fills, held=-4, orders=(order(2),), mark=12),
    )
    assert residuals(arena.registry, HOTKEY)[0]["quantity"] == "-4"
    bench.start()  # a poller that is started again reads closed positions and sees them held
    bench.see(*(snapshot(20 + n, fills, held=-4, orders=(order(2), order(3)), mark=13) for n in range(3)))
    assert residuals(arena.registry, HOTKEY)[0]["quantity"] == "-4"
    bench.see(snapshot(30, [*fills, fill(29, 4, 13)], held=0, orders=()), snapshot(31, fills, held=0))
    arena.keeper.tick(T0 + 40_000)

    assert {s: n for s, n in bench.journal.heads().items() if s in (POSITIONS, ORDERS)} == {
        s: n for s, n in heads.items() if s in (POSITIONS, ORDERS)
    }
    assert [one.is_closed_position for one in newest_positions(bench.journal).values()] == [True]
    assert [one.src for one in newest_orders(bench.journal).values()] == [7]
    assert residuals(arena.registry, HOTKEY) == []
    assert marks.latest()["O2:FUEL/USDC"].price == "10"  # prices still come in
    assert bench.poller.tracked[0].status == "ok"
    marks.close()


def test_other_hotkeys_of_the_same_poller_go_on(tmp_path: Path) -> None:
    marks = MarkStore(tmp_path / "marks.sqlite3")
    bench = Bench(MemoryJournal(), marks)
    bench.see(snapshot(5, [fill(1, 2, 10)], held=2))
    Arena(bench.journal).keeper.eliminate("o2:somebody else", "ZOMBIE", None, T0)
    bench.see(snapshot(6, [fill(1, 2, 10), fill(2, 1, 10)], held=3))

    assert len(entries(bench.journal, POSITIONS)) == 2
    marks.close()
