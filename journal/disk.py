"""The one connection of a process that writes the journal's file, and what happens when the disk fails.

Rule: a full disk refuses the transaction, which can be tried again later. Any other failure of a write or an
fsync ends the process: after a failed fsync nobody knows what is on disk, and trying again may report success
for pages that were lost. Only a fresh process that reads the file again can tell. ``on_fatal`` ends it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from journal.entry import CorruptError, JournalError, UnavailableError
from journal.schema import WAL_PAGES, connect

BUSY_LOG_TIMES: Final = 8  # a log this much over its size is kept busy by readers: wait for them once
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOTHING_LEFT_BEHIND: Final = (
    apsw.SQLITE_IOERR_WRITE,
    apsw.SQLITE_IOERR_SHMSIZE,
    apsw.SQLITE_IOERR_SHMOPEN,
)


def die(message: str) -> None:
    """End the process at once: no handler may touch the journal again."""
    sys.stderr.write(f"journal: {message}\n")
    sys.stderr.flush()
    os._exit(1)


class Disk:
    """The write connection. Used by one thread at a time.

    Args:
        on_fatal: called with one line when the disk failed; must not return in production.
    """

    def __init__(self, path: Path, *, synchronous: str, vfs: str, on_fatal: Callable[[str], None]) -> None:
        self._path = path
        self._on_fatal = on_fatal
        self._log_pages = 0
        self.failed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"cannot make {path.parent}: {error.strerror}") from error
        self.connection = connect(path, write=True, synchronous=synchronous, vfs=vfs)
        self.connection.set_wal_hook(self._note_log_pages)

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """Begin, commit at the end, undo on any error; SQLite's errors become the journal's."""
        if self.failed:
            raise UnavailableError("the journal's disk failed: start the process again")
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except apsw.Error as error:
            explained = self._explain(error)  # before anything else overwrites the system's error number
            self._undo()
            raise explained from error
        except UnicodeDecodeError as error:
            self._undo()
            raise CorruptError(f"{self._path} is damaged ({error}): run python -m journal verify") from error
        except BaseException:
            self._undo()
            raise

    def write_back(self) -> None:
        """Copy a grown log into the main file. SQLite's own way to do so would hide a failed fsync."""
        if self._log_pages < WAL_PAGES or self.failed:
            return
        busy = self._log_pages >= BUSY_LOG_TIMES * WAL_PAGES
        mode = apsw.SQLITE_CHECKPOINT_RESTART if busy else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self.connection.wal_checkpoint(mode=mode)
        except (apsw.BusyError, apsw.LockedError, apsw.FullError):
            return  # another process does it, or a later append will
        except apsw.Error as error:
            if not self._is_out_of_space(error):
                self._fail(error)

    def close(self) -> None:
        """Close the connection; the last one to close folds the log into the main file."""
        self.connection.close()

    def _undo(self) -> None:
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except apsw.Error as error:
            self._fail(error)

    def _explain(self, error: apsw.Error) -> JournalError:
        if isinstance(error, apsw.FullError) or self._is_out_of_space(error):
            return UnavailableError(f"no room left for {self._path}: free some and append again")
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return UnavailableError(f"{self._path} is locked by another process: append again")
        if isinstance(error, (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError)):
            return UnavailableError(f"{self._path} cannot be written: {error}")
        if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.ConstraintError, apsw.SQLError)):
            return CorruptError(f"{self._path} is damaged ({error}): run python -m journal verify")
        return self._fail(error)

    def _is_out_of_space(self, error: apsw.Error) -> bool:
        """A write (never an fsync) that found no room left nothing behind."""
        return (
            isinstance(error, apsw.IOError)
            and getattr(error, "extendedresult", 0) in _NOTHING_LEFT_BEHIND
            and self.connection.system_errno in _NO_SPACE
        )

    def _fail(self, error: apsw.Error) -> JournalError:
        if not self.failed:
            self.failed = True
            self._on_fatal(f"writing {self._path} failed ({error}); start again to read what is on disk")
        return UnavailableError(f"writing {self._path} failed: {error}")

    def _note_log_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK
