"""The rows behind an append: heads, last entries, inserts, eras. All inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

import apsw
from isal.isal_zlib import crc32

from journal.codec import inflate
from journal.entry import CorruptError
from journal.eras import Era
from journal.identity import MODULUS, checksum
from journal.plan import Key, Last, Prepared, Row
from journal.reading import era_row, read_heads
from journal.schema import STREAM_IDS, row_sum
from journal.store import KeyHeads

_SAVE_HEAD: Final = "UPDATE stream SET head = ?, floor = ?, time_ms = ?, checksum = ? WHERE id = ?"
_LAST: Final = """SELECT ?, name, key.id, sequence, event_id, identity, checksum
    FROM key JOIN last ON last.key = key.id WHERE stream = ? AND name = ?"""
_NEW_KEY: Final = "INSERT INTO key(stream, name) VALUES (?, ?)"
_SAVE_LAST: Final = "INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?, ?)"
_INSERT: Final = """INSERT INTO entry
    (stream, sequence, key, previous, event_id, time_ms, checksum, deflated, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_BODY: Final = "SELECT deflated, body FROM entry WHERE stream = ? AND sequence = ?"
_TRIM_TO: Final = """SELECT max(sequence) FROM (SELECT sequence FROM entry
    WHERE stream = ? AND sequence <= ? ORDER BY sequence LIMIT ?)"""
_TRIM: Final = "DELETE FROM entry WHERE stream = ? AND sequence <= ?"
_ADD_ERA: Final = "INSERT INTO epoch VALUES (?, ?, ?, ?, ?, ?, ?)"

NewRow = tuple[Row, int, bytes | None]  # a row, its time, and its deflated body if it has one
KeyIds = dict[Key, int]


class Heads(NamedTuple):
    """Every stream's head and floor, the newest time, and the current epoch's number."""

    numbers: dict[str, int]
    floors: dict[str, int]
    times: dict[str, int]
    before: dict[str, int]  # numbers as loaded: only streams that moved are written
    epoch: int

    @property
    def time_ms(self) -> int:
        """The newest time of any entry."""
        return max(self.times.values())

    def advance(self, numbers: Mapping[str, int], time_ms: int) -> None:
        """Take over new heads; streams that moved get ``time_ms`` as their newest time."""
        for stream, number in numbers.items():
            if number != self.numbers[stream]:
                self.numbers[stream] = number
                self.times[stream] = max(self.times[stream], time_ms)


def begin(connection: apsw.Connection, era: Era, base: Mapping[str, int], keys: KeyHeads) -> None:
    """Fill new tables: every stream at its base, the first era, and the keys a replica knows of."""
    for stream, number in STREAM_IDS.items():
        values = (base.get(stream, 0), base.get(stream, 0), 0)
        row = (number, stream, *values, row_sum(stream, *values))
        connection.execute("INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?)", row)
    add_era(connection, 1, era)
    last = {(key.stream, key.key): Last(key.sequence, key.event_id, None) for key in keys}
    _save_last(connection, last, {})


def load_heads(connection: apsw.Connection) -> Heads:
    """Read every stream's row. Raises CorruptError when one was altered."""
    rows = read_heads(connection)
    numbers = {row.stream: row.head for row in rows}
    floors = {row.stream: row.floor for row in rows}
    times = {row.stream: row.time_ms for row in rows}
    if numbers.keys() != STREAM_IDS.keys():
        raise CorruptError("streams are missing: run python -m journal verify")
    return Heads(numbers, floors, times, dict(numbers), rows[0].epoch)


def save_heads(connection: apsw.Connection, heads: Heads) -> None:
    """Write the rows of the streams that moved."""
    for stream, head in heads.numbers.items():
        if head != heads.before[stream]:
            _save_head(connection, stream, head, heads.floors[stream], heads.times[stream])


def _save_head(connection: apsw.Connection, stream: str, head: int, floor: int, time_ms: int) -> None:
    total = row_sum(stream, head, floor, time_ms)
    connection.execute(_SAVE_HEAD, (head, floor, time_ms, total, STREAM_IDS[stream]))


def load_last(connection: apsw.Connection, prepared: Sequence[Prepared]) -> tuple[dict[Key, Last], KeyIds]:
    """Return the keys' last entries and their ids; new keys are in neither."""
    last: dict[Key, Last] = {}
    numbers: KeyIds = {}
    wanted = [(draft.stream, STREAM_IDS[draft.stream], draft.key) for draft in prepared]
    for row in connection.executemany(_LAST, wanted):
        stream, name, number, sequence, event_id, identity, expected = cast(_LastRow, row)
        if last_sum(number, sequence, event_id, identity) != expected:
            raise CorruptError(f"the last entry of {stream} {name} is damaged: run python -m journal verify")
        last[stream, name] = Last(sequence, event_id, identity)
        numbers[stream, name] = number
    return last, numbers


_LastRow = tuple[str, str, int, int, bytes, bytes | None, int]


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


def insert(connection: apsw.Connection, rows: Sequence[NewRow], numbers: KeyIds) -> None:
    """Write entries and their keys' last ids. ``numbers`` holds the ids of the keys that are not new."""
    if not rows:
        return
    connection.executemany(_INSERT, [_columns(*row) for row in rows])
    last = {(row.stream, row.key): Last(row.sequence, row.event_id, row.identity) for row, _, _ in rows}
    _save_last(connection, last, numbers)


def _columns(row: Row, time_ms: int, packed: bytes | None) -> tuple[object, ...]:
    stored, size = (row.body, 0) if packed is None else (packed, len(row.body))
    total = checksum(row.sequence, time_ms, row.event_id, stored)
    stream = STREAM_IDS[row.stream]
    return stream, row.sequence, row.key, row.previous, row.event_id, time_ms, total, size, stored


def _save_last(connection: apsw.Connection, last: Mapping[Key, Last], numbers: KeyIds) -> None:
    rows = []
    for where, entry in last.items():
        number = numbers.get(where)
        if number is None:
            connection.execute(_NEW_KEY, (STREAM_IDS[where[0]], where[1]))
            number = connection.last_insert_rowid()
        rows.append((number, *entry, last_sum(number, *entry)))
    connection.executemany(_SAVE_LAST, rows)


def trim(connection: apsw.Connection, stream: str, through: int, limit: int) -> int:
    """Remove the oldest entries up to ``through``, at most ``limit``; returns how many went."""
    number = STREAM_IDS[stream]
    ((last,),) = connection.execute(_TRIM_TO, (number, through, limit))
    if last is None:
        return 0
    connection.execute(_TRIM, (number, last))
    removed = connection.changes()
    heads = load_heads(connection)
    _save_head(connection, stream, heads.numbers[stream], last, heads.times[stream])
    return removed


def add_era(connection: apsw.Connection, number: int, era: Era) -> None:
    """Write a new current era."""
    connection.execute(_ADD_ERA, era_row(number, era))


def close_era(connection: apsw.Connection, number: int, era: Era) -> None:
    """Write where an era ended."""
    connection.execute("DELETE FROM epoch WHERE number = ?", (number,))
    connection.execute(_ADD_ERA, era_row(number, era))
