"""The journal on disk: one SQLite file that any number of processes append to and read from.

Rule 1: an entry's number is given inside the transaction that writes it and is never remembered outside
one, so a failed commit leaves no hole and no number is given twice.
Rule 2: an append returns after its transaction is on disk (``synchronous=FULL``); until then nobody sees it.
Rule 3: a full disk refuses; any other failure of the disk ends the process (``journal.disk``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import apsw

from journal import schema, witness, writing
from journal.codec import deflate
from journal.disk import Disk, die
from journal.doorbell import Ringer
from journal.entry import (
    DURABLE_STREAMS,
    Appended,
    ConflictError,
    Draft,
    Entry,
    Epoch,
    EpochReason,
    JournalError,
    UnavailableError,
)
from journal.eras import Era, first_era, next_era
from journal.group import GroupCommit, Request
from journal.plan import copy, plan, prepare
from journal.reading import SqliteReader
from journal.store import TRIM_ROWS, KeyHeads, check_trim
from runtime.clock import Clock, SystemClock

Synchronous = Literal["FULL", "NORMAL"]


class Origin(NamedTuple):
    """Where a replica starts: the source's epoch, its numbers there, and its keys' last entries."""

    epoch: Epoch
    base: Mapping[str, int]
    keys: KeyHeads = ()


class SqliteJournal(SqliteReader):
    """A Store at ``path``, made when it is not there. Threads may share it; appends group themselves.

    Args:
        synchronous: ``NORMAL`` may lose the last entries in a power cut, never in a crash.
        witness_file: remembers the heads outside the journal; when it is ahead of the journal, an older
            copy was put back and a new epoch begins.
        on_fatal: called with one line when the disk failed; must not return in production.
        vfs: a registered SQLite file layer (default: the system's).
        origin: make a replica that starts there; see ``open_at``.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock | None = None,
        synchronous: Synchronous = "FULL",
        witness_file: Path | None = None,
        on_fatal: Callable[[str], None] = die,
        vfs: str = "",
        origin: Origin | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._witness_file = witness_file
        self._disk = Disk(Path(path), synchronous=synchronous, vfs=vfs, on_fatal=on_fatal)
        self._create(Path(path), origin)
        super().__init__(path, vfs=vfs)
        self._group = GroupCommit(self._commit)
        self._ringer = Ringer(self.bells)
        self._keys = writing.KeyIds()
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
    ) -> SqliteJournal:
        """Make a replica that continues another journal after ``base``; ``keys`` are its keys' last entries.

        Raises JournalError when there is a journal at ``path`` already.
        """
        return cls(path, clock=clock, origin=Origin(epoch, base, keys))

    def _create(self, path: Path, origin: Origin | None) -> None:
        with schema.explained(path):
            if schema.is_empty(self._disk.connection):
                schema.prepare_file(self._disk.connection)
        with self._disk.transaction() as connection:
            if schema.is_empty(connection):
                schema.create_tables(connection)
                if origin is None:
                    writing.begin(connection, first_era(DURABLE_STREAMS, self._clock.now_ms()), {}, ())
                else:
                    writing.begin(connection, Era(origin.epoch, "copy", None), origin.base, origin.keys)
            elif origin is not None:
                raise JournalError(f"{path} is there already: a replica starts in a new file")
        schema.sync_directory(path)

    # Appending

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        prepared = prepare(drafts, DURABLE_STREAMS)
        if not prepared:
            return []
        packed = {draft.body: small for draft in drafts if (small := deflate(draft.body)) is not None}
        return self._group.run(Request(prepared, packed))

    def _commit(self, requests: list[Request]) -> None:
        streams = {draft.stream for request in requests for draft in request.prepared}
        with self._writing() as connection:
            heads = writing.load_heads(connection, streams)
            if self._eras_of(connection, heads.epoch)[-1].reason == "copy":
                raise UnavailableError("this journal is a replica: promote it before appending")
            now_ms = max(*heads.times.values(), self._clock.now_ms())
            for request in requests:
                self._apply(connection, request, heads, now_ms)
            writing.save_heads(connection, heads)
        if heads.numbers != heads.before:
            self._ringer.ring()
        self._disk.write_back()

    def _apply(
        self, connection: apsw.Connection, request: Request, heads: writing.Heads, now_ms: int
    ) -> None:
        """Write one request's rows. A conflict is found before the first is written: nothing to undo."""
        ids = self._keys.of(connection, {(draft.stream, draft.key) for draft in request.prepared})
        last = writing.load_last(connection, ids)
        try:
            decided = plan(
                request.prepared, last, heads.numbers, lambda *at: writing.load_body(connection, *at)
            )
        except ConflictError as error:
            request.error = error
            return
        rows = [(row, now_ms, request.packed.get(row.body)) for row in decided.rows]
        writing.insert(connection, rows, self._keys, ids)
        heads.advance(decided.heads, {row.stream: now_ms for row in decided.rows})
        request.results = decided.results

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        """A write transaction after which new keys' ids are remembered, if it succeeds."""
        try:
            with self._disk.transaction() as connection:
                yield connection
        except BaseException:
            self._keys.forget()
            raise
        self._keys.keep()

    def append_replicated(self, entries: Sequence[Entry]) -> list[Appended]:
        """Copy another journal's entries; see ``Store.append_replicated``."""
        times = {(entry.stream, entry.sequence): entry.time_ms for entry in entries}
        with self._writing() as connection:
            heads = writing.load_heads(connection)
            if self._eras_of(connection, heads.epoch)[-1].reason != "copy":
                raise UnavailableError("only a replica copies entries")
            ids = self._keys.of(connection, {(entry.stream, entry.key) for entry in entries})
            decided = copy(entries, writing.load_last(connection, ids), heads.numbers, heads.times)
            rows = [(row, times[row.stream, row.sequence], deflate(row.body)) for row in decided.rows]
            writing.insert(connection, rows, self._keys, ids)
            heads.advance(decided.heads, {row.stream: time_ms for row, time_ms, _ in rows})
            writing.save_heads(connection, heads)
        if rows:
            self._ringer.ring()
        self._disk.write_back()
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
        with self._disk.transaction() as connection:
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
        heads.advance({stream: first - 1 for stream, first in era.epoch.first.items()}, {})
        writing.save_heads(connection, heads)
        return era.epoch

    def _heed_witness(self, path: Path) -> None:
        """Begin a new epoch when the witness knows more than the journal does."""
        if not _is_behind(self.heads(), self.epochs(), witness.read(path)):
            return
        with self._disk.transaction() as connection:
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
        with self._disk.transaction() as connection:
            removed = writing.trim(connection, stream, through, limit)
        self._disk.write_back()
        return removed

    def close(self) -> None:
        """Write the witness and close every connection; entries are durable without it."""
        if self._witness_file is not None and not self._disk.failed and not self.is_replica:
            witness.write(self._witness_file, self.epoch().id, self.heads(), self._clock.now_ms())
        super().close()
        self._disk.close()
        self._ringer.close()


def _is_behind(heads: Mapping[str, int], epochs: Sequence[Epoch], seen: witness.Witness | None) -> bool:
    return seen is not None and seen.is_ahead_of(heads, epochs)
