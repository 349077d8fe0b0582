"""A sandbox that is served, a client that reads it, and a clock that both share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from runtime.clock import FakeClock
from runtime.settings import AccountSettings, VenueSettings
from tests.venues.serving import serving
from venues.ithaca.client import IthacaClient
from venues.ithaca.sandbox import IthacaSandbox
from venues.model import Fill, Snapshot
from venues.world import DAY_MS, HISTORY_DAYS

NOON_MS = 1_763_640_000_000  # 2025-11-20 12:00 UTC, a Thursday
EIGHT_MS = NOON_MS + 20 * 3_600_000  # the next expiry, a Friday's


class Setup(NamedTuple):
    """One running sandbox and what is needed to use it."""

    url: str
    sandbox: IthacaSandbox
    clock: FakeClock
    settings: VenueSettings
    client: IthacaClient

    @property
    def accounts(self) -> list[AccountSettings]:
        return self.settings.accounts

    def new_client(self) -> IthacaClient:
        """A client that knows nothing yet."""
        return IthacaClient(self.settings, self.clock)


@contextmanager
def running(directory: Path, *, seed: int = 7, accounts: int = 3, now_ms: int = NOON_MS) -> Iterator[Setup]:
    """A sandbox whose history ends at ``now_ms``, served on a free port."""
    clock = FakeClock(now_ms)
    sandbox = IthacaSandbox(
        seed=seed, accounts=accounts, origin_ms=now_ms - HISTORY_DAYS * DAY_MS, clock=clock
    )
    with serving(sandbox.app) as url:
        settings = sandbox.settings(url, directory)
        yield Setup(url, sandbox, clock, settings, IthacaClient(settings, clock))


def folded(fills: Iterable[Fill]) -> dict[str, Decimal]:
    """Net quantities by instrument, without what is flat."""
    net: dict[str, Decimal] = {}
    for fill in fills:
        net[fill.instrument] = net.get(fill.instrument, Decimal(0)) + fill.quantity
    return {name: quantity for name, quantity in net.items() if quantity}


def held(snapshot: Snapshot) -> dict[str, Decimal]:
    """Net quantities by instrument as the venue says."""
    return {holding.instrument: holding.quantity for holding in snapshot.holdings}
