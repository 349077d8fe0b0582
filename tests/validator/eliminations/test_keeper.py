"""Eliminations: everything in one append, the same at every validator, once and for good."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from journal.entry import ORDERS, POSITIONS, REGISTRY, Appended, Draft, Journal
from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from tests.validator.eliminations.arena import (
    DAY,
    HOUR,
    OTHER_PAIR,
    T0,
    VERSION,
    Arena,
    drafts,
    entries,
    newest_orders,
    newest_positions,
    position,
    resting,
)
from validator import eliminated
from validator.challenge import record
from validator.eliminated import Elimination, EliminationMessage
from validator.eliminations.keeper import rows
from validator.eliminations.requests import request_elimination
from validator.gate import residuals
from validator.positions import status_after, synthetic_flat_uuid
from validator.registry import ABSENT, Registry
from vanta_api.records import OrderSource, decode_position_message, encode


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """Both stores."""
    store = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.sqlite3")
    yield store
    store.close()


def full(hotkey: str = "a") -> list[Draft]:
    """Two open positions in two pairs, a closed one, two resting orders and a filled one."""
    return drafts(
        position(hotkey, f"{hotkey}1"),
        position(hotkey, f"{hotkey}2", pair=OTHER_PAIR, quantity="-1"),
        position(hotkey, f"{hotkey}3", closed=True),
        resting(hotkey, f"{hotkey}r"),
        resting(hotkey, f"{hotkey}b", src=OrderSource.BRACKET_UNFILLED),
        resting(hotkey, f"{hotkey}f", src=OrderSource.LIMIT_FILLED),
    )


def test_an_elimination_is_one_append_that_closes_everything(journal: Journal) -> None:
    journal.append([*full("a"), *full("b")])
    before = journal.heads()
    arena = Arena(journal)
    assert arena.keeper.eliminate("a", "MAX_TOTAL_DRAWDOWN", 12.5, T0)

    after = journal.heads()
    assert after[POSITIONS] - before[POSITIONS] == 2
    assert after[ORDERS] - before[ORDERS] == 2
    (row,) = rows(arena.registry)
    assert row == Elimination(
        hotkey="a",
        dd=12.5,
        reason="MAX_TOTAL_DRAWDOWN",
        elimination_initiated_time_ms=T0,
        price_info={"O2:FUEL/USDC": 3.0},
    )
    found = newest_positions(journal)
    assert {key for key, one in found.items() if not one.is_closed_position} == {"b|b1", "b|b2"}
    orders = newest_orders(journal)
    assert {key: one.src for key, one in orders.items() if key.startswith("a|")} == {
        "a|ar": OrderSource.LIMIT_CANCELLED,
        "a|ab": OrderSource.BRACKET_CANCELLED,
        "a|af": OrderSource.LIMIT_FILLED,
    }
    assert orders["b|br"].src == OrderSource.LIMIT_UNFILLED


def test_closing_orders_are_vantas_synthetic_flats(journal: Journal) -> None:
    journal.append(full())
    Arena(journal).keeper.eliminate("a", "PLAGIARISM", -1.0, T0)
    found = newest_positions(journal)
    priced, unpriced = found["a|a1"].orders[-1], found["a|a2"].orders[-1]

    assert priced.order_uuid == synthetic_flat_uuid("a1") == "1a"
    assert (priced.src, priced.price, priced.order_type) == (3, 3.0, "FLAT")
    assert (unpriced.src, unpriced.price, unpriced.order_uuid) == (1, 0.0, "2a")
    assert {priced.processed_ms, unpriced.processed_ms, found["a|a1"].close_ms} == {T0}
    assert found["a|a1"].realized_pnl == pytest.approx(2.0)
    bodies = [e.body for e in entries(journal, POSITIONS)][-2:]
    assert {decode_position_message(body).miner_repo_version for body in bodies} == {VERSION}


def test_two_validators_write_the_same_closings() -> None:
    one, other = MemoryJournal(), MemoryJournal()
    for store in (one, other):
        store.append(full())
        Arena(store).keeper.eliminate("a", "LIQUIDATED", 0.0, T0)

    assert [e.body for e in entries(one, POSITIONS)] == [e.body for e in entries(other, POSITIONS)]


def test_the_last_bucket_is_written_with_it(journal: Journal) -> None:
    arena = Arena(journal)
    known = record.admitted("a", record.MAINCOMP, T0 - DAY)
    arena.registry.put(record.key_of("a"), record.encode(known), expected=ABSENT)
    for hotkey in ("a", "never seen"):
        arena.keeper.eliminate(hotkey, "ZOMBIE", None, T0)

    for hotkey, steps in (("a", [record.MAINCOMP, record.ELIMINATED]), ("never seen", [record.ELIMINATED])):
        fact = arena.registry.get(record.key_of(hotkey))
        assert fact is not None
        out = record.decode(fact.body)
        assert [step.bucket for step in out.history] == steps
        assert (out.is_out, out.history[-1].reason, out.bucket_start_time) == (True, "ZOMBIE", T0)


def test_nobody_is_eliminated_twice(journal: Journal) -> None:
    journal.append(full())
    arena = Arena(journal)
    assert arena.keeper.eliminate("a", "ZOMBIE", None, T0)
    heads = journal.heads()
    assert not arena.keeper.eliminate("a", "LIQUIDATED", 0.0, T0 + 1)
    assert arena.keeper.tick(T0 + 2) == []
    assert not Arena(journal).keeper.eliminate("a", "LIQUIDATED", 0.0, T0 + 3)

    assert journal.heads() == heads
    assert [row.reason for row in rows(arena.registry)] == ["ZOMBIE"]


def test_what_venues_still_hold_is_kept_as_residual(journal: Journal) -> None:
    journal.append(full())
    arena = Arena(journal)
    arena.keeper.eliminate("a", "ZOMBIE", None, T0)

    held = residuals(arena.registry, "a")
    assert {(one["trade_pair_id"], one["quantity"]) for one in held} == {
        ("O2:FUEL/USDC", "2"),
        ("O2:ETH/USDC", "-1"),
    }


def test_a_position_written_between_look_and_append_is_closed_as_well() -> None:
    """A poller adds to a position and opens another at the very moment of the elimination."""
    journal = MemoryJournal()
    journal.append(drafts(position("a", "a1", quantity="2")))
    arena = Arena(journal)
    racing = _Racing(journal, [drafts(position("a", "a1", quantity="5")), drafts(position("a", "a2"))])
    journal.append = racing  # type: ignore[method-assign]
    assert arena.keeper.eliminate("a", "ZOMBIE", None, T0)

    assert racing.waiting == []
    found = newest_positions(journal)
    assert all(one.is_closed_position for one in found.values())
    assert found["a|a1"].orders[-1].quantity == -5.0
    assert len(entries(journal, POSITIONS)) == 5  # 2, 5, opened, and two closings


class _Racing:
    """An ``append`` that lets others write just before each of its first calls."""

    def __init__(self, journal: MemoryJournal, others: list[list[Draft]]) -> None:
        self._append, self.waiting = journal.append, others

    def __call__(self, drafts: Sequence[Draft]) -> list[Appended]:
        if self.waiting:
            self._append(self.waiting.pop(0))
        return self._append(drafts)


def test_who_was_put_out_by_somebody_else_is_swept(journal: Journal) -> None:
    """Another part of the validator wrote the fact alone; the next look closes everything."""
    journal.append(full())
    row = Elimination(hotkey="a", reason="manual_elimination", elimination_initiated_time_ms=T0)
    body = encode(EliminationMessage(elimination=row))
    Registry(journal).put(eliminated.key_of("a"), body, expected=ABSENT)
    arena = Arena(journal)
    arena.keeper.tick(T0 + HOUR)

    found = newest_positions(journal)
    assert all(one.is_closed_position for one in found.values())
    assert found["a|a1"].close_ms == T0
    assert newest_orders(journal)["a|ar"].src == OrderSource.LIMIT_CANCELLED
    fact = arena.registry.get(record.key_of("a"))
    assert fact is not None
    assert record.decode(fact.body).is_out
    heads = journal.heads()
    arena.keeper.tick(T0 + 2 * HOUR)
    assert journal.heads() == heads


def test_operators_requests_are_carried_out_once(journal: Journal) -> None:
    journal.append([*full("a"), *full("b")])
    arena = Arena(journal)
    request_elimination(arena.registry, "a", T0, "operator", "broke the rules")
    request_elimination(arena.registry, "a", T0 + 5, "another one")
    request_elimination(arena.registry, "b", T0, "operator")

    assert arena.keeper.tick(T0 + 10) == ["a", "b"]
    assert arena.keeper.tick(T0 + 20) == []
    assert [(row.hotkey, row.reason, row.dd) for row in rows(arena.registry)] == [
        ("a", "broke the rules", None),
        ("b", "MANUAL_ELIMINATION", None),
    ]
    assert all(one.is_closed_position for one in newest_positions(journal).values())


def test_effects_join_the_same_append(journal: Journal) -> None:
    """What else an elimination does, such as slashing, is durable exactly when the elimination is."""

    def effect(row: Elimination) -> list[Draft]:
        return [Draft(REGISTRY, f"slashed|{row.hotkey}", row.reason.encode())]

    arena = Arena(journal, effects=[effect])
    arena.keeper.eliminate("a", "ZOMBIE", None, T0)

    fact = arena.registry.get("slashed|a")
    assert fact is not None
    assert fact.body == b"ZOMBIE"


def test_an_unreadable_record_holds_up_nobody(journal: Journal) -> None:
    journal.append([*full(), Draft(POSITIONS, "a|junk", b"{}"), Draft(ORDERS, "a|junk", b"[]")])
    arena = Arena(journal)
    assert arena.keeper.eliminate("a", "ZOMBIE", None, T0)

    arena.keeper.tick(T0 + 1)
    assert "a|a1" not in [held.key for held, _ in arena.index.open_positions("a")]


def test_a_closed_positions_status_is_told(journal: Journal) -> None:
    journal.append(full())
    Arena(journal).keeper.eliminate("a", "ZOMBIE", None, T0)
    closed = newest_positions(journal)["a|a1"]

    assert closed.venue is not None
    assert closed.venue.status == "eliminated"
    assert status_after(closed.orders[-1], is_closed=True) == "closed"


def test_however_many_positions_there_are_they_close_together() -> None:
    """More than a poller's chunk, in one append: a reader of the registry never sees half of it."""
    journal, rng = MemoryJournal(), random.Random(7)
    journal.append(drafts(*(position("a", f"p{n}", quantity=str(rng.randint(1, 9))) for n in range(400))))
    arena = Arena(journal)
    calls: list[int] = []
    append = journal.append

    def counted(drafts: Sequence[Draft]) -> list[Appended]:
        calls.append(len(drafts))
        return append(drafts)

    journal.append = counted  # type: ignore[method-assign]
    arena.keeper.eliminate("a", "ZOMBIE", None, T0)

    assert [count for count in calls if count] == [802]  # fact, bucket, closings, residuals
    assert all(one.is_closed_position for one in newest_positions(journal).values())
