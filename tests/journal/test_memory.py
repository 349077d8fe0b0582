"""MemoryJournal passes the store contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from journal.entry import Epoch
from journal.memory import MemoryJournal
from journal.store import KeyHead, Store
from runtime.clock import FakeClock
from tests.journal.contract import StoreContract


class MemoryOpener:
    def empty(self, clock: FakeClock) -> Store:
        return MemoryJournal(clock=clock)

    def replica(
        self, clock: FakeClock, base: Mapping[str, int], epoch: Epoch, keys: Sequence[KeyHead] = ()
    ) -> Store:
        return MemoryJournal.open_at(base, epoch, keys=keys, clock=clock)


class TestMemoryJournal(StoreContract):
    @pytest.fixture
    def opener(self) -> MemoryOpener:
        return MemoryOpener()
