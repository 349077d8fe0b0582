"""The journal's file: its tables, and how a connection to it is opened.

Format 1. ``entry`` holds the entries; ``pos`` is AUTOINCREMENT, since a plain rowid would be reused after
the newest row was trimmed. ``stream`` holds each stream's head, its floor (the highest number trimmed or
before the base) and its newest time. ``key`` and ``last`` hold every key's last entry and survive
trimming. ``epoch`` lists the eras. Every row carries a checksum, because SQLite has none.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
from isal.isal_zlib import crc32

from journal.entry import DURABLE_STREAMS, CorruptError, UnavailableError

FORMAT: Final = 1
APPLICATION_ID: Final = 0x564A4C31
PAGE_BYTES: Final = 8192  # four usual positions to a page: measured faster than 4096 for reads and batches
STREAM_IDS: Final = {stream: number for number, stream in enumerate(DURABLE_STREAMS, 1)}
BUSY_S: Final = 10.0  # how long a write waits for the other writers
BUSY_SLEEP_S: Final = (0.0002, 0.001)  # random, as SQLite's own growing pauses starve one writer of several
WAL_PAGES: Final = 1000  # write back to the main file from here on
WAL_KEEP_BYTES: Final = 64 * 1024 * 1024

_TABLES: Final = """
CREATE TABLE entry(
    pos INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, sequence INTEGER NOT NULL,
    key TEXT NOT NULL, previous BLOB, event_id BLOB NOT NULL, time_ms INTEGER NOT NULL,
    checksum INTEGER NOT NULL, deflated INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX entry_number ON entry(stream, sequence);
CREATE TABLE stream(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT NULL, floor INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE key(id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE(stream, name));
CREATE TABLE last(
    key INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, event_id BLOB NOT NULL, identity BLOB,
    checksum INTEGER NOT NULL);
CREATE TABLE epoch(
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, reason TEXT NOT NULL, created_ms INTEGER NOT NULL,
    first TEXT NOT NULL, last TEXT, checksum INTEGER NOT NULL);
"""


def row_sum(*values: object) -> int:
    """Return the checksum of a small row; an entry's is ``journal.identity.checksum``."""
    return int(crc32(repr(values).encode()))


def connect(path: Path, *, write: bool, synchronous: str = "FULL", vfs: str = "") -> apsw.Connection:
    """Open the file. Raises UnavailableError when it cannot be opened, CorruptError when it is no journal.

    ``vfs`` names a registered SQLite file layer; tests put failing disks there.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if write else apsw.SQLITE_OPEN_READONLY
    with explained(path):
        connection = apsw.Connection(str(path), flags=flags, vfs=vfs or None)
        connection.set_busy_handler(patient(BUSY_S))
        connection.pragma("cell_size_check", True)
        connection.pragma("cache_size", -8000)
        if write:
            connection.pragma("synchronous", synchronous)
            connection.pragma("journal_size_limit", WAL_KEEP_BYTES)
    return connection


def check_format(connection: apsw.Connection, path: Path) -> None:
    """Raise when the file is not a journal of this format."""
    with explained(path):
        if connection.pragma("application_id") != APPLICATION_ID:
            if is_empty(connection):
                raise UnavailableError(f"{path} is being made by another process: try again")
            raise CorruptError(f"{path} is not a journal")
        if connection.pragma("user_version") != FORMAT:
            raise UnavailableError(f"{path} was written by a newer version: update this program")


def is_empty(connection: apsw.Connection) -> bool:
    """True for a file without any table."""
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None


def prepare_file(connection: apsw.Connection) -> None:
    """Set what must be set before the first table; several processes may do so at once."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.pragma("page_size", PAGE_BYTES)
            connection.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:  # SQLite does not ask the busy handler here
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(*BUSY_SLEEP_S))


def create_tables(connection: apsw.Connection) -> None:
    """Make the tables; inside the caller's transaction."""
    connection.execute(_TABLES)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", FORMAT)


def definitions(connection: apsw.Connection) -> set[tuple[object, ...]]:
    """Return the file's tables and indexes as they are written in it."""
    return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))


def expected_definitions() -> set[tuple[object, ...]]:
    """Return the tables and indexes of this format."""
    connection = apsw.Connection(":memory:")
    create_tables(connection)
    return definitions(connection)


def sync_directory(path: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def patient(limit_s: float) -> Callable[[int], bool]:
    """Return a busy handler that sleeps a random moment, up to ``limit_s`` in all."""
    started = 0.0

    def wait(calls_before: int) -> bool:
        nonlocal started
        if calls_before == 0:
            started = time.monotonic()
        time.sleep(random.uniform(*BUSY_SLEEP_S))
        return time.monotonic() - started < limit_s

    return wait


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors of a read or an open into the journal's."""
    try:
        yield
    except (apsw.CantOpenError, apsw.BusyError, apsw.LockedError, apsw.ReadOnlyError) as error:
        raise UnavailableError(f"cannot open or lock {path}: {error}") from error
    except (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.SQLError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path} is damaged ({error}): run python -m journal verify") from error
