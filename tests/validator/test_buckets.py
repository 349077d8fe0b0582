"""Moves between buckets: one append, decided on what is there at that moment."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from journal.entry import REGISTRY, Draft
from journal.memory import MemoryJournal
from validator import buckets, eliminated
from validator.buckets import BucketError, ProAccountMessage
from validator.challenge import record
from validator.eliminated import Elimination, EliminationMessage
from validator.registry import Registry
from vanta_api.records import AccountSizeMessage, AccountSizeRecord, encode

NOW = 1_750_000_000_000


class Office:
    """A registry with one hotkey in it."""

    def __init__(self, bucket: str = record.CHALLENGE, size: float | None = 100_000.0) -> None:
        self.journal = MemoryJournal()
        self.registry = Registry(self.journal)
        self.put(record.admitted("a", bucket, NOW - 5))
        if size is not None:
            sized = AccountSizeRecord(hotkey="a", account_size=size, update_time_ms=1, valid_date_timestamp=1)
            body = encode(AccountSizeMessage(account_size=sized))
            self.journal.append([Draft(REGISTRY, "account_size|a", body)])

    def put(self, challenge: record.Challenge) -> None:
        body = record.encode(challenge)
        self.journal.append([Draft(REGISTRY, record.key_of("a"), body)])

    def move(self, bucket: str, size: float | None = None) -> record.Challenge:
        return buckets.move(self.registry, "a", bucket, size, NOW, "me")

    def keys_since(self, head: int) -> list[str]:
        return [entry.key for entry in self.journal.read(REGISTRY, head).entries]


@pytest.mark.parametrize(
    ("begin", "end", "size", "keys"),
    [
        ("CHALLENGE", "MAINCOMP", None, ["challenge|a"]),
        ("CHALLENGE", "PLAGIARISM", None, ["challenge|a", "plagiarism|a"]),
        ("PLAGIARISM", "MAINCOMP", None, ["challenge|a"]),  # nobody ever reported it: nothing to withdraw
        ("CHALLENGE", "PRO_FUNDED", 2e5, ["challenge|a", "pro_account|a", "account_size|a"]),
        ("CHALLENGE", "PRO_FUNDED", 1e5, ["challenge|a", "pro_account|a"]),
        ("CHALLENGE", "PRO_CHALLENGE_TRANSITION", 2e5, ["challenge|a", "pro_account|a"]),
    ],
)
def test_a_move_is_one_append(begin: str, end: str, size: float | None, keys: list[str]) -> None:
    office = Office(begin)
    head, appends = office.journal.head(REGISTRY), []
    append = office.journal.append

    def counted(drafts: Any) -> Any:
        appends.append(drafts)
        return append(drafts)

    office.journal.append = counted  # type: ignore[method-assign]
    office.move(end, size)

    assert len(appends) == 1
    assert office.keys_since(head) == keys


def test_whoever_moved_the_hotkey_meanwhile_is_seen_first() -> None:
    office = Office()
    append, meanwhile = office.journal.append, []

    def raced(drafts: Any) -> Any:
        if not meanwhile:
            meanwhile.append(True)
            other = record.moved(record.admitted("a", "CHALLENGE", NOW - 5), "PROBATION", NOW - 1, NOW - 1)
            append([Draft(REGISTRY, record.key_of("a"), record.encode(other))])
        return append(drafts)

    office.journal.append = raced  # type: ignore[method-assign]
    found = office.move("MAINCOMP")

    assert [step.bucket for step in found.history] == ["CHALLENGE", "PROBATION", "MAINCOMP"]
    assert found.previous_bucket == "PROBATION"


def test_who_was_eliminated_meanwhile_is_not_moved() -> None:
    office = Office()
    append = office.journal.append

    def raced(drafts: Any) -> Any:
        office.journal.append = append  # type: ignore[method-assign]
        out = record.moved(record.admitted("a", "CHALLENGE", NOW - 5), "ELIMINATED", NOW - 1, NOW - 1)
        row = Elimination(hotkey="a", reason="ZOMBIE", elimination_initiated_time_ms=NOW - 1)
        append(
            [
                Draft(REGISTRY, eliminated.key_of("a"), encode(EliminationMessage(elimination=row))),
                Draft(REGISTRY, record.key_of("a"), record.encode(out)),
            ]
        )
        return append(drafts)

    office.journal.append = raced  # type: ignore[method-assign]
    with pytest.raises(BucketError, match="a is eliminated"):
        office.move("MAINCOMP")


def test_the_grant_says_what_it_grew_from_and_who_gave_it() -> None:
    office = Office()
    office.move("PRO_FUNDED", 2e5)
    office.move("PRO_CHALLENGE_DIRECT", 3e5)
    fact = office.registry.get("pro_account|a")
    assert fact is not None
    grant = msgspec.json.decode(fact.body, type=ProAccountMessage).pro_account

    assert grant == buckets.ProAccount(
        hotkey="a", standard_account_size=1e5, pro_account_size=3e5, granted_ms=NOW, by="me"
    )


@pytest.mark.parametrize("bucket", sorted(record.BUCKETS - {"CHALLENGE", "ELIMINATED"}))
def test_every_bucket_can_be_moved_into_and_back(bucket: str) -> None:
    office = Office()
    office.move(bucket, 2e5 if buckets.is_pro(bucket) else None)
    found = office.move("CHALLENGE")

    assert [step.bucket for step in found.history] == ["CHALLENGE", bucket, "CHALLENGE"]
    size = office.registry.get("account_size|a")
    assert size is not None
    assert b"100000" in size.body


@pytest.mark.parametrize("size", [0, -1, True, "5", float("inf"), float("nan"), 1.1e15, []])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(BucketError, match=buckets.SIZE_INVALID):
        buckets.check_move("PRO_FUNDED", size)
