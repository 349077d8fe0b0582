"""A sandbox served over real HTTP, with a clock the test moves."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.clock import FakeClock
from runtime.settings import AccountSettings, VenueSettings
from tests.venues.serving import serving
from venues.faults import Faults
from venues.limitless.client import LimitlessClient
from venues.limitless.sandbox import LimitlessSandbox
from venues.world import DAY_MS

ORIGIN_MS = 1_750_000_000_000
LIVE_MS = ORIGIN_MS + 21 * DAY_MS


@dataclass(slots=True)
class Served:
    """A running sandbox and how to reach it."""

    sandbox: LimitlessSandbox
    settings: VenueSettings
    base_url: str
    clock: FakeClock
    faults: Faults

    def client(self) -> LimitlessClient:
        """A client that has seen nothing yet."""
        return LimitlessClient(self.settings, self.clock)

    def account(self, number: int = 0) -> AccountSettings:
        """The settings of one of its accounts."""
        return self.settings.accounts[number]


@contextlib.contextmanager
def served(*, seed: int = 7, accounts: int = 4, now_ms: int = LIVE_MS) -> Iterator[Served]:
    """Serve a sandbox on a free port until the block ends."""
    clock = FakeClock(now_ms)
    sandbox = LimitlessSandbox(seed=seed, accounts=accounts, origin_ms=ORIGIN_MS, clock=clock)
    faults = Faults(seed)
    faults.install(sandbox.app)
    with serving(sandbox.app) as url, tempfile.TemporaryDirectory() as secrets:
        yield Served(sandbox, sandbox.settings(url, Path(secrets)), url, clock, faults)
