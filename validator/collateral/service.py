"""What people do with collateral, whichever backend keeps it.

Rule 1: a withdrawal is carried out once: its nonce is used up before anything else is done for it, and only
by a request that is signed by the owner and asks for an amount that can be meant.
Rule 2: the slashing terms are worked out on the balance that the withdrawal is taken from, not on one that
was read earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from validator.collateral.accounts import Accounts, Size
from validator.collateral.backend import (
    BalanceError,
    CollateralBackend,
    CollateralError,
    InvalidExtrinsicError,
    LimitError,
    OutOfServiceError,
)
from validator.collateral.rules import (
    Withdrawal,
    amount_of,
    rao_of,
    slash_of,
    theta_of,
    withdrawal,
)
from validator.nonces import Nonces
from validator.signing import Address, address_of, is_signed

WITHDRAWAL_FIELDS: Final = ("amount", "miner_coldkey", "miner_hotkey", "nonce", "timestamp")

Drawdown = Callable[[str], float]  # hotkey → portfolio value over its highest one, 0 to 1


class NotSignedError(Exception):
    """The signature is not that of the named coldkey over this request."""


class NotOwnedError(Exception):
    """The coldkey does not own the hotkey."""


class Collateral:
    """Deposits, withdrawals, balances. Threads may share it."""

    def __init__(
        self,
        backend: CollateralBackend,
        accounts: Accounts,
        nonces: Nonces,
        drawdown: Drawdown,
        prefix: int,
    ) -> None:
        self.backend, self.prefix = backend, prefix
        self._accounts, self._nonces, self._drawdown = accounts, nonces, drawdown

    def address(self, text: object) -> Address:
        """Read an address of this network. Raises AddressError."""
        return address_of(text, self.prefix)

    def deposit(self, extrinsic: bytes) -> str:
        """Carry out a deposit; returns why it was not, or nothing.

        Raises OutOfServiceError, UnavailableError.
        """
        try:
            self.backend.deposit(extrinsic)
        except OutOfServiceError:
            raise
        except InvalidExtrinsicError as error:
            return f"Invalid extrinsic data: {error}"
        except LimitError as error:
            return str(error)
        except CollateralError as error:
            return f"Deposit execution failed: {error}"
        return ""

    def balance(self, hotkey: Address) -> int:
        """The hotkey's balance in rao. Raises BalanceError."""
        return self.backend.balance(hotkey)

    def quote(self, hotkey: Address, theta: float) -> Withdrawal:
        """What a withdrawal would come to now.

        Raises AmountError; CollateralError with a whole sentence when the balance does not allow it.
        """
        amount_of(theta)
        try:
            balance = self.balance(hotkey)
        except BalanceError as error:
            raise CollateralError(f"Failed to check collateral balance: {error}") from None
        return self._terms(hotkey, theta, balance)

    def withdraw(self, body: Mapping[str, Any]) -> Withdrawal:
        """Carry out a signed withdrawal; ``body`` has all ``WITHDRAWAL_FIELDS`` and ``signature``.

        Raises, in this order: NotSignedError, NotOwnedError, AmountError, NonceError, CollateralError with a
        whole sentence; OutOfServiceError, UnavailableError.
        """
        coldkey, hotkey = self.check_owner(body, WITHDRAWAL_FIELDS, "miner_coldkey", "miner_hotkey")
        theta = body["amount"]
        amount_of(theta)
        self._nonces.use(coldkey.text, hotkey.text, body["nonce"], body["timestamp"])
        try:
            return self.backend.withdraw(hotkey, coldkey, lambda held: self._terms(hotkey, theta, held))
        except (OutOfServiceError, LimitError):
            raise
        except BalanceError as error:
            raise CollateralError(f"Failed to check collateral balance: {error}") from None
        except CollateralError as error:
            raise CollateralError(f"Withdrawal processing execution failed: {error}") from None

    def check_owner(
        self, body: Mapping[str, Any], fields: tuple[str, ...], coldkey: str, hotkey: str
    ) -> tuple[Address, Address]:
        """The coldkey and hotkey of a body whose fields the coldkey signed and whose hotkey it owns.

        Raises NotSignedError, NotOwnedError.
        """
        if not is_signed(body, fields, coldkey, self.prefix):
            raise NotSignedError
        try:
            owner, owned = self.address(body[coldkey]), self.address(body[hotkey])
        except ValueError:
            raise NotOwnedError from None  # nobody owns what is no address
        if owner.is_nobody or not self.backend.owns(owner, owned):
            raise NotOwnedError
        return owner, owned

    def slash(self, hotkey: Address, proportion: float) -> int:
        """Take a proportion (0 to 1) of what counts of the balance; returns the rao taken.

        Raises BalanceError, CollateralError, OutOfServiceError, UnavailableError.
        """
        return self.backend.slash(hotkey, slash_of(self.balance(hotkey), proportion, self._accounts.limits))

    def account_sizes(self) -> dict[str, list[Size]]:
        """Account sizes of every hotkey, oldest first. Raises UnavailableError."""
        return self._accounts.sizes()

    def _terms(self, hotkey: Address, theta: float, balance: int) -> Withdrawal:
        amount = rao_of(theta)
        if amount > balance:
            # LimitError: the sentence goes out as it is
            raise LimitError(
                f"Insufficient collateral balance. Available: {theta_of(balance)}, Requested: {float(theta)}"
            )
        return withdrawal(balance, amount, self._drawdown(hotkey.text), self._accounts.limits)
