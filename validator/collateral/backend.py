"""Where collateral is kept: the one interface that the local ledger and the chain both have.

Rule: amounts are whole rao. Every method is safe to call from several threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from validator.collateral.rules import Withdrawal
from validator.signing import Address


class CollateralError(Exception):
    """It could not be done; nothing was changed. The text may be shown to whoever asked."""


class InvalidExtrinsicError(CollateralError):
    """What was sent is no transaction that can be understood."""


class LimitError(CollateralError):
    """A balance would become larger than it may be; the text is a whole sentence."""


class BalanceError(CollateralError):
    """The balance cannot be told now."""


class OutOfServiceError(CollateralError):
    """This server is not set up for the operation, or too busy with it."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """A deposit that was carried out, now or when the same extrinsic came for the first time."""

    hotkey: Address
    rao: int
    balance: int


class Terms(Protocol):
    """Decides about a withdrawal once the balance is certain."""

    def __call__(self, balance: int) -> Withdrawal:
        """Return what it comes to. Raises CollateralError when the balance does not allow it."""


class CollateralBackend(Protocol):
    """A keeper of collateral."""

    def owns(self, coldkey: Address, hotkey: Address) -> bool:
        """Whether the coldkey owns the hotkey; False also when it cannot be found out."""

    def balance(self, hotkey: Address) -> int:
        """The hotkey's balance. Raises BalanceError."""

    def check_deposits(self) -> None:
        """Raise OutOfServiceError when deposits are not taken here."""

    def deposit(self, extrinsic: bytes) -> Deposit:
        """Carry out a signed transfer of stake. The same extrinsic again changes nothing more.

        Raises InvalidExtrinsicError, CollateralError, OutOfServiceError, UnavailableError.
        """

    def withdraw(self, hotkey: Address, coldkey: Address, terms: Terms) -> Withdrawal:
        """Pay out to the coldkey on the terms that fit the balance.

        Raises CollateralError, OutOfServiceError, UnavailableError.
        """

    def slash(self, hotkey: Address, rao: int) -> int:
        """Take up to ``rao`` away; returns what was taken. Raises CollateralError, UnavailableError."""

    def settle(self) -> int:
        """Go on with what a crash or a silent chain left unfinished; returns how much is left.

        Raises OutOfServiceError, UnavailableError.
        """

    def problem(self) -> str | None:
        """What an operator should look at, without any name or amount (None: nothing)."""

    def close(self) -> None:
        """Close connections."""
