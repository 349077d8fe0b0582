"""What an elimination takes from collateral that is kept in the journal.

Rule: the slash is part of the elimination's own append; it is taken exactly once, and from the balance that
is there at that moment. (Collateral in a contract is slashed by whoever holds the contract's key.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from journal.entry import Draft
from validator.collateral.accounts import Accounts, Movement
from validator.collateral.rules import slash_of, slash_proportion
from validator.eliminated import Elimination


class LocalSlashing:
    """An ``Effect``: slashes in proportion to the drawdown. ``drawdown`` is value over highest value."""

    def __init__(self, accounts: Accounts, drawdown: Callable[[str], float]) -> None:
        self._accounts, self._drawdown = accounts, drawdown

    def __call__(self, row: Elimination) -> Sequence[Draft]:
        """Drafts for the balance after the slash; none when there is nothing to take."""
        fact, account = self._accounts.look_up(row.hotkey)
        proportion = float(slash_proportion(min(1.0, max(0.0, self._drawdown(row.hotkey)))))
        taken = min(account.balance, slash_of(account.balance, proportion, self._accounts.limits))
        if taken <= 0:
            return ()
        movement = Movement("slash", taken, row.elimination_initiated_time_ms, slashed=taken)
        return self._accounts.moved(fact, account, account.balance - taken, movement)
