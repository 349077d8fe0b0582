"""The poller with a scripted venue: isolation, quarantine, a journal that is full, and a mark that moves."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from journal.entry import MARKS, ORDERS, POSITIONS, REGISTRY, Draft, UnavailableError
from journal.marks import MarkStore
from journal.memory import MemoryJournal
from runtime.clock import FakeClock, SystemClock
from runtime.settings import AccountSettings, VenueSettings
from tests.venues.books import d, fill, snapshot
from venues.book import AccountBook
from venues.breaker import Cadence
from venues.errors import Broken, Retryable, VenueError
from venues.model import Payload, Snapshot
from venues.poller import Poller, Tracked
from venues.sink import Sink


@dataclass
class ScriptedVenue:
    """Plays venue and client: each account answers with the next item of its script; the last repeats."""

    name: str = "o2"
    script: dict[str, list[Snapshot | Exception]] = field(default_factory=dict)
    asked: list[tuple[str, int | None]] = field(default_factory=list)

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        self.asked.append((account.account, since_ms))
        return Payload(venue=self.name, account=account.account, observed_ms=0)

    def normalise(self, payload: Payload) -> Snapshot:
        answers = self.script[payload.account]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        pass


class Bench:
    """A poller over in-memory history."""

    def __init__(self, tmp_path: Path, **script: list[Snapshot | Exception]) -> None:
        self.venue = ScriptedVenue(script=script)
        self.journal = MemoryJournal()
        self.marks = MarkStore(tmp_path / "marks.sqlite3")
        self.clock = FakeClock()
        rng = random.Random(1)
        tracked = [
            Tracked(
                AccountSettings(account=name), AccountBook("o2", name, f"o2:{name}", d(1000)), Cadence(5, rng)
            )
            for name in script
        ]
        sink = Sink(self.journal, self.marks, "8.8.9")
        self.poller = Poller(self.venue, self.venue, VenueSettings(), tracked, sink, self.clock, rng)  # type: ignore[arg-type]

    def poll(self, name: str) -> float:
        tracked = next(t for t in self.poller.tracked if t.settings.account == name)
        return self.poller.take(tracked, self.poller.poll(tracked))

    def status(self, name: str) -> str:
        return next(t.status for t in self.poller.tracked if t.settings.account == name)

    def sequences(self, stream: str = POSITIONS) -> list[int]:
        return [entry.sequence for entry in self.journal.read(stream, 0).entries]


def test_positions_orders_sizes_and_marks_become_durable(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a=[snapshot(5, [fill(1, 2, 10)], held=2, equity_usd=d("5000"))])
    bench.poll("a")

    assert bench.sequences() == [1]
    assert bench.sequences(REGISTRY) == [1]
    assert bench.journal.read(REGISTRY, 0).entries[0].key == "account_size|o2:a"
    assert list(bench.marks.latest()) == ["O2:FUEL/USDC"]
    assert bench.sequences(ORDERS) == []


def test_a_moving_mark_appends_nothing_but_is_kept(tmp_path: Path) -> None:
    fills = [fill(1, 2, 10)]
    bench = Bench(tmp_path, a=[snapshot(5 + n, fills, held=2, mark=10 + n) for n in range(5)])
    for _ in range(5):
        bench.poll("a")

    assert bench.sequences() == [1]
    assert bench.marks.latest()["O2:FUEL/USDC"].price == "14"
    assert MARKS not in {entry.stream for entry in bench.journal.read(POSITIONS, 0).entries}


def test_one_two_one_is_three_entries(tmp_path: Path) -> None:
    fills = [fill(1, 1, 10), fill(2, 1, 10), fill(3, -1, 10)]
    bench = Bench(tmp_path, a=[snapshot(n, fills[:n], held=held) for n, held in ((1, 1), (2, 2), (3, 1))])
    for _ in range(4):
        bench.poll("a")

    assert bench.sequences() == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Broken("orders[3].price", "decimal", "null"), "quarantined"),
        (Retryable("slow"), "retrying"),
        (KeyError("size"), "quarantined"),
        (RecursionError("deep"), "quarantined"),
    ],
)
def test_a_bad_account_stands_alone_and_comes_back(tmp_path: Path, error: Exception, status: str) -> None:
    good = snapshot(5, [fill(1, 2, 10)], held=2)
    bench = Bench(tmp_path, bad=[good, error, good], fine=[good])
    bench.poll("bad")
    bench.poll("bad")
    bench.poll("fine")

    assert bench.status("bad") == status
    assert bench.status("fine") == "ok"
    assert str(error.args[0]) in bench.poller.facts()["unwell"]["o2:bad"]["message"]  # type: ignore[index]
    assert bench.sequences() == [1, 2], "the last good state stays"

    bench.poll("bad")

    assert bench.status("bad") == "ok"


def test_a_full_journal_loses_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a=[snapshot(5, [fill(1, 2, 10)], held=2)])
    append: Callable[[list[Draft]], object] = bench.journal.append

    def full(drafts: list[Draft]) -> object:
        raise UnavailableError("disk full")

    bench.journal.append = full  # type: ignore[assignment,method-assign]
    bench.poll("a")

    assert bench.status("a") == "retrying"

    bench.journal.append = append  # type: ignore[assignment,method-assign]
    bench.poll("a")

    assert bench.sequences() == [1]


def test_asks_for_everything_first_and_then_only_for_what_is_new(tmp_path: Path) -> None:
    bench = Bench(tmp_path, a=[snapshot(5, [fill(1, 2, 10)], held=2)])
    bench.poll("a")
    bench.poll("a")

    assert bench.venue.asked[0] == ("a", None)
    assert bench.venue.asked[1][1] == fill(1, 2, 10).time_ms - 10 * 60_000


def test_runs_many_accounts_and_stops(tmp_path: Path) -> None:
    """The real loop, with threads: every account is polled, a failing one does not stop the others."""
    good = snapshot(5, [fill(1, 2, 10)], held=2)
    script: dict[str, list[Snapshot | Exception]] = {f"a{n}": [good] for n in range(30)}
    script["bad"] = [Broken("x", "y", "z")]
    bench = Bench(tmp_path, **script)
    tracked = bench.poller.tracked
    poller = Poller(
        bench.venue,  # type: ignore[arg-type]
        bench.venue,
        VenueSettings(poll_interval_s=0.05),
        tracked,
        Sink(bench.journal, bench.marks, "8.8.9"),
        SystemClock(),
    )
    done = threading.Event()
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)
        if all(t.status != "starting" for t in tracked) or len(beats) > 500:
            done.set()

    poller.run(done.is_set, beat)

    assert {t.status for t in tracked} == {"ok", "quarantined"}
    assert bench.sequences() == list(range(1, 31))


def test_an_open_breaker_leaves_the_venue_alone(tmp_path: Path) -> None:
    error: VenueError = Retryable("503")
    bench = Bench(tmp_path, **{f"a{n}": [error] for n in range(6)})
    for n in range(6):
        bench.poll(f"a{n}")

    assert bench.poller.breaker.is_open
    assert bench.poller.facts()["breaker_open"] is True
