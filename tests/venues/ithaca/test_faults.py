"""Whatever goes wrong on the way, a fetch is right or raises one of the venue's errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from runtime.clock import FakeClock
from runtime.settings import VenueSettings
from tests.venues.ithaca.exchange import NOON_MS, Setup, folded, held
from tests.venues.serving import serving
from venues.errors import Broken, Retryable, VenueError
from venues.faults import Faults, Kind
from venues.ithaca.client import IthacaClient
from venues.ithaca.normalise import normalise
from venues.ithaca.sandbox import IthacaSandbox
from venues.world import DAY_MS, HISTORY_DAYS

OTHERS = ("502", "503", "504", "huge", "slow")  # tested once elsewhere, or not faults here
PATHS = [
    "/api/v1/auth/validateAuth",
    "/api/v1/clientapi/clientCurrentPositions",
    "/api/v1/clientapi/clientOpenOrders",
    "/api/v1/clientapi/tradeHistory",
    "/api/v1/clientapi/clientHistoricalPositionsByDatePeriod",
    "/api/v1/clientapi/referencePrices",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Setup, Faults]]:
    clock, faults = FakeClock(NOON_MS), Faults(seed=7)
    origin_ms = NOON_MS - HISTORY_DAYS * DAY_MS
    sandbox = IthacaSandbox(seed=7, accounts=1, origin_ms=origin_ms, clock=clock)
    faults.install(sandbox.app)
    with serving(sandbox.app) as url:
        settings = sandbox.settings(url, tmp_path_factory.mktemp("secrets"))
        sandbox.exchange.now_ms()
        yield Setup(url, sandbox, clock, settings, IthacaClient(settings, clock)), faults


def client_of(setup: Setup, timeout_s: float = 20.0) -> IthacaClient:
    """A client that knows nothing yet and waits that long for an answer."""
    settings = VenueSettings(
        urls=setup.settings.urls, accounts=setup.accounts, timeout_s=timeout_s, requests_per_s=1e4
    )
    return IthacaClient(settings, setup.clock)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", [kind for kind in get_args(Kind) if kind not in OTHERS])
def test_one_fault_never_gives_a_wrong_picture(world: tuple[Setup, Faults], kind: Kind, path: str) -> None:
    """A fresh client meets the fault once: it raises, or its picture adds up; the next fetch is right."""
    setup, faults = world
    is_timeout = kind == "timeout"
    client, account = client_of(setup, 0.4 if is_timeout else 20.0), setup.accounts[0]
    faults.clear()
    faults.arm(kind, path, count=1, value=2.0 if is_timeout else None)
    try:
        snapshot = normalise(client.fetch(account, None))
    except VenueError as error:
        found: VenueError | None = error
    else:
        found = None
        assert folded(snapshot.fills) == held(snapshot)
    if kind in ("429", "500", "timeout", "disconnect", "truncated"):
        assert isinstance(found, Retryable)
    elif kind in ("html", "empty", "malformed"):
        assert isinstance(found, Broken)
    faults.clear()
    setup.clock.advance(61)
    again = client_of(setup) if is_timeout else client
    after = normalise(again.fetch(account, setup.clock.now_ms()))
    exact = {one.listing.id: one.quantity for one in setup.sandbox.world.accounts[0].positions.values()}
    assert sorted(held(after).values()) == sorted(exact.values())


def test_a_body_without_end_is_retryable(world: tuple[Setup, Faults]) -> None:
    setup, faults = world
    faults.clear()
    faults.arm("huge", "/api/v1/clientapi/tradeHistory")
    with pytest.raises(Retryable, match="larger than"):
        client_of(setup).fetch(setup.accounts[0], None)
    faults.clear()


def test_drift_names_the_field_that_moved(world: tuple[Setup, Faults]) -> None:
    setup, faults = world
    faults.clear()
    faults.arm("drift", "/api/v1/clientapi/tradeHistory")
    with pytest.raises(Broken) as raised:
        client_of(setup).fetch(setup.accounts[0], None)
    assert raised.value.path.startswith("tradeHistory:0.payload[0]")
    faults.clear()
