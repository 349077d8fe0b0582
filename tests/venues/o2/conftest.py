"""A sandbox that stands three weeks into its history, served over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.clock import FakeClock
from runtime.settings import VenueSettings
from tests.venues.serving import serving
from venues.o2.client import O2Client
from venues.o2.sandbox import O2Sandbox
from venues.world import DAY_MS, HISTORY_DAYS

ORIGIN_MS = 1_750_000_000_000
LIVE_MS = ORIGIN_MS + HISTORY_DAYS * DAY_MS


@dataclass
class Served:
    """A running sandbox, its clock, and a client that polls it."""

    sandbox: O2Sandbox
    clock: FakeClock
    url: str
    settings: VenueSettings
    client: O2Client


def sandbox(clock: FakeClock, seed: int = 7, accounts: int = 3) -> O2Sandbox:
    """A sandbox whose origin is three weeks before the live phase."""
    return O2Sandbox(seed=seed, accounts=accounts, origin_ms=ORIGIN_MS, clock=clock)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """One running sandbox with three accounts."""
    clock = FakeClock(LIVE_MS + 60_000)
    made = sandbox(clock)
    with serving(made.app) as url:
        settings = made.settings(url, tmp_path)
        yield Served(made, clock, url, settings, O2Client(settings, clock))
