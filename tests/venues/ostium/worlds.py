"""Sandboxes at a chosen moment, and clients that read them over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.clock import FakeClock
from runtime.settings import AccountSettings
from tests.venues.serving import serving
from venues.model import Payload, Snapshot
from venues.ostium.client import OstiumClient
from venues.ostium.exchange import graph
from venues.ostium.normalise import normalise
from venues.ostium.sandbox import OstiumSandbox
from venues.world import DAY_MS, HISTORY_DAYS

SEED = 7
LIVE_MS = 1_762_992_000_000  # a Thursday, 00:00 UTC
ORIGIN_MS = LIVE_MS - HISTORY_DAYS * DAY_MS

EVERYTHING = """{
  trades(first: 1000) { id trader index isOpen isBuy collateral tradeNotional leverage openPrice closePrice
    takeProfitPrice stopLossPrice funding rollover timestamp pair { id accFundingLong longOI } }
  limits(first: 1000) { id uniqueId isActive openPrice orderId updatedAt }
  orders(first: 1000, orderBy: initiatedAt, orderDirection: desc) { id tradeID orderAction isPending
    isCancelled cancelReason priceAfterImpact collateral amountSentToTrader initiatedTx executedAt }
}"""


class World:
    """One sandbox, one client, one clock that both obey."""

    def __init__(self, sandbox: OstiumSandbox, client: OstiumClient, clock: FakeClock) -> None:
        self.sandbox, self.client, self.clock = sandbox, client, clock
        self.base_url = ""

    @property
    def accounts(self) -> list[AccountSettings]:
        return [AccountSettings(account=wallet.address) for wallet in self.sandbox.wallets]

    def fetch(self, number: int = 0, since_ms: int | None = None) -> Payload:
        return self.client.fetch(self.accounts[number], since_ms)

    def snapshot(self, number: int = 0, since_ms: int | None = None) -> Snapshot:
        return normalise(self.fetch(number, since_ms))


def sandbox_at(
    ms: int, *, seed: int = SEED, accounts: int = 2, clock: FakeClock | None = None
) -> OstiumSandbox:
    """A sandbox whose world has reached ``ms``; its history began at ORIGIN_MS."""
    made = OstiumSandbox(seed=seed, accounts=accounts, origin_ms=ORIGIN_MS, clock=clock or FakeClock(ms))
    made.exchange.timeline.advance(ms)
    return made


@contextmanager
def world(tmp_path: Path, ms: int = LIVE_MS, **options: Any) -> Iterator[World]:
    """A served sandbox and a client of it."""
    clock = FakeClock(ms)
    sandbox = sandbox_at(ms, clock=clock, **options)
    with serving(sandbox.app) as base_url:
        client = OstiumClient(sandbox.settings(base_url, tmp_path), clock)
        made = World(sandbox, client, clock)
        made.base_url = base_url
        yield made


def story(sandbox: OstiumSandbox) -> dict[str, Any]:
    """Everything the subgraph would tell."""
    answer: dict[str, Any] = graph.answer(sandbox.exchange, EVERYTHING, None)
    assert "data" in answer, answer
    return answer
