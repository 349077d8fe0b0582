"""Collateral in the journal is slashed with the elimination: once, together, in proportion."""

from __future__ import annotations

import pytest

from journal.entry import UnavailableError
from journal.memory import MemoryJournal
from runtime.clock import FakeClock
from tests.validator.eliminations.arena import T0, Arena
from validator.collateral.accounts import ACCOUNT_SIZE, Accounts, Movement
from validator.collateral.rules import Limits, rao_of
from validator.eliminations.slashing import LocalSlashing
from validator.registry import Registry

LIMITS = Limits(rao_of(1000.0), 500.0)


def deposited(theta: float, drawdown: float) -> tuple[Arena, Accounts]:
    """An arena whose hotkey ``a`` has put in collateral."""
    journal = MemoryJournal()
    accounts = Accounts(Registry(journal), LIMITS, FakeClock(T0))
    fact, account = accounts.look_up("a")
    if theta:
        balance = rao_of(theta)
        accounts.registry.put_many(
            accounts.moved(fact, account, balance, Movement("deposit", balance, T0 - 5))
        )
    return Arena(journal, effects=[LocalSlashing(accounts, lambda hotkey: drawdown)]), accounts


@pytest.mark.parametrize(
    ("theta", "drawdown", "left"),
    [(300, 0.95, 150), (300, 0.9, 0), (300, 0.5, 0), (300, 1.0, 300), (1500, 0.9, 500), (300, 1.5, 300)],
)
def test_the_slash_is_in_proportion_to_the_drawdown(theta: float, drawdown: float, left: float) -> None:
    """5 % down takes half, 10 % everything, and never more than what counts."""
    arena, accounts = deposited(theta, drawdown)
    arena.keeper.eliminate("a", "MAX_TOTAL_DRAWDOWN", 10.0, T0)

    _, account = accounts.look_up("a")
    assert account.balance == rao_of(left)
    if left < theta:
        assert account.movement is not None
        assert (account.movement.kind, account.movement.slashed) == ("slash", rao_of(theta) - rao_of(left))
        assert account.movement.time_ms == T0


def test_the_account_size_follows_and_nothing_is_slashed_twice() -> None:
    arena, accounts = deposited(300, 0.95)
    for n in range(3):
        arena.keeper.eliminate("a", "ZOMBIE", None, T0 + n)
    _, account = accounts.look_up("a")

    assert account.balance == rao_of(150)
    size = arena.registry.get(ACCOUNT_SIZE + "a")
    assert size is not None
    assert b'"account_size":75000.0' in size.body


def test_who_put_nothing_in_loses_nothing() -> None:
    arena, accounts = deposited(0, 0.5)
    assert arena.keeper.eliminate("a", "ZOMBIE", None, T0)

    fact, _ = accounts.look_up("a")
    assert fact is None


def test_without_the_elimination_there_is_no_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal refuses: neither of the two happened."""
    arena, accounts = deposited(300, 0.9)

    def refuse(drafts: object) -> None:
        raise UnavailableError("disk full")

    monkeypatch.setattr(arena.journal, "append", refuse)
    with pytest.raises(UnavailableError):
        arena.keeper.eliminate("a", "ZOMBIE", None, T0)
    _, account = accounts.look_up("a")
    assert account.balance == rao_of(300)
    assert arena.registry.get("elimination|a") is None
