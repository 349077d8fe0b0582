"""The registered facts as a checkpoint shows them.

Rule 1: a fact is shown as its owner wrote it; one that cannot be read is left out and logged, never guessed.
Rule 2: ``Registered`` is immutable; a new entry makes a new one, and only what is asked for is decoded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

import msgspec
import structlog

from journal.state import Totals
from validator import eliminated
from validator.assets import read_selection
from validator.collateral.accounts import read_account
from vanta_api.records import AccountSizeMessage, AccountSizeRecord

ARCHIVED: Final = "archived"
ELIMINATED: Final = "ELIMINATED"  # a bucket's name
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_log = structlog.get_logger()
Value = TypeVar("Value")


class _Challenge(msgspec.Struct):
    bucket: str
    bucket_start_time: int
    previous_bucket: str | None = None
    previous_bucket_start_time: int | None = None


class _ChallengeBody(msgspec.Struct):
    challenge: _Challenge


class _SizesBody(msgspec.Struct):
    account_sizes: tuple[AccountSizeRecord, ...]


class _ArchivedTotals(msgspec.Struct):
    positions: int
    lasted: int
    profitable: int
    growth: float
    zeros: int


class _ArchivedBody(msgspec.Struct):
    archived: dict[str, _ArchivedTotals]


_challenge: Final = msgspec.json.Decoder(_ChallengeBody)
_sizes: Final = msgspec.json.Decoder(_SizesBody)
_size: Final = msgspec.json.Decoder(AccountSizeMessage)
_archived: Final = msgspec.json.Decoder(_ArchivedBody)


class Registered:
    """The newest body of every ``registry`` key, by kind (what stands before the first ``|``)."""

    def __init__(self, kinds: Mapping[str, Mapping[str, bytes]]) -> None:
        self._kinds = kinds

    def replaced(self, changed: Mapping[str, Mapping[str, bytes]]) -> Registered:
        """The same with other facts of some kinds."""
        return Registered({**self._kinds, **changed})

    def bodies(self) -> Iterator[tuple[str, bytes]]:
        """Every key and its body."""
        for facts in self._kinds.values():
            yield from facts.items()

    def body(self, key: str) -> bytes | None:
        """The newest body of a key."""
        return self._kinds.get(key.partition("|")[0], {}).get(key)

    @cached_property
    def eliminations(self) -> list[dict[str, Any]]:
        """Rows of who is out, oldest first."""
        rows = [row for _, row in self._facts("elimination", eliminated.decode)]
        ordered = sorted(rows, key=lambda row: (row.elimination_initiated_time_ms, row.hotkey))
        return [msgspec.to_builtins(row) for row in ordered]

    @cached_property
    def challenge_periods(self) -> dict[str, dict[str, Any]]:
        """Hotkey → its bucket and the one before; who is out is in ``eliminations`` instead."""
        found = self._facts("challenge", lambda body: _challenge.decode(body).challenge)
        return {hotkey: msgspec.to_builtins(one) for hotkey, one in found if one.bucket != ELIMINATED}

    @cached_property
    def asset_selections(self) -> dict[str, str]:
        """Hotkey → the asset class it selected."""
        return {hotkey: one.asset_class for hotkey, one in self._facts("asset", read_selection)}

    @cached_property
    def account_sizes(self) -> dict[str, list[dict[str, Any]]]:
        """Hotkey → all its records that are known, oldest first."""
        found: defaultdict[str, set[AccountSizeRecord]] = defaultdict(set)
        for hotkey, sizes in self._facts("account_sizes", _sizes.decode):
            found[hotkey].update(sizes.account_sizes)
        for hotkey, account in self._facts("collateral", read_account):
            found[hotkey].update(account.records)
        for hotkey, size in self._facts("account_size", _size.decode):
            found[hotkey].add(size.account_size)
        return {hotkey: _in_order(records) for hotkey, records in sorted(found.items()) if records}

    def archived(self, hotkey: str) -> Mapping[str, Totals]:
        """What closed positions that a restore could not bring one by one add up to, by trade pair."""
        key = f"{ARCHIVED}|{hotkey}"
        body = self._kinds.get(ARCHIVED, {}).get(key)
        found = _read(key, body, _archived.decode) if body is not None else None
        if found is None:
            return {}
        return {pair: Totals(*msgspec.structs.astuple(one)) for pair, one in found.archived.items()}

    def _facts(self, kind: str, decode: Callable[[bytes], Value]) -> Iterator[tuple[str, Value]]:
        """What stands after the ``|`` of each key, and what its body says."""
        for key, body in sorted(self._kinds.get(kind, {}).items()):
            value = _read(key, body, decode)
            if value is not None:
                yield key.partition("|")[2], value


def _read(key: str, body: bytes, decode: Callable[[bytes], Value]) -> Value | None:
    try:
        return decode(body)
    except _UNREADABLE as error:
        _log.warning("fact not shown", key=key, problem=str(error))
        return None


class RegistryKeeper:
    """Follows the ``registry`` stream. Mutable and owned by one thread at a time."""

    def __init__(self) -> None:
        self.registered = Registered({})
        self._kinds: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._touched: set[str] = set()

    def take(self, key: str, body: bytes) -> None:
        """Take over an entry."""
        kind = key.partition("|")[0]
        self._kinds[kind][key] = body
        self._touched.add(kind)

    def archived(self, hotkey: str) -> Mapping[str, Totals]:
        """As ``Registered.archived``, from the newest entries."""
        return Registered(self._kinds).archived(hotkey)

    def settle(self) -> bool:
        """Make the new value if there was an entry; True when there was one."""
        if not self._touched:
            return False
        changed = {kind: dict(self._kinds[kind]) for kind in self._touched}
        self.registered = self.registered.replaced(changed)
        self._touched.clear()
        return True


def added(some: Mapping[str, Totals], others: Mapping[str, Totals]) -> Mapping[str, Totals]:
    """Totals of different positions, by trade pair, as one."""
    return {**some, **{pair: _sum(some.get(pair, Totals()), total) for pair, total in others.items()}}


def _sum(one: Totals, other: Totals) -> Totals:
    return Totals(
        one.positions + other.positions,
        one.lasted + other.lasted,
        one.profitable + other.profitable,
        one.growth * other.growth,
        one.zeros + other.zeros,
    )


def _in_order(records: Iterable[AccountSizeRecord]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [msgspec.to_builtins(record) for record in records]
    for row in rows:
        del row["hotkey"]  # it is the key above
    return sorted(rows, key=lambda row: (row["valid_date_timestamp"], row["update_time_ms"]))
