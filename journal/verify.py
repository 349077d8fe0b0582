"""Verifying a journal's file: everything its rules promise, checked against every row.

Rule: damage is reported with the stream and number it touches, never raised; only a file that is not there
or cannot be opened is an error. One read transaction covers the whole check, so it may run beside writers
(the write-ahead log grows meanwhile).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from journal.codec import PLAIN_BYTES, inflate
from journal.entry import DURABLE_STREAMS, CorruptError
from journal.eras import GAP, REASONS, Era
from journal.identity import FIRST, ID_BYTES, checksum, digest, event_id
from journal.plan import Key
from journal.reading import read_eras
from journal.schema import STREAM_IDS, check_format, connect, definitions, expected_definitions, row_sum
from journal.writing import last_sum

MAX_FINDINGS: Final = 100  # one broken page can touch thousands of rows
_ROWS: Final = """SELECT sequence, CAST(key AS BLOB), previous, event_id, time_ms, checksum, deflated, body
    FROM entry WHERE stream = ? ORDER BY sequence"""
_STREAMS: Final = "SELECT id, CAST(name AS BLOB), head, floor, time_ms, checksum FROM stream ORDER BY id"
_LAST: Final = """SELECT key.id, key.stream, CAST(key.name AS BLOB), last.sequence, last.event_id,
    last.identity, last.checksum FROM key LEFT JOIN last ON last.key = key.id"""
_READ_ERRORS: Final = (
    apsw.CorruptError,
    apsw.IOError,
    apsw.SQLError,
    apsw.NotADBError,
    CorruptError,
    UnicodeDecodeError,
)

Seen = dict[Key, tuple[int, bytes]]  # (stream, key) → newest entry's number and id


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong; ``stream`` and ``sequence`` are None when it is not about one entry."""

    message: str
    stream: str | None = None
    sequence: int | None = None

    def __str__(self) -> str:
        where = [str(part) for part in (self.stream, self.sequence) if part is not None]
        return f"{' '.join(where) or 'file'}: {self.message}"


class Report(msgspec.Struct):
    """What was checked (``entries``: stream → count) and what is wrong."""

    path: str
    entries: dict[str, int]
    epochs: int
    findings: list[Finding]

    @property
    def is_clean(self) -> bool:
        return not self.findings


class _Stream(msgspec.Struct, frozen=True):
    name: str
    head: int
    floor: int
    time_ms: int


def verify(path: Path) -> Report:
    """Check everything. Raises UnavailableError when the file cannot be opened."""
    report = Report(str(path), {}, 0, [])
    try:
        connection = connect(path, write=False)
        try:
            check_format(connection, path)
            connection.execute("BEGIN")
            for finding in _check(connection, report):
                report.findings.append(finding)
                if len(report.findings) >= MAX_FINDINGS:
                    report.findings.append(Finding("more was found; the check stopped here"))
                    break
        finally:
            connection.close(True)
    except _READ_ERRORS as error:
        report.findings.append(Finding(str(error)))
    return report


def _check(connection: apsw.Connection, report: Report) -> Iterator[Finding]:
    eras: list[Era] = []
    streams: list[_Stream] = []
    seen: Seen = {}
    yield from _guarded(_check_file(connection))
    yield from _guarded(_check_eras(connection, report, eras))
    yield from _guarded(_check_heads(connection, streams))
    for stream in streams:
        yield from _StreamCheck(connection, stream, eras, seen, report).run()
    yield from _guarded(_check_last(connection, streams, seen))


def _guarded(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Let one part of the check fail without ending the others."""
    try:
        yield from findings
    except _READ_ERRORS as error:
        yield Finding(str(error))


def _check_file(connection: apsw.Connection) -> Iterator[Finding]:
    if definitions(connection) != expected_definitions():
        yield Finding("its tables are not those of this format")
    for (text,) in connection.execute(f"PRAGMA integrity_check({MAX_FINDINGS})"):
        if text != "ok":
            yield Finding(str(text))


def _check_heads(connection: apsw.Connection, streams: list[_Stream]) -> Iterator[Finding]:
    for row in connection.execute(_STREAMS):
        stream = _stream(row)
        if stream is None:
            yield Finding(f"the head row of stream {row[0]} was altered")
        else:
            streams.append(stream)
    if [stream.name for stream in streams] != list(DURABLE_STREAMS):
        yield Finding("the streams are not the known ones")


def _stream(row: Any) -> _Stream | None:
    number, name, head, floor, time_ms, expected = row
    text = name.decode(errors="replace") if isinstance(name, bytes) else ""
    whole = STREAM_IDS.get(text) == number and row_sum(text, head, floor, time_ms) == expected
    return _Stream(text, head, floor, time_ms) if whole else None


def _check_eras(connection: apsw.Connection, report: Report, eras: list[Era]) -> Iterator[Finding]:
    eras += read_eras(connection, Path(report.path))
    report.epochs = len(eras)
    if not eras or eras[-1].last is not None or any(era.last is None for era in eras[:-1]):
        yield Finding("not exactly the newest epoch is open")
        return
    for era in eras:
        if era.reason not in (*REASONS, "copy"):
            yield Finding(f"epoch {era.epoch.id}: unknown reason {era.reason!r}")
    for before, after in pairwise(eras):
        assert before.last is not None
        for stream, last in before.last.items():
            if after.epoch.first.get(stream, 0) < last + GAP:
                yield Finding(f"epoch {after.epoch.id} starts too near to the one before it", stream)


class _StreamCheck:
    """One stream's entries, in order of their numbers."""

    def __init__(
        self, connection: apsw.Connection, stream: _Stream, eras: list[Era], seen: Seen, report: Report
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._spans = [
            (era.epoch.first[stream.name], stream.head if era.last is None else era.last[stream.name])
            for era in eras
            if stream.name in era.epoch.first
        ]
        self._is_copy = any(era.reason == "copy" for era in eras)
        self._seen, self._report = seen, report
        self._number, self._time_ms = stream.floor, 0

    def run(self) -> Iterator[Finding]:
        name = self._stream.name
        self._report.entries[name] = 0
        try:
            for row in self._connection.execute(_ROWS, (STREAM_IDS[name],)):
                for message in self._row(row):
                    yield Finding(message, name, row[0] if isinstance(row[0], int) else self._number + 1)
                self._report.entries[name] += 1
        except _READ_ERRORS as error:
            yield Finding(f"cannot be read: {error}", name, self._number + 1)
            return
        if self._next(self._number) is not None:
            yield Finding(f"missing, although the head is {self._stream.head}", name, self._number + 1)

    def _row(self, row: Any) -> Iterator[str]:
        sequence, key, previous, identifier, time_ms, total, size, stored = row
        if not _has_types(row):
            yield "its row was altered"
            self._number = sequence if isinstance(sequence, int) else self._number + 1
            return
        if sequence != self._next(self._number):
            yield f"does not follow {self._number}"
        self._number = sequence
        if checksum(sequence, time_ms, identifier, stored) != total:
            yield "its checksum does not fit"
        if time_ms < self._time_ms or time_ms > self._stream.time_ms:
            yield "its time is out of order"
        self._time_ms = max(self._time_ms, time_ms)
        yield from self._body(sequence, key.decode(errors="replace"), previous, identifier, size, stored)

    def _body(
        self, sequence: int, key: str, previous: bytes | None, identifier: bytes, size: int, stored: bytes
    ) -> Iterator[str]:
        try:
            body = inflate(stored, size) if size else stored
        except ValueError as error:
            yield f"its body {error}"
            return
        if 0 < size <= PLAIN_BYTES:
            yield "its deflated flag is wrong"
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield f"its body is not JSON: {error}"
        yield from self._chain(sequence, key, previous, identifier, body)

    def _chain(
        self, sequence: int, key: str, previous: bytes | None, identifier: bytes, body: bytes
    ) -> Iterator[str]:
        where = (self._stream.name, key)
        before = self._seen.get(where)
        self._seen[where] = (sequence, identifier)
        if previous is None:
            if before is not None or not self._is_copy:
                yield "its previous event id is missing"
            return
        if event_id(*where, previous, digest(body)) != identifier:
            yield "its event id does not follow from its content"
        if before is not None and previous != before[1]:
            yield "its key's chain of event ids is broken"
        if before is None and self._stream.floor == 0 and previous != FIRST:
            yield "its key's first entry is missing"

    def _next(self, number: int) -> int | None:
        """Return the number that must follow, None after the head."""
        for first, last in self._spans:
            if last > number and last >= first:
                return max(number + 1, first)
        return None


def _has_types(row: Any) -> bool:
    sequence, key, previous, identifier, time_ms, total, size, stored = row
    numbers = all(isinstance(value, int) for value in (sequence, time_ms, total, size))
    ids = [identifier] if previous is None else [identifier, previous]
    return (
        numbers
        and isinstance(key, bytes)
        and isinstance(stored, bytes)
        and all(isinstance(value, bytes) and len(value) == ID_BYTES for value in ids)
    )


def _check_last(connection: apsw.Connection, streams: list[_Stream], seen: Seen) -> Iterator[Finding]:
    by_number = {STREAM_IDS[stream.name]: stream for stream in streams}
    missing = set(seen)
    for row in connection.execute(_LAST):
        number, stream_number, name, sequence, identifier, identity, expected = row
        stream = by_number.get(stream_number)
        if stream is None or not _has_last_types(row):
            yield Finding(f"the noted last entry of key {number} was altered")
            continue
        where = (stream.name, name.decode(errors="replace"))
        missing.discard(where)
        found = seen.get(where)
        if last_sum(number, sequence, identifier, identity) != expected:
            yield Finding(f"the noted last entry of {where[1]} was altered", stream.name, sequence)
        elif found is not None and found != (sequence, identifier):
            yield Finding(f"noted as the last entry of {where[1]}, which it is not", stream.name, sequence)
        elif found is None and sequence > stream.floor:
            yield Finding(f"noted as the last entry of {where[1]}, but not there", stream.name, sequence)
    for stream_name, key in sorted(missing):
        yield Finding(f"the last entry of {key} is not noted", stream_name)
    for (number,) in connection.execute("SELECT key FROM last WHERE key NOT IN (SELECT id FROM key)"):
        yield Finding(f"a last entry is noted for an unknown key ({number})")


def _has_last_types(row: Any) -> bool:
    _, _, name, sequence, identifier, identity, _ = row
    return (
        isinstance(name, bytes)
        and isinstance(sequence, int)
        and isinstance(identifier, bytes)
        and (identity is None or isinstance(identity, bytes))
    )
