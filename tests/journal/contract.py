"""What every journal store must do: its test class subclasses ``StoreContract`` and gives ``opener``."""

from __future__ import annotations

import pytest

from journal.store import Store
from runtime.clock import FakeClock
from tests.journal.contract_append import AppendContract
from tests.journal.contract_history import HistoryContract
from tests.journal.support import Opener


class StoreContract(AppendContract, HistoryContract):
    """The whole suite. Sub-classes define the fixture ``opener``."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def journal(self, opener: Opener, clock: FakeClock) -> Store:
        return opener.empty(clock)
