"""Reading the journal's file: pages, heads, epochs, times.

Rule 1: every answer comes out of one read transaction, so its numbers fit together; none is held between
pages, since an open one would keep the write-ahead log from being recycled.
Rule 2: every thread has a read-only connection of its own.
Rule 3: a row whose checksum does not fit is never handed out.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from operator import add, mod
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw
import msgspec
from isal.isal_zlib import crc32

from journal.codec import inflate
from journal.doorbell import Doorbell
from journal.entry import (
    DURABLE_STREAMS,
    PAGE_BYTES,
    PAGE_ENTRIES,
    CorruptError,
    Entry,
    Epoch,
    Page,
    UnavailableError,
)
from journal.eras import Era, span_after
from journal.identity import MODULUS, checksum
from journal.schema import STREAM_IDS, check_format, connect, explained, row_sum
from journal.tail import follow

BELLS: Final = "bells"  # folder beside the journal's file

_HEAD: Final = """SELECT name, head, floor, time_ms, checksum, (SELECT max(number) FROM epoch)
    FROM stream WHERE id = ?"""
_PAGE: Final = """SELECT sequence, key, event_id, time_ms, checksum, deflated, body FROM entry
    WHERE stream = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"""
_NEWEST_UP_TO: Final = """SELECT sequence, time_ms, event_id, checksum, body FROM entry
    WHERE stream = ? AND sequence <= ? ORDER BY sequence DESC LIMIT 1"""
_ERAS: Final = "SELECT number, id, reason, created_ms, first, last, checksum FROM epoch ORDER BY number"

Row = tuple[int, str, bytes, int, int, int, bytes]  # the columns of _PAGE


class Head(NamedTuple):
    """One stream's row: its head, its floor, its newest time, and the number of the current epoch."""

    stream: str
    head: int
    floor: int
    time_ms: int
    epoch: int


class SqliteReader:
    """A reader of the journal at ``path``; threads may share it. The file must exist.

    ``vfs`` names a registered SQLite file layer (default: the system's).
    """

    def __init__(self, path: Path, *, vfs: str = "") -> None:
        self.path = Path(path)
        self._vfs = vfs
        self.bells = self.path.parent / BELLS
        self._threads = threading.local()
        self._open: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._eras: tuple[int, list[Era]] = (0, [])
        check_format(self._reader(), self.path)

    def epoch(self) -> Epoch:
        return self.eras()[-1].epoch

    def epochs(self) -> list[Epoch]:
        """Every epoch, oldest first."""
        return [era.epoch for era in self.eras()]

    def eras(self) -> list[Era]:
        """Every epoch with why it began and where it ended, oldest first."""
        with self._transaction() as connection:
            ((newest,),) = connection.execute("SELECT max(number) FROM epoch")
            return self._eras_of(connection, newest)

    @property
    def is_replica(self) -> bool:
        """True while the journal copies another one."""
        return self.eras()[-1].reason == "copy"

    def head(self, stream: str) -> int:
        return self.heads()[stream]

    def heads(self) -> dict[str, int]:
        with self._transaction() as connection:
            return {head.stream: head.head for head in read_heads(connection)}

    def read(self, stream: str, after: int, limit: int = PAGE_ENTRIES, max_bytes: int = PAGE_BYTES) -> Page:
        limit = min(limit, PAGE_ENTRIES)
        with self._transaction() as connection:
            head = _read_head(connection, stream)
            eras = self._eras_of(connection, head.epoch)
            span = span_after(eras, stream, after, head.head)
            oldest = span_after(eras, stream, head.floor, head.head).first
            if after >= head.floor and span.first <= span.last:
                rows, is_cut = _rows(
                    connection, (STREAM_IDS[stream], span.first, span.last, limit), max_bytes
                )
                entries = _entries(stream, rows, self.path)
                whole = is_cut or len(rows) == limit or entries[-1].sequence == span.last
                if not whole or entries[0].sequence != span.first:
                    raise CorruptError(f"{self.path}: {stream} misses entries: run python -m journal verify")
                return Page(entries, oldest, head.head, span.epoch, False)
        return Page((), oldest, head.head, eras[-1].epoch.id, after < head.floor)

    def follow(
        self, stream: str, after: int, *, stop: Callable[[], bool], poll_s: float = 0.25
    ) -> Iterator[Page]:
        return follow(lambda last: self.read(stream, last), self.doorbell, after, stop, poll_s)

    def doorbell(self) -> Doorbell:
        """A bell that rings after every append of any process; close it when done."""
        return Doorbell(self.bells)

    def sequence_at(self, stream: str, ms: int) -> int:
        with self._transaction() as connection:
            head = _read_head(connection, stream)
            first = span_after(self._eras_of(connection, head.epoch), stream, head.floor, head.head).first
            if first > head.head:
                return head.head
            below, above = first - 1, head.head  # the answer lies in below..above: times never go back
            newest = below
            while below < above:
                middle = (below + above + 1) // 2
                sequence, time_ms = _newest_up_to(connection, stream, middle)
                if time_ms <= ms:
                    below, newest = middle, sequence
                else:
                    above = sequence - 1
            return newest

    def size_bytes(self) -> int:
        """Return the size of the file and its write-ahead log."""
        total = self.path.stat().st_size
        with suppress(FileNotFoundError):  # the last one to close removes the log
            total += self.path.with_name(f"{self.path.name}-wal").stat().st_size
        return total

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in list(self._open):
            connection.close()

    def _reader(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            if not self.path.is_file():
                raise UnavailableError(f"{self.path} is not there: start a writer first")
            connection = self._threads.connection = connect(self.path, write=False, vfs=self._vfs)
            self._open.add(connection)
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        connection = self._reader()
        with explained(self.path):
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def _eras_of(self, connection: apsw.Connection, newest: int) -> list[Era]:
        known, eras = self._eras
        if known != newest:
            eras = read_eras(connection, self.path)
            self._eras = (newest, eras)
        return eras


def read_heads(connection: apsw.Connection, streams: Iterable[str] = DURABLE_STREAMS) -> list[Head]:
    """Read these streams' rows. Raises CorruptError when one was altered or is not there."""
    return [_read_head(connection, stream) for stream in streams]


def _read_head(connection: apsw.Connection, stream: str) -> Head:
    row: Any = connection.execute(_HEAD, (STREAM_IDS[stream],)).fetchone()
    if row is None:
        raise CorruptError(f"stream {stream} is not there: run python -m journal verify")
    name, head, floor, time_ms, expected, epoch = row
    if row_sum(name, head, floor, time_ms) != expected:
        raise CorruptError(f"the head of stream {name} is damaged: run python -m journal verify")
    return Head(name, head, floor, time_ms, epoch)


def _newest_up_to(connection: apsw.Connection, stream: str, number: int) -> tuple[int, int]:
    """Return (number, time) of the newest entry up to a number."""
    row: Any = connection.execute(_NEWEST_UP_TO, (STREAM_IDS[stream], number)).fetchone()
    if row is None or checksum(row[0], row[1], row[2], row[4]) != row[3]:
        raise CorruptError(f"{stream} {number} is damaged: run python -m journal verify")
    return row[0], row[1]


def era_row(number: int, era: Era) -> tuple[object, ...]:
    """Return the columns of ``_ERAS`` for an era."""
    first = msgspec.json.encode(era.epoch.first).decode()
    last = None if era.last is None else msgspec.json.encode(era.last).decode()
    columns = (number, era.epoch.id, era.reason, era.epoch.created_ms, first, last)
    return (*columns, row_sum(*columns))


def read_eras(connection: apsw.Connection, path: Path) -> list[Era]:
    """Read every era, oldest first. Raises CorruptError when one was altered."""
    return [_era(row, path) for row in connection.execute(_ERAS)]


def _era(row: Sequence[Any], path: Path) -> Era:
    if row_sum(*row[:-1]) != row[-1]:
        raise CorruptError(f"{path} is damaged (epoch {row[0]}): run python -m journal verify")
    _, identifier, reason, created_ms, first, last, _ = row
    ended = None if last is None else msgspec.json.decode(last, type=dict[str, int])
    return Era(Epoch(identifier, msgspec.json.decode(first, type=dict[str, int]), created_ms), reason, ended)


def _rows(connection: apsw.Connection, bindings: tuple[int, ...], max_bytes: int) -> tuple[list[Row], bool]:
    """Return the rows up to about ``max_bytes`` of bodies, and whether that cut them short."""
    rows: list[Row] = []
    cursor = connection.execute(_PAGE, bindings)
    for row in cursor:
        rows.append(row)
        max_bytes -= row[5] or len(row[6])
        if max_bytes <= 0:
            break
    cursor.close()
    return rows, max_bytes <= 0


def _entries(stream: str, rows: Sequence[Row], path: Path) -> tuple[Entry, ...]:
    if not rows:
        raise CorruptError(f"{path}: {stream} misses entries: run python -m journal verify")
    sequences, keys, identifiers, times, sums, sizes, bodies = zip(*rows, strict=True)
    # identity.checksum for a whole page, as maps of C functions: a tenth of the time of a loop
    seeds = map(mod, map(add, sequences, times), repeat(MODULUS))
    whole = tuple(map(crc32, bodies, map(crc32, identifiers, seeds))) == sums
    if not whole or sequences[-1] - sequences[0] + 1 != len(rows):
        raise CorruptError(f"{path} is damaged ({stream}): run python -m journal verify")
    if any(sizes):
        bodies = tuple(
            inflate(body, size) if size else body for body, size in zip(bodies, sizes, strict=True)
        )
    return tuple(map(Entry, repeat(stream), sequences, keys, identifiers, times, bodies))
