"""Amounts of collateral and the rules about them; pure.

Rule 1: inside, an amount is a whole number of rao; theta (the unit of the API) is a float only where it
enters and leaves. What a user asks for is cut to whole rao, never rounded up.
Rule 2: the formulas are Vanta's: a withdrawal is slashed in proportion to the drawdown, except for what lies
above the largest balance that counts.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from vanta_api.records import AccountSizeRecord

RAO: Final = 10**9  # per theta
RAO_MAX: Final = 2**64 - 1  # what a chain can count
DAY_MS: Final = 86_400_000
FREE_FALL: Final = Fraction(9, 10)  # drawdown at which everything is slashed; none is at 1
NOT_A_NUMBER: Final = "Amount must be a valid number"
NOT_POSITIVE: Final = "Amount must be a positive number"
RECORDS_KEPT: Final = 200  # account-size records per hotkey; one comes with each deposit or withdrawal


class AmountError(ValueError):
    """An amount that cannot be meant; the text is for its sender."""


class Limits(msgspec.Struct, frozen=True):
    """``balance_max``: rao that count (towards the account size, and for slashing); ``usd_per_theta``."""

    balance_max: int
    usd_per_theta: float


class Withdrawal(msgspec.Struct, frozen=True):
    """What a withdrawal comes to, in rao: ``amount`` leaves the balance, ``slashed`` of it is lost."""

    amount: int
    slashed: int
    drawdown: float
    new_balance: int

    @property
    def paid(self) -> int:
        """What its owner gets."""
        return self.amount - self.slashed


def rao_of(theta: float) -> int:
    """Whole rao of an amount in theta."""
    return int(Decimal(repr(theta)) * RAO)


def theta_of(rao: int) -> float:
    """An amount in theta."""
    return rao / RAO


def amount_of(value: object) -> int:
    """Read an amount in theta as rao. Raises AmountError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AmountError(NOT_A_NUMBER)
    if value <= 0:
        raise AmountError(NOT_POSITIVE)
    if not value <= RAO_MAX // RAO:  # NaN is not, either; and no longer number is ever converted
        raise AmountError(NOT_A_NUMBER)
    if (rao := rao_of(value)) == 0:
        raise AmountError(NOT_POSITIVE)
    return rao


def slash_proportion(drawdown: float) -> Fraction:
    """How much is slashed at a drawdown (1: none, 0.95: half, 0.9 and less: all)."""
    fallen = 1 - (Fraction(repr(drawdown)) - FREE_FALL) / (1 - FREE_FALL)
    return min(Fraction(1), max(Fraction(0), fallen))


def withdrawal(balance: int, amount: int, drawdown: float, limits: Limits) -> Withdrawal:
    """What a withdrawal of ``amount`` (at most ``balance``) comes to."""
    free = max(0, balance - limits.balance_max)
    slashed = int(max(0, amount - free) * slash_proportion(drawdown))
    return Withdrawal(amount, min(slashed, limits.balance_max), drawdown, balance - amount)


def slash_of(balance: int, proportion: float, limits: Limits) -> int:
    """What is taken from a balance by slashing a proportion (0 to 1) of what counts of it."""
    part = min(Fraction(1), max(Fraction(0), Fraction(repr(proportion))))
    return int(min(balance, limits.balance_max) * part)


def account_size(hotkey: str, balance: int, now_ms: int, limits: Limits) -> AccountSizeRecord:
    """The account size that a balance makes, valid from the next midnight UTC on."""
    return AccountSizeRecord(
        hotkey=hotkey,
        account_size=theta_of(min(balance, limits.balance_max)) * limits.usd_per_theta,
        account_size_theta=theta_of(balance),
        update_time_ms=now_ms,
        valid_date_timestamp=(now_ms // DAY_MS + 1) * DAY_MS,
    )


def with_record(
    records: tuple[AccountSizeRecord, ...], newest: AccountSizeRecord
) -> tuple[AccountSizeRecord, ...]:
    """The records with another one, unless it says what the last one says."""
    if records and _facts(records[-1]) == _facts(newest):
        return records
    return (*records, newest)[-RECORDS_KEPT:]


def size_on(
    records: tuple[AccountSizeRecord, ...], at_ms: int, *, most_recent: bool = False
) -> AccountSizeRecord | None:
    """The record that counts on a day (``most_recent``: whether or not it counts yet), or None."""
    day_ms = at_ms // DAY_MS * DAY_MS
    valid = [one for one in records if most_recent or one.valid_date_timestamp <= day_ms]
    return valid[-1] if valid else None


def _facts(record: AccountSizeRecord) -> tuple[float, float]:
    return record.account_size, record.account_size_theta
