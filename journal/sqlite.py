"""The journal on disk: one SQLite file that any number of processes append to and read from.

Rule 1: an entry's number is given inside the transaction that writes it and is never remembered outside
one, so a failed commit leaves no hole and no number is given twice.
Rule 2: an append returns after its transaction is on disk (``synchronous=FULL``); until then nobody sees it.
Rule 3: a full disk refuses the append, and it can be tried again later. Any other failure of a write or an
fsync ends the process: after a failed fsync nobody knows what is on disk, and only reading it again from a
fresh process tells. ``on_fatal`` does that; it gets one line of text.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import apsw

from journal import schema, witness, writing
from journal.codec import deflate
from journal.doorbell import Ringer
from journal.entry import (
    DURABLE_STREAMS,
    Appended,
    ConflictError,
    CorruptError,
    Draft,
    Entry,
    Epoch,
    EpochReason,
    JournalError,
    UnavailableError,
)
from journal.eras import Era, first_era, next_era
from journal.group import GroupCommit, Request
from journal.plan import Prepared, copy, plan, prepare
from journal.reading import SqliteReader
from journal.store import TRIM_ROWS, KeyHeads, check_trim
from runtime.clock import Clock, SystemClock

Synchronous = Literal["FULL", "NORMAL"]

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITTEN_YET: Final = (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMOPEN)


def _is_behind(heads: Mapping[str, int], epochs: Sequence[Epoch], seen: witness.Witness | None) -> bool:
    return seen is not None and seen.is_ahead_of(heads, epochs)


def die(message: str) -> None:
    """End the process at once: no handler may touch the journal again."""
    sys.stderr.write(f"journal: {message}\n")
    sys.stderr.flush()
    os._exit(1)


class SqliteJournal(SqliteReader):
    """A Store at ``path``, made when it is not there. Threads may share it; appends group themselves.

    Args:
        witness_file: remembers the heads outside the journal; when it is ahead of the journal, an older
            copy was put back and a new epoch begins.
        on_fatal: called with one line when the disk failed; must not return in production.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock | None = None,
        synchronous: Synchronous = "FULL",
        witness_file: Path | None = None,
        on_fatal: Callable[[str], None] = die,
    ) -> None:
        self._open_for_writing(path, clock, synchronous, on_fatal, None)
        self._witness_file = witness_file
        if witness_file is not None and not self.is_replica:
            self._heed_witness(witness_file)

    @classmethod
    def open_at(
        cls,
        path: Path,
        base: Mapping[str, int],
        epoch: Epoch,
        *,
        keys: KeyHeads = (),
        clock: Clock | None = None,
        synchronous: Synchronous = "FULL",
        on_fatal: Callable[[str], None] = die,
    ) -> SqliteJournal:
        """Make a replica that continues another journal after ``base``; ``keys`` are its keys' last entries.

        Raises JournalError when there is a journal at ``path`` already.
        """
        journal = cls.__new__(cls)
        journal._open_for_writing(path, clock, synchronous, on_fatal, Era(epoch, "copy", None), base, keys)
        journal._witness_file = None
        return journal

    def _open_for_writing(
        self,
        path: Path,
        clock: Clock | None,
        synchronous: Synchronous,
        on_fatal: Callable[[str], None],
        copied: Era | None,
        base: Mapping[str, int] | None = None,
        keys: KeyHeads = (),
    ) -> None:
        self.path = Path(path)
        self._clock = clock or SystemClock()
        self._on_fatal = on_fatal
        self._failed = False
        self._wal_pages = 0
        self._group = GroupCommit(self._commit)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"cannot make {self.path.parent}: {error.strerror}") from error
        self._writer = schema.connect(self.path, write=True, synchronous=synchronous)
        self._writer.set_wal_hook(self._note_wal_pages)
        self._create(copied, base or {}, keys)
        super().__init__(self.path)
        self._ringer = Ringer(self.bells)

    def _create(self, copied: Era | None, base: Mapping[str, int], keys: KeyHeads) -> None:
        with schema.explained(self.path):
            if schema.is_empty(self._writer):
                schema.prepare_file(self._writer)
        with self._writing() as connection:
            if schema.is_empty(connection):
                schema.create_tables(connection)
                era = copied or first_era(DURABLE_STREAMS, self._clock.now_ms())
                writing.begin(connection, era, base, keys)
            elif copied is not None:
                raise JournalError(f"{self.path} is there already: a replica starts in a new file")
        schema.sync_directory(self.path)

    # Appending

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        prepared = prepare(drafts, DURABLE_STREAMS)
        if not prepared:
            return []
        packed = {draft.body: small for draft in drafts if (small := deflate(draft.body)) is not None}
        return self._group.run(Request(prepared, packed))

    def _commit(self, requests: list[Request]) -> None:
        with self._writing() as connection:
            heads = writing.load_heads(connection)
            if self._eras_of(connection, heads.epoch)[-1].reason == "copy":
                raise UnavailableError("this journal is a replica: promote it before appending")
            now_ms = max(heads.time_ms, self._clock.now_ms())
            written = 0
            for request in requests:
                written += self._apply(connection, request, heads, now_ms, alone=len(requests) == 1)
            writing.save_heads(connection, heads)
        if written:
            self._ringer.ring()
        self._write_back()

    def _apply(
        self, connection: apsw.Connection, request: Request, heads: writing.Heads, now_ms: int, alone: bool
    ) -> int:
        """Write one request's rows and return how many; its conflict undoes it and nothing else."""
        last, numbers = writing.load_last(connection, request.prepared)
        try:
            decided = plan(
                request.prepared, last, heads.numbers, lambda *at: writing.load_body(connection, *at)
            )
        except ConflictError as error:
            request.error = error
            return 0
        if not alone:
            connection.execute("SAVEPOINT request")
        rows = [(row, now_ms, request.packed.get(row.body)) for row in decided.rows]
        writing.insert(connection, rows, numbers)
        if not alone:
            connection.execute("RELEASE request")
        heads.advance(decided.heads, now_ms if rows else 0)
        request.results = decided.results
        return len(rows)

    def append_replicated(self, entries: Sequence[Entry]) -> list[Appended]:
        """Copy another journal's entries; see ``Store.append_replicated``."""
        keys = [Prepared(entry.stream, entry.key, b"", b"", b"", 0) for entry in entries]
        times = {(entry.stream, entry.sequence): entry.time_ms for entry in entries}
        with self._writing() as connection:
            heads = writing.load_heads(connection)
            if self._eras_of(connection, heads.epoch)[-1].reason != "copy":
                raise UnavailableError("only a replica copies entries")
            last, numbers = writing.load_last(connection, keys)
            decided = copy(entries, last, heads.numbers)
            rows = [(row, times[row.stream, row.sequence], deflate(row.body)) for row in decided.rows]
            writing.insert(connection, rows, numbers)
            heads.advance(decided.heads, max((time_ms for _, time_ms, _ in rows), default=0))
            writing.save_heads(connection, heads)
        if rows:
            self._ringer.ring()
        self._write_back()
        return decided.results

    # Epochs, trimming, closing

    def new_epoch(self, reason: EpochReason, known: Mapping[str, int] | None = None) -> Epoch:
        """Begin an epoch above our heads and ``known`` ones; refused on a replica, which is promoted."""
        if self.is_replica:
            raise UnavailableError("this journal is a replica: promote it instead")
        return self._begin_epoch(reason, known or {})

    def promote(self, known: Mapping[str, int] | None = None, reason: EpochReason = "promote") -> Epoch:
        """Turn a replica into a journal of its own, in a new epoch above ``known`` heads."""
        if not self.is_replica:
            raise UnavailableError("this journal is no replica")
        return self._begin_epoch(reason, known or {})

    def _begin_epoch(self, reason: EpochReason, known: Mapping[str, int]) -> Epoch:
        with self._writing() as connection:
            heads = writing.load_heads(connection)
            epoch = self._change_era(connection, heads, reason, known)
        self._ringer.ring()
        return epoch

    def _change_era(
        self, connection: apsw.Connection, heads: writing.Heads, reason: EpochReason, known: Mapping[str, int]
    ) -> Epoch:
        current = self._eras_of(connection, heads.epoch)[-1]
        closed, era = next_era(current, heads.numbers, known, reason, self._clock.now_ms())
        writing.close_era(connection, heads.epoch, closed)
        writing.add_era(connection, heads.epoch + 1, era)
        heads.advance({stream: first - 1 for stream, first in era.epoch.first.items()}, 0)
        writing.save_heads(connection, heads)
        return era.epoch

    def _heed_witness(self, path: Path) -> None:
        """Begin a new epoch when the witness knows more than the journal does."""
        if not _is_behind(self.heads(), self.epochs(), witness.read(path)):
            return
        with self._writing() as connection:
            heads, seen = writing.load_heads(connection), witness.read(path)
            if seen is None or not _is_behind(heads.numbers, self.epochs(), seen):
                return  # another process that started just now has seen to it
            epoch = self._change_era(connection, heads, "old-disk", seen.heads)
            # before the commit: if we die in between, the next start finds an unknown epoch and makes its own
            witness.write(path, epoch.id, heads.numbers, self._clock.now_ms())
        self._ringer.ring()

    def trim(self, stream: str, through: int, limit: int = TRIM_ROWS) -> int:
        """Remove entries up to ``through``, oldest first, at most ``limit``; returns how many went."""
        check_trim(stream, DURABLE_STREAMS, limit)
        with self._writing() as connection:
            removed = writing.trim(connection, stream, through, limit)
        self._write_back()
        return removed

    def close(self) -> None:
        """Write the witness and close every connection; entries are durable without it."""
        if self._witness_file is not None and not self._failed and not self.is_replica:
            witness.write(self._witness_file, self.epoch().id, self.heads(), self._clock.now_ms())
        super().close()
        self._writer.close()
        self._ringer.close()

    # The write transaction and its failures

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        if self._failed:
            raise UnavailableError("the journal's disk failed: start the process again")
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except apsw.Error as error:
            self._undo()
            raise self._explain(error) from error
        except UnicodeDecodeError as error:
            self._undo()
            raise CorruptError(f"{self.path} is damaged ({error}): run python -m journal verify") from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error as error:
            self._fail(error)

    def _explain(self, error: apsw.Error) -> JournalError:
        if isinstance(error, apsw.FullError) or self._out_of_space(error):
            return UnavailableError(f"no room left for {self.path}: free some and append again")
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return UnavailableError(f"{self.path} is locked by another process: append again")
        if isinstance(error, (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError)):
            return UnavailableError(f"{self.path} cannot be written: {error}")
        if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.ConstraintError, apsw.SQLError)):
            return CorruptError(f"{self.path} is damaged ({error}): run python -m journal verify")
        return self._fail(error)

    def _out_of_space(self, error: apsw.Error) -> bool:
        """A write (not an fsync) that found no room left nothing behind."""
        return (
            isinstance(error, apsw.IOError)
            and getattr(error, "extendedresult", 0) in _NOT_WRITTEN_YET
            and self._writer.system_errno in _NO_SPACE
        )

    def _fail(self, error: apsw.Error) -> JournalError:
        self._failed = True
        self._on_fatal(f"writing {self.path} failed ({error}); what is on disk must be read again")
        return UnavailableError(f"writing {self.path} failed: {error}")

    def _note_wal_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _write_back(self) -> None:
        """Copy a grown log into the main file. SQLite's own way to do so would hide a failed fsync."""
        if self._wal_pages < schema.WAL_PAGES:
            return
        grown = self._wal_pages >= 8 * schema.WAL_PAGES  # readers kept it busy: wait for them once
        mode = apsw.SQLITE_CHECKPOINT_RESTART if grown else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self._writer.wal_checkpoint(mode=mode)
        except (apsw.BusyError, apsw.LockedError, apsw.FullError):
            return  # another process does it, or a later append will
        except apsw.Error as error:
            if not self._out_of_space(error):
                self._fail(error)
