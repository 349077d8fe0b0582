"""Mark prices: the newest per instrument, and their history at one-minute resolution.

Rule 1: marks are no journal stream. They can be fetched again, so this file is synced at checkpoints only,
and a damaged one is put aside and begun anew.
Rule 2: ``revision`` grows by one with every ``put`` that changed a price. A reader that remembers it learns
with one small query what changed.
Rule 3: a history row is the last mark of its minute; an older mark only fills a minute that has none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw
import msgspec
import structlog

from journal.doorbell import Doorbell, Ringer
from journal.entry import CorruptError, UnavailableError
from journal.schema import BUSY_S, explained, patient, prepare_file
from vanta_api.records import MarkMessage

MINUTE_MS: Final = 60_000
KEEP_MS: Final = 25 * 3_600_000  # the lagged tiers need the marks of 24 hours ago
BELLS: Final = "mark-bells"  # folder beside the file

log = structlog.get_logger()

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS mark(
    trade_pair_id TEXT PRIMARY KEY, venue TEXT NOT NULL, instrument TEXT NOT NULL, price TEXT NOT NULL,
    time_ms INTEGER NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history(
    trade_pair_id TEXT NOT NULL, minute INTEGER NOT NULL, venue TEXT NOT NULL, instrument TEXT NOT NULL,
    price TEXT NOT NULL, time_ms INTEGER NOT NULL, PRIMARY KEY(trade_pair_id, minute)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revision(number INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS mark_revision ON mark(revision);
INSERT INTO revision SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM revision);
"""
_COLUMNS: Final = "trade_pair_id, venue, instrument, price, time_ms"
_PUT: Final = f"""INSERT INTO mark({_COLUMNS}, revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO UPDATE SET venue = ?2, instrument = ?3, price = ?4, time_ms = ?5, revision = ?6
    WHERE time_ms <= ?5 AND (price <> ?4 OR venue <> ?2 OR instrument <> ?3)"""
_NOTE: Final = f"""INSERT INTO history({_COLUMNS}, minute) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO UPDATE SET venue = ?2, instrument = ?3, price = ?4, time_ms = ?5
    WHERE time_ms <= ?5 AND price <> ?4"""
_AT: Final = f"""SELECT {_COLUMNS} FROM (
        SELECT {_COLUMNS} FROM mark WHERE trade_pair_id = ?1 AND time_ms <= ?2
        UNION ALL
        SELECT * FROM (SELECT {_COLUMNS} FROM history WHERE trade_pair_id = ?1 AND minute <= ?3
            AND time_ms <= ?2 ORDER BY minute DESC LIMIT 1))
    ORDER BY time_ms DESC LIMIT 1"""
_BETWEEN: Final = f"""SELECT {_COLUMNS} FROM history
    WHERE trade_pair_id = ? AND minute BETWEEN ? AND ? AND time_ms BETWEEN ? AND ? ORDER BY minute"""
_NEWEST_BEFORE: Final = """SELECT trade_pair_id, max(minute) FROM history
    WHERE minute <= ? AND time_ms <= ? GROUP BY trade_pair_id"""
_TRIM: Final = "DELETE FROM history WHERE trade_pair_id = ? AND minute < ?"


class MarkStore:
    """The marks at ``path``, made when not there. One per thread or shared; any number of processes."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.bells = self.path.parent / BELLS
        self._lock = threading.Lock()
        self._ringer = Ringer(self.bells)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except CorruptError:
            self._put_aside()
            self._connection = self._open()
        except OSError as error:
            raise UnavailableError(f"cannot make {self.path.parent}: {error.strerror}") from error

    def put(self, marks: Sequence[MarkMessage]) -> int:
        """Take over prices and return the revision after them.

        A price that did not change is no change, whatever its time; an older mark than the one there only
        fills a free minute of the history.
        """
        rows = [(m.trade_pair_id, m.venue, m.instrument, m.price, m.time_ms) for m in marks]
        with self._transaction(write=True) as connection:
            before = _revision(connection)
            connection.executemany(_PUT, [(*row, before + 1) for row in rows])
            ((changed,),) = connection.execute("SELECT count(*) FROM mark WHERE revision > ?", (before,))
            connection.executemany(_NOTE, [(*row, row[4] // MINUTE_MS) for row in rows])
            if changed:
                connection.execute("UPDATE revision SET number = ?", (before + 1,))
        if changed:
            self._ringer.ring()
        return before + bool(changed)

    def latest(self) -> dict[str, MarkMessage]:
        """Return trade pair id → newest mark."""
        return {mark.trade_pair_id: mark for mark in self.changed_since(-1)[1]}

    def revision(self) -> int:
        """Return the number of the newest change, 0 for none."""
        with self._transaction() as connection:
            return _revision(connection)

    def changed_since(self, revision: int) -> tuple[int, list[MarkMessage]]:
        """Return the present revision and the marks that changed after ``revision``.

        A revision that lies ahead (this file was begun anew) gets every mark.
        """
        with self._transaction() as connection:
            present = _revision(connection)
            since = revision if revision <= present else -1
            rows = connection.execute(f"SELECT {_COLUMNS} FROM mark WHERE revision > ?", (since,))
            return present, [_mark(row) for row in rows]

    def at(self, trade_pair_id: str, ms: int) -> MarkMessage | None:
        """Return the newest known mark whose ``time_ms`` is not after ``ms``."""
        with self._transaction() as connection:
            row = connection.execute(_AT, (trade_pair_id, ms, ms // MINUTE_MS)).fetchone()
        return None if row is None else _mark(row)

    def history(self, trade_pair_id: str, from_ms: int, to_ms: int) -> list[MarkMessage]:
        """Return the kept marks of a time span (both ends included), oldest first, one a minute at most."""
        span = (trade_pair_id, from_ms // MINUTE_MS, to_ms // MINUTE_MS, from_ms, to_ms)
        with self._transaction() as connection:
            return [_mark(row) for row in connection.execute(_BETWEEN, span)]

    def trim(self, before_ms: int) -> int:
        """Remove history before a time and return how many rows went.

        Each instrument keeps its newest row before that time, so that ``at`` still knows the price then.
        """
        with self._transaction(write=True) as connection:
            oldest = connection.execute(_NEWEST_BEFORE, (before_ms // MINUTE_MS, before_ms)).fetchall()
            before = connection.total_changes()
            connection.executemany(_TRIM, oldest)
            return connection.total_changes() - before

    def doorbell(self) -> Doorbell:
        """A bell that rings when a price changed; close it when done."""
        return Doorbell(self.bells)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._ringer.close()

    def _open(self) -> apsw.Connection:
        with explained(self.path):
            connection = apsw.Connection(str(self.path))
            connection.set_busy_handler(patient(BUSY_S))
            prepare_file(connection)
            connection.pragma("synchronous", "NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLES)
            connection.execute("COMMIT")
            ((health,),) = connection.execute("PRAGMA quick_check(1)")
        if health != "ok":
            connection.close()
            raise CorruptError(f"{self.path}: {health}")
        return connection

    def _put_aside(self) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        log.warning("marks are damaged and begun anew", path=str(self.path), kept_as=str(aside))
        with suppress(FileNotFoundError):  # another process was faster
            os.replace(self.path, aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[apsw.Connection]:
        connection = self._connection
        with self._lock, explained(self.path):
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            except (apsw.FullError, apsw.IOError) as error:
                raise UnavailableError(f"{self.path} cannot be written: {error}") from error
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def _revision(connection: apsw.Connection) -> int:
    ((number,),) = connection.execute("SELECT number FROM revision")
    return int(number)


def _mark(row: tuple[object, ...]) -> MarkMessage:
    pair, venue, instrument, price, time_ms = row
    values = {
        "trade_pair_id": pair,
        "venue": venue,
        "instrument": instrument,
        "price": price,
        "time_ms": time_ms,
    }
    return msgspec.convert(values, MarkMessage)
