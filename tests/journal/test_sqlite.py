"""SqliteJournal passes the store contract, and keeps its promises about files, processes and failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from journal.entry import Epoch
from journal.sqlite import SqliteJournal
from journal.store import KeyHead, Store
from runtime.clock import FakeClock
from tests.journal.contract import StoreContract


class SqliteOpener:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.opened: list[SqliteJournal] = []

    def _path(self) -> Path:
        return self._directory / f"{len(self.opened)}" / "journal.sqlite3"

    def empty(self, clock: FakeClock) -> Store:
        self.opened.append(SqliteJournal(self._path(), clock=clock))
        return self.opened[-1]

    def replica(
        self, clock: FakeClock, base: Mapping[str, int], epoch: Epoch, keys: Sequence[KeyHead] = ()
    ) -> Store:
        self.opened.append(SqliteJournal.open_at(self._path(), base, epoch, keys=keys, clock=clock))
        return self.opened[-1]


class TestSqliteJournal(StoreContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Iterator[SqliteOpener]:
        opener = SqliteOpener(tmp_path)
        yield opener
        for journal in opener.opened:
            journal.close()
