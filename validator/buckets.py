"""Buckets that an operator moves hotkeys into, the pro track and its account sizes among them.

Rule 1: a move is one append: the bucket, the account size where it changes, and the report of plagiarism that
goes with the bucket. Whoever moved the hotkey meanwhile is seen first.
Rule 2: an elimination is no move: it is carried out elsewhere, and nobody moves who is out.
Rule 3: positions are their venues': a move closes none. A new account size counts from then on.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import msgspec

from journal.entry import Draft
from validator import eliminated
from validator.challenge import record
from validator.challenge.record import Challenge
from validator.eliminations.requests import PLAGIARISM, Plagiarism, PlagiarismMessage, plagiarism_of
from validator.registry import Registry, draft, sequence_of
from vanta_api.records import AccountSizeMessage, AccountSizeRecord, encode

PRO_ACCOUNT: Final = "pro_account|"  # <hotkey>
ACCOUNT_SIZE: Final = "account_size|"  # <hotkey>
TRANSITION: Final = "PRO_CHALLENGE_TRANSITION"  # still trades the standard account
REASON: Final = "admin"
SIZE_MAX: Final = 1e15  # USD

UNKNOWN_BUCKET: Final = "Invalid bucket. Valid values are: " + ", ".join(sorted(record.BUCKETS))
NOT_FOUND: Final = "Miner {hotkey} not found"
ALREADY_THERE: Final = "{hotkey} is already in {bucket}"
IS_OUT: Final = "{hotkey} is eliminated"
SIZE_REQUIRED: Final = "pro_account_size is required to enter the pro track"
SIZE_REFUSED: Final = "pro_account_size is only accepted for pro buckets"
SIZE_INVALID: Final = "pro_account_size must be a positive finite number"


class BucketError(ValueError):
    """The move cannot be made; the text is for the one who asked. ``is_missing``: there is no such hotkey."""

    def __init__(self, text: str, *, is_missing: bool = False) -> None:
        super().__init__(text)
        self.is_missing = is_missing


class ProAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A granted pro account: its size and that of the account it grew from (USD)."""

    hotkey: str
    standard_account_size: float | None
    pro_account_size: float
    granted_ms: int
    by: str


class ProAccountMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``pro_account|<hotkey>``."""

    pro_account: ProAccount


_pro: Final = msgspec.json.Decoder(ProAccountMessage)
_size: Final = msgspec.json.Decoder(AccountSizeMessage)


def is_pro(bucket: str) -> bool:
    """Whether the bucket is of the pro track."""
    return bucket.startswith("PRO_")


def check_move(bucket: Any, pro_account_size: Any) -> tuple[str, float | None]:
    """The target and the size, if they can be ones at all. Raises BucketError."""
    if not isinstance(bucket, str) or bucket not in record.BUCKETS:
        raise BucketError(UNKNOWN_BUCKET)
    if pro_account_size is None:
        return bucket, None
    if not is_pro(bucket):
        raise BucketError(SIZE_REFUSED)
    is_number = isinstance(pro_account_size, (int, float)) and not isinstance(pro_account_size, bool)
    if not is_number or not 0 < pro_account_size <= SIZE_MAX or not isfinite(pro_account_size):
        raise BucketError(SIZE_INVALID)
    return bucket, float(pro_account_size)


def is_known(registry: Registry, hotkey: str) -> bool:
    """Whether the hotkey has been in any bucket."""
    return registry.get(record.key_of(hotkey)) is not None


def move(
    registry: Registry, hotkey: str, bucket: str, pro_account_size: float | None, now_ms: int, by: str
) -> Challenge:
    """Move a hotkey into a bucket other than ELIMINATED. Raises BucketError, UnavailableError."""
    moved: list[Challenge] = []

    def make() -> list[Draft]:
        fact = registry.get(record.key_of(hotkey))
        before = _before(registry, hotkey, bucket, None if fact is None else record.decode(fact.body))
        after = record.moved(before, bucket, now_ms, now_ms, REASON)
        moved[:] = [after]
        return [
            draft(record.key_of(hotkey), record.encode(after), expected=sequence_of(fact)),
            *_sizes(registry, before, after, pro_account_size, now_ms, by),
            *_report(registry, before, after, now_ms, by),
        ]

    registry.transact(make)
    return moved[0]


def _before(registry: Registry, hotkey: str, bucket: str, before: Challenge | None) -> Challenge:
    """Where the hotkey is now, if it can be moved. Raises BucketError."""
    if registry.get(eliminated.key_of(hotkey)) is not None or (before is not None and before.is_out):
        raise BucketError(IS_OUT.format(hotkey=hotkey))
    if before is None:
        raise BucketError(NOT_FOUND.format(hotkey=hotkey), is_missing=True)
    if before.bucket == bucket:
        raise BucketError(ALREADY_THERE.format(hotkey=hotkey, bucket=bucket))
    return before


def _sizes(
    registry: Registry, before: Challenge, after: Challenge, size: float | None, now_ms: int, by: str
) -> list[Draft]:
    """What the move does to account sizes. Raises BucketError."""
    if not is_pro(before.bucket) and not is_pro(after.bucket):
        return []
    hotkey, drafts = before.hotkey, []
    pro_fact, size_fact = registry.get(PRO_ACCOUNT + hotkey), registry.get(ACCOUNT_SIZE + hotkey)
    pro = None if pro_fact is None else _pro.decode(pro_fact.body).pro_account
    current = None if size_fact is None else _size.decode(size_fact.body).account_size.account_size
    standard = pro.standard_account_size if pro is not None and is_pro(before.bucket) else current
    if is_pro(after.bucket):
        if size is None and (pro is None or not is_pro(before.bucket)):
            raise BucketError(SIZE_REQUIRED)
        granted = size if size is not None else pro.pro_account_size if pro is not None else 0.0
        account = ProAccount(
            hotkey=hotkey,
            standard_account_size=standard,
            pro_account_size=granted,
            granted_ms=now_ms,
            by=by,
        )
        body = encode(ProAccountMessage(pro_account=account))
        drafts.append(draft(PRO_ACCOUNT + hotkey, body, expected=sequence_of(pro_fact)))
        wanted = standard if after.bucket == TRANSITION else granted
    else:
        wanted = standard
    if wanted is not None and wanted != current:
        sized = AccountSizeRecord(
            hotkey=hotkey, account_size=wanted, update_time_ms=now_ms, valid_date_timestamp=now_ms
        )
        body = encode(AccountSizeMessage(account_size=sized))
        drafts.append(draft(ACCOUNT_SIZE + hotkey, body, expected=sequence_of(size_fact)))
    return drafts


def _report(registry: Registry, before: Challenge, after: Challenge, now_ms: int, by: str) -> list[Draft]:
    """The report of plagiarism that the bucket stands for; leaving the bucket withdraws it."""
    if record.PLAGIARISM not in (before.bucket, after.bucket):
        return []
    key = PLAGIARISM + before.hotkey
    fact, known = registry.get(key), plagiarism_of(registry, before.hotkey)
    if after.bucket == record.PLAGIARISM:
        report = Plagiarism(hotkey=before.hotkey, reported_ms=now_ms, by=by)
    elif known is not None and known.cleared_ms is None:
        report = msgspec.structs.replace(known, cleared_ms=now_ms, by=by)
    else:
        return []
    return [draft(key, encode(PlagiarismMessage(plagiarism=report)), expected=sequence_of(fact))]
