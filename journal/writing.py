"""The rows behind an append: heads, last entries, inserts, eras. All inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, cast

import apsw
from isal.isal_zlib import crc32

from journal.codec import inflate
from journal.entry import DURABLE_STREAMS, CorruptError
from journal.eras import Era
from journal.identity import MODULUS, checksum
from journal.plan import Key, Last, Row
from journal.reading import era_row, read_heads
from journal.schema import STREAM_IDS, row_sum
from journal.store import KeyHeads

_SAVE_HEAD: Final = "UPDATE stream SET head = ?, floor = ?, time_ms = ?, checksum = ? WHERE id = ?"
_KEY: Final = "SELECT ?, name, id FROM key WHERE stream = ? AND name = ?"
_NEW_KEY: Final = "INSERT INTO key(stream, name) VALUES (?, ?)"
_LAST: Final = "SELECT key, sequence, event_id, identity, checksum FROM last WHERE key = ?"
_SAVE_LAST: Final = "INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?, ?)"
_INSERT: Final = """INSERT INTO entry
    (stream, sequence, key, previous, event_id, time_ms, checksum, deflated, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_BODY: Final = "SELECT deflated, body FROM entry WHERE stream = ? AND sequence = ?"
_TRIM_TO: Final = """SELECT max(sequence) FROM (SELECT sequence FROM entry
    WHERE stream = ? AND sequence <= ? ORDER BY sequence LIMIT ?)"""
_TRIM: Final = "DELETE FROM entry WHERE stream = ? AND sequence <= ?"
_ADD_ERA: Final = "INSERT INTO epoch VALUES (?, ?, ?, ?, ?, ?, ?)"

KEYS_REMEMBERED: Final = 200_000  # some 40 MB

NewRow = tuple[Row, int, bytes | None]  # a row, its time, and its deflated body if it has one


class Heads(NamedTuple):
    """The heads, floors and newest times of the streams of a transaction, and the current epoch's number."""

    numbers: dict[str, int]
    floors: dict[str, int]
    times: dict[str, int]
    before: dict[str, int]  # numbers as loaded: only streams that moved are written
    epoch: int

    def advance(self, numbers: Mapping[str, int], times: Mapping[str, int]) -> None:
        """Take over new heads, and newest times of streams that moved."""
        self.numbers.update(numbers)
        self.times.update(times)


class KeyIds:
    """The keys' row ids. One is remembered only after its commit; from then on it never changes."""

    def __init__(self) -> None:
        self._durable: dict[Key, int] = {}
        self._fresh: dict[Key, int] = {}  # given in the transaction that is open

    def of(self, connection: apsw.Connection, keys: Iterable[Key]) -> dict[Key, int]:
        """Return the ids of the keys that have one."""
        ids: dict[Key, int] = {}
        unknown: list[tuple[str, int, str]] = []
        for key in keys:
            number = self._durable.get(key) or self._fresh.get(key)
            if number is not None:
                ids[key] = number
            else:
                unknown.append((key[0], STREAM_IDS[key[0]], key[1]))
        for row in connection.executemany(_KEY, unknown):
            stream, name, number = cast(tuple[str, str, int], row)
            ids[stream, name] = self._fresh[stream, name] = number
        return ids

    def give(self, connection: apsw.Connection, key: Key) -> int:
        """Return a new id."""
        connection.execute(_NEW_KEY, (STREAM_IDS[key[0]], key[1]))
        number = self._fresh[key] = connection.last_insert_rowid()
        return number

    def keep(self) -> None:
        """The transaction is durable."""
        if len(self._durable) + len(self._fresh) > KEYS_REMEMBERED:
            self._durable.clear()
        self._durable.update(self._fresh)
        self._fresh.clear()

    def forget(self) -> None:
        """The transaction was undone."""
        self._fresh.clear()


def begin(connection: apsw.Connection, era: Era, base: Mapping[str, int], keys: KeyHeads) -> None:
    """Fill new tables: every stream at its base, the first era, and the keys a replica knows of."""
    for stream, number in STREAM_IDS.items():
        values = (base.get(stream, 0), base.get(stream, 0), 0)
        row = (number, stream, *values, row_sum(stream, *values))
        connection.execute("INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?)", row)
    add_era(connection, 1, era)
    last = {(key.stream, key.key): Last(key.sequence, key.event_id, None) for key in keys}
    _save_last(connection, last, KeyIds(), {})


def load_heads(connection: apsw.Connection, streams: Collection[str] = DURABLE_STREAMS) -> Heads:
    """Read these streams' rows. Raises CorruptError when one was altered."""
    rows = read_heads(connection, streams)
    numbers = {row.stream: row.head for row in rows}
    floors = {row.stream: row.floor for row in rows}
    times = {row.stream: row.time_ms for row in rows}
    return Heads(numbers, floors, times, dict(numbers), rows[0].epoch)


def save_heads(connection: apsw.Connection, heads: Heads) -> None:
    """Write the rows of the streams that moved."""
    for stream, head in heads.numbers.items():
        if head != heads.before[stream]:
            _save_head(connection, stream, head, heads.floors[stream], heads.times[stream])


def _save_head(connection: apsw.Connection, stream: str, head: int, floor: int, time_ms: int) -> None:
    total = row_sum(stream, head, floor, time_ms)
    connection.execute(_SAVE_HEAD, (head, floor, time_ms, total, STREAM_IDS[stream]))


def load_last(connection: apsw.Connection, ids: Mapping[Key, int]) -> dict[Key, Last]:
    """Return the keys' last entries. Raises CorruptError when one was altered or is not there."""
    names = {number: key for key, number in ids.items()}
    last: dict[Key, Last] = {}
    for row in connection.executemany(_LAST, [(number,) for number in names]):
        number, sequence, event_id, identity, expected = cast(_LastRow, row)
        if last_sum(number, sequence, event_id, identity) != expected:
            raise CorruptError(f"the last entry of {names[number]} is damaged: run python -m journal verify")
        last[names[number]] = Last(sequence, event_id, identity)
    if len(last) != len(ids):
        raise CorruptError("a key has no last entry: run python -m journal verify")
    return last


_LastRow = tuple[int, int, bytes, bytes | None, int]


def last_sum(number: int, sequence: int, event_id: bytes, identity: bytes | None) -> int:
    """Return the checksum of a ``last`` row."""
    known = b"?" if identity is None else identity
    return int(crc32(known, crc32(event_id, (sequence * 31 + number) % MODULUS)))


def load_body(connection: apsw.Connection, stream: str, sequence: int) -> bytes | None:
    """Return a kept entry's body, or None when it was trimmed."""
    row = connection.execute(_BODY, (STREAM_IDS[stream], sequence)).fetchone()
    if row is None:
        return None
    size, body = cast(tuple[int, bytes], row)
    return inflate(body, size) if size else body


def insert(connection: apsw.Connection, rows: Sequence[NewRow], keys: KeyIds, ids: Mapping[Key, int]) -> None:
    """Write entries and their keys' last ids. ``ids`` are those of the keys that are not new."""
    if not rows:
        return
    connection.executemany(_INSERT, [_columns(*row) for row in rows])
    last = {(row.stream, row.key): Last(row.sequence, row.event_id, row.identity) for row, _, _ in rows}
    _save_last(connection, last, keys, ids)


def _columns(row: Row, time_ms: int, packed: bytes | None) -> tuple[object, ...]:
    stored, size = (row.body, 0) if packed is None else (packed, len(row.body))
    total = checksum(row.sequence, time_ms, row.event_id, stored)
    stream = STREAM_IDS[row.stream]
    return stream, row.sequence, row.key, row.previous, row.event_id, time_ms, total, size, stored


def _save_last(
    connection: apsw.Connection, last: Mapping[Key, Last], keys: KeyIds, ids: Mapping[Key, int]
) -> None:
    rows = []
    for where, entry in last.items():
        number = ids.get(where) or keys.give(connection, where)
        sequence, event_id, identity = entry.sequence, entry.event_id, entry.identity
        rows.append((number, sequence, event_id, identity, last_sum(number, sequence, event_id, identity)))
    connection.executemany(_SAVE_LAST, rows)


def trim(connection: apsw.Connection, stream: str, through: int, limit: int) -> int:
    """Remove the oldest entries up to ``through``, at most ``limit``; returns how many went."""
    number = STREAM_IDS[stream]
    ((last,),) = connection.execute(_TRIM_TO, (number, through, limit))
    if last is None:
        return 0
    connection.execute(_TRIM, (number, last))
    removed = connection.changes()
    heads = load_heads(connection, (stream,))
    _save_head(connection, stream, heads.numbers[stream], last, heads.times[stream])
    return removed


def add_era(connection: apsw.Connection, number: int, era: Era) -> None:
    """Write a new current era."""
    connection.execute(_ADD_ERA, era_row(number, era))


def close_era(connection: apsw.Connection, number: int, era: Era) -> None:
    """Write where an era ended."""
    connection.execute("DELETE FROM epoch WHERE number = ?", (number,))
    connection.execute(_ADD_ERA, era_row(number, era))
