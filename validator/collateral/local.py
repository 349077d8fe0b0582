"""Collateral in a ledger of our own: the registry.

A deposit is a signed ``SubtensorModule.transfer_stake`` to the vault. Its signature, its network and its
arguments are checked here; nothing is sent to a chain and nothing on a chain is looked at.

Rule 1: a signer's transaction number counts once, as on a chain. The same transaction again is the same
deposit; another one with that number is refused.
Rule 2: who deposits for a hotkey must own it, so nobody can take part in another one's balance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from journal.entry import Draft
from validator.collateral import extrinsic as transactions
from validator.collateral.accounts import Accounts, Movement
from validator.collateral.backend import (
    CollateralError,
    Deposit,
    InvalidExtrinsicError,
    LimitError,
    OutOfServiceError,
    Terms,
)
from validator.collateral.extrinsic import Chain, Signed, StakeTransfer
from validator.collateral.metadata import Metadata
from validator.collateral.owners import Owners
from validator.collateral.rules import Withdrawal, theta_of
from validator.collateral.scale import ScaleError, compact
from validator.registry import ABSENT, draft
from validator.signing import Address, address_from_key

DEPOSIT: Final = "deposit|"  # registry key: hash of signer and transaction number
NOT_OWNED: Final = "Coldkey does not own the specified hotkey"
NUMBER_USED: Final = "another transaction of this account has the same number"
NOTHING: Final = "the amount is zero"


@dataclass(frozen=True, slots=True)
class Vault:
    """What deposits must look like: the runtime they are made for, and where they must go."""

    metadata: Metadata
    chain: Chain
    coldkey: Address
    netuid: int
    prefix: int


class _Done(msgspec.Struct, frozen=True):
    """Body of a ``deposit|`` fact; ``call`` is the hash of what was signed."""

    hotkey: str
    coldkey: str
    rao: int
    call: str


class LocalBackend:
    """The local ledger. Without a vault it takes no deposits."""

    def __init__(self, accounts: Accounts, owners: Owners, vault: Vault | None) -> None:
        self._accounts, self._owners, self._vault = accounts, owners, vault

    def owns(self, coldkey: Address, hotkey: Address) -> bool:
        return self._owners.owner_of(hotkey.text) == coldkey.text

    def balance(self, hotkey: Address) -> int:
        return self._accounts.look_up(hotkey.text)[1].balance

    def check_deposits(self) -> None:
        if self._vault is None:
            raise OutOfServiceError("deposits need a runtime metadata file")

    def deposit(self, extrinsic: bytes) -> Deposit:
        vault = self._vault
        if vault is None:
            raise OutOfServiceError("deposits need a runtime metadata file")
        signed = read_signed(vault, extrinsic)
        signer = address_from_key(signed.signer, vault.prefix)
        transfer = read_transfer(vault.metadata, signed, vault.coldkey, vault.netuid, vault.prefix)
        key = DEPOSIT + transactions.hash_of(signed.signer + compact(signed.nonce)).hex()
        call = transactions.hash_of(signed.call + signed.explicit).hex()
        done = _Done(transfer.hotkey.text, signer.text, transfer.rao, call)
        self._accounts.registry.transact(lambda: self._deposit(key, done))
        return Deposit(transfer.hotkey, transfer.rao, self.balance(transfer.hotkey))

    def _deposit(self, key: str, done: _Done) -> list[Draft]:
        earlier = self._accounts.registry.get(key)
        if earlier is not None:
            if msgspec.json.decode(earlier.body, type=_Done) != done:
                raise CollateralError(NUMBER_USED)
            return []
        owner = self._owners.owner_of(done.hotkey)
        if owner not in (None, done.coldkey):
            raise CollateralError(NOT_OWNED)
        fact, account = self._accounts.look_up(done.hotkey)
        check_limit(account.balance, done.rao, self._accounts.limits.balance_max)
        movement = Movement("deposit", done.rao, self._accounts.clock.now_ms(), done.coldkey, reference=key)
        drafts = self._accounts.moved(fact, account, account.balance + done.rao, movement)
        drafts.append(draft(key, msgspec.json.encode(done), expected=ABSENT))
        return drafts if owner else [*drafts, self._owners.first(done.hotkey, done.coldkey)]

    def withdraw(self, hotkey: Address, coldkey: Address, terms: Terms) -> Withdrawal:
        decided: list[Withdrawal] = []

        def make() -> list[Draft]:
            fact, account = self._accounts.look_up(hotkey.text)
            found = terms(account.balance)
            decided[:] = [found]
            now_ms = self._accounts.clock.now_ms()
            movement = Movement("withdrawal", found.amount, now_ms, coldkey.text, found.slashed)
            return self._accounts.moved(fact, account, found.new_balance, movement)

        self._accounts.registry.transact(make)
        return decided[0]

    def slash(self, hotkey: Address, rao: int) -> int:
        taken: list[int] = []

        def make() -> list[Draft]:
            fact, account = self._accounts.look_up(hotkey.text)
            taken[:] = [min(rao, account.balance)]
            if not taken[0]:
                return []
            movement = Movement("slash", taken[0], self._accounts.clock.now_ms(), slashed=taken[0])
            return self._accounts.moved(fact, account, account.balance - taken[0], movement)

        self._accounts.registry.transact(make)
        return taken[0]

    def settle(self) -> int:
        return 0

    def problem(self) -> str | None:
        return self._owners.error

    def close(self) -> None:
        """Nothing to close: the registry is not ours."""


def read_signed(vault: Vault, extrinsic: bytes) -> Signed:
    """Take a signed transaction apart and check its signature. Raises InvalidExtrinsicError."""
    try:
        signed = transactions.read(vault.metadata, extrinsic)
        transactions.check_signature(vault.metadata, vault.chain, signed)
    except ScaleError as error:
        raise InvalidExtrinsicError(str(error)) from None
    return signed


def read_transfer(
    metadata: Metadata, signed: Signed, vault: Address, netuid: int, prefix: int
) -> StakeTransfer:
    """Read a transfer of stake to the vault. Raises CollateralError when it is something else."""
    try:
        transfer = transactions.stake_transfer(metadata, signed.call, prefix)
    except ScaleError as error:
        raise CollateralError(f"Invalid extrinsic: {error}") from None
    check_transfer(transfer, vault, netuid)
    return transfer


def check_transfer(transfer: StakeTransfer, vault: Address, netuid: int) -> None:
    """Raise CollateralError unless the transfer goes to the vault, within the subnet, and moves something."""
    if transfer.destination_coldkey != vault:
        raise CollateralError(
            f"The extrinsic's destination {transfer.destination_coldkey.text} does not match the vault"
            f" {vault.text}"
        )
    for what, found in (("origin", transfer.origin_netuid), ("destination", transfer.destination_netuid)):
        if found != netuid:
            raise CollateralError(
                f"The extrinsic's {what} netuid {found} does not match the network's netuid {netuid}"
            )
    if transfer.rao == 0:
        raise CollateralError(NOTHING)


def check_limit(balance: int, rao: int, limit: int) -> None:
    """Raise LimitError when a deposit would lift the balance above the limit."""
    if balance + rao > limit:
        raise LimitError(
            f"Deposit would exceed maximum balance limit. Current: {theta_of(balance):.2f} Theta, "
            f"Deposit: {theta_of(rao):.2f} Theta, Limit: {theta_of(limit)} Theta"
        )
