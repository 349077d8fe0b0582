"""The gate of eliminated hotkeys: what passes, what is turned away, and races."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from journal.entry import (
    ANY,
    ORDERS,
    POSITIONS,
    REGISTRY,
    Appended,
    ConflictError,
    Draft,
    Journal,
    UnavailableError,
)
from journal.fold import catch_up, entries_after
from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from journal.state import State
from tests.validator.make import O2_PAIR, T0, fill
from validator import eliminated
from validator.eliminated import Elimination, EliminationMessage
from validator.gate import Gate, residuals
from validator.positions import identity, rebuild
from validator.registry import ABSENT, Registry
from vanta_api.records import PositionMessage, VenueFacts, encode


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """Both stores."""
    store = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.sqlite3")
    yield store
    store.close()


def position_draft(hotkey: str, uuid: str, quantity: str = "1", seen_ms: int = T0) -> Draft:
    """What a poller appends."""
    venue = VenueFacts(name="o2", account="a1", instrument="FUEL/USDC", observed_ms=seen_ms)
    record = rebuild(hotkey, [fill(quantity, "2", T0)], O2_PAIR, 1e5, position_uuid=uuid, venue=venue)
    return Draft(
        POSITIONS, f"{hotkey}|{uuid}", encode(PositionMessage(position=record)), identity(record), ANY
    )


def eliminate(registry: Registry, hotkey: str) -> None:
    """Decide it."""
    row = Elimination(hotkey=hotkey, reason="test", elimination_initiated_time_ms=T0)
    body = encode(EliminationMessage(elimination=row))
    registry.put(eliminated.key_of(hotkey), body, expected=ABSENT)


def test_everything_passes_while_nobody_is_out(journal: Journal) -> None:
    gate = Gate(journal, Registry(journal))
    drafts = [position_draft("a", "1"), Draft(ORDERS, "a|9", b"{}"), position_draft("b", "2")]

    assert gate.append(drafts) == [
        Appended(POSITIONS, 1, True),
        Appended(ORDERS, 1, True),
        Appended(POSITIONS, 2, True),
    ]
    assert [done.is_new for done in gate.append(drafts)] == [False, False, False]
    assert journal.head(REGISTRY) == 0
    assert gate.append([]) == []


def test_an_eliminated_hotkeys_positions_become_residuals(journal: Journal) -> None:
    registry = Registry(journal)
    gate = Gate(journal, registry)
    eliminate(registry, "a")
    done = gate.append([position_draft("a", "1"), position_draft("b", "2"), Draft(ORDERS, "a|9", b"{}")])

    assert done == [Appended(POSITIONS, 0, False), Appended(POSITIONS, 1, True), Appended(ORDERS, 1, True)]
    assert [entry.key for entry in journal.read(POSITIONS, 0).entries] == ["b|2"]
    assert residuals(registry, "a") == [
        {
            "position_uuid": "1",
            "trade_pair_id": O2_PAIR[0],
            "venue": "o2",
            "account": "a1",
            "quantity": "1",
            "average_entry_price": "2",
            "is_closed": False,
            "observed_ms": T0,
        }
    ]
    assert residuals(registry, "b") == []


def test_a_residual_is_noted_again_only_when_it_changed(journal: Journal) -> None:
    registry = Registry(journal)
    gate = Gate(journal, registry)
    eliminate(registry, "a")
    for quantity, seen_ms in (("1", T0), ("1", T0 + 5), ("2", T0 + 6)):
        gate.append([position_draft("a", "1", quantity, seen_ms)])

    assert journal.head(REGISTRY) == 3  # the elimination and two residuals
    assert [one["quantity"] for one in residuals(registry, "a")] == ["2"]


def test_blocked_is_what_registry_and_state_say(journal: Journal) -> None:
    registry, state = Registry(journal), State()
    eliminate(registry, "a_1")
    catch_up(state, journal)

    for facts in (registry, state):
        assert eliminated.is_blocked(facts, "a_1")
        assert not eliminated.is_blocked(facts, "a")
        assert not eliminated.is_blocked(facts, "a_10")
    row = eliminated.elimination_of(registry, "a_1")
    assert row is not None
    assert (row.reason, row.dd) == ("test", None)
    assert eliminated.elimination_of(registry, "a") is None


class Sluggish:
    """A journal that lets somebody else write just before each append."""

    def __init__(self, journal: Journal, first: Sequence[str]) -> None:
        self._journal, self._waiting = journal, list(first)

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        if self._waiting:
            eliminate(Registry(self._journal), self._waiting.pop(0))
        return self._journal.append(drafts)

    def close(self) -> None:
        pass


def test_an_elimination_between_look_and_write_still_counts(journal: Journal) -> None:
    gate = Gate(Sluggish(journal, ["b", "a"]), Registry(journal))
    done = gate.append([position_draft("a", "1"), position_draft("b", "1"), position_draft("c", "1")])

    assert [one.is_new for one in done] == [False, False, True]
    assert [entry.key for entry in journal.read(POSITIONS, 0).entries] == ["c|1"]


def test_a_conflict_of_the_callers_own_is_the_callers(journal: Journal) -> None:
    gate = Gate(journal, Registry(journal))
    stale = Draft(POSITIONS, "a|1", b"{}", expected_last=7)
    with pytest.raises(ConflictError):
        gate.append([stale])
    with pytest.raises(ConflictError):
        gate.append([Draft(ORDERS, "a|1", b"{}", expected_last=7)])


def test_a_replica_takes_nothing() -> None:
    source = MemoryJournal()
    replica = MemoryJournal.open_at(source.heads(), source.epoch())
    with pytest.raises(UnavailableError):
        Gate(replica, Registry(replica)).append([position_draft("a", "1")])


def test_after_the_elimination_is_durable_no_position_follows(tmp_path: Path) -> None:
    """Three writers hammer while their hotkeys are eliminated: each stream of positions ends right there."""
    path = tmp_path / "journal.sqlite3"
    journal = SqliteJournal(path)
    hotkeys, stop = ["a", "b", "c"], threading.Event()

    def write(hotkey: str) -> None:
        own = SqliteJournal(path)
        gate, count = Gate(own, Registry(own)), 0
        while not stop.is_set():
            count += 1
            gate.append([position_draft(hotkey, str(count))])
        own.close()

    threads = [threading.Thread(target=write, args=(hotkey,)) for hotkey in hotkeys]
    for thread in threads:
        thread.start()
    registry, heads = Registry(journal), {}
    for number, hotkey in enumerate(hotkeys):
        while journal.head(POSITIONS) < 20 * (number + 1):
            pass
        eliminate(registry, hotkey)
        heads[hotkey] = journal.head(POSITIONS)
    stop.set()
    for thread in threads:
        thread.join(30)
    entries = list(entries_after(journal, POSITIONS, 0))

    assert len(entries) >= 60
    for hotkey, head in heads.items():
        assert max(e.sequence for e in entries if e.key.startswith(f"{hotkey}|")) <= head
        assert residuals(registry, hotkey)
    journal.close()
