"""What the registry says of a hotkey's collateral: its balance, its last movement, its account sizes.

Rule 1: a fact ``collateral|<hotkey>`` changes only by compare-and-set, so no movement is lost or counted
twice; the entries of the stream are its whole history, each with the movement that made it.
Rule 2: the account size goes out in the same transaction as the balance that it follows from.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, Literal

import msgspec

from journal.entry import Draft
from runtime.clock import Clock
from validator.collateral.rules import Limits, account_size, with_record
from validator.registry import Fact, Registry, draft, sequence_of
from vanta_api.records import AccountSizeMessage, AccountSizeRecord, encode

COLLATERAL: Final = "collateral|"
ACCOUNT_SIZE: Final = "account_size|"  # the newest record, also for hotkeys without collateral
ACCOUNT_SIZES: Final = "account_sizes|"  # records that came with a checkpoint

Kind = Literal["deposit", "withdrawal", "slash", "look"]


class Movement(msgspec.Struct, frozen=True):
    """Why a balance is what it is: ``rao`` came or went, ``slashed`` of it was lost; ``look``: was seen."""

    kind: Kind
    rao: int
    time_ms: int
    coldkey: str | None = None
    slashed: int = 0
    reference: str | None = None


class Size(msgspec.Struct, frozen=True):
    """An account size in USD (and theta) that counts from ``valid_date_timestamp`` on; times in ms."""

    account_size: float
    account_size_theta: float
    update_time_ms: int
    valid_date_timestamp: int


class Account(msgspec.Struct, frozen=True):
    """Body of a ``collateral|<hotkey>`` fact: rao, and account sizes, oldest first.

    ``open``: keys of operations on a chain whose end is not known yet.
    """

    hotkey: str
    balance: int = 0
    records: tuple[AccountSizeRecord, ...] = ()
    movement: Movement | None = None
    open: tuple[str, ...] = ()


class _Sizes(msgspec.Struct):
    """What the three kinds of facts say about account sizes."""

    records: tuple[Size, ...] = ()
    account_sizes: tuple[Size, ...] = ()
    account_size: Size | None = None


_decoder = msgspec.json.Decoder(Account)
_sizes = msgspec.json.Decoder(_Sizes)


def read_account(body: bytes) -> Account:
    """Read a ``collateral|`` fact. Raises msgspec.DecodeError."""
    return _decoder.decode(body)


class Accounts:
    """The accounts in the registry."""

    def __init__(self, registry: Registry, limits: Limits, clock: Clock) -> None:
        self.registry, self.limits, self.clock = registry, limits, clock

    def look_up(self, hotkey: str) -> tuple[Fact | None, Account]:
        """The account and the fact it stands in (None: nothing is known of it). Raises JournalError."""
        fact = self.registry.get(COLLATERAL + hotkey)
        return fact, read_account(fact.body) if fact else Account(hotkey)

    def moved(self, fact: Fact | None, account: Account, balance: int, movement: Movement) -> list[Draft]:
        """Drafts for the account's next balance; they fit only if ``fact`` is still the newest."""
        newest = account_size(account.hotkey, balance, movement.time_ms, self.limits)
        records = with_record(account.records, newest)
        after = msgspec.structs.replace(account, balance=balance, movement=movement, records=records)
        drafts = [draft(COLLATERAL + account.hotkey, encode(after), expected=sequence_of(fact))]
        if records is not account.records:
            drafts.append(
                draft(ACCOUNT_SIZE + account.hotkey, encode(AccountSizeMessage(account_size=newest)))
            )
        return drafts

    def sizes(self) -> dict[str, list[Size]]:
        """Account sizes of every hotkey, oldest first. Raises JournalError."""
        found: defaultdict[str, dict[Size, None]] = defaultdict(dict)  # in order, each once
        for kind in (ACCOUNT_SIZES, COLLATERAL, ACCOUNT_SIZE):
            for fact in self.registry.with_prefix(kind):
                said = _sizes.decode(fact.body)
                newest = (said.account_size,) if said.account_size else ()
                all_of_them = (*said.account_sizes, *said.records, *newest)
                found[fact.key.removeprefix(kind)].update(dict.fromkeys(all_of_them))
        return {hotkey: sorted(sizes, key=_age) for hotkey, sizes in found.items() if sizes}


def _age(size: Size) -> tuple[int, int]:
    return size.valid_date_timestamp, size.update_time_ms
