"""Time's arrow: which trader acts when, and when prices reach resting orders.

Invariant: events happen in order of their own time however often and late ``advance`` is called, so a
sandbox asked once an hour and one asked every second tell the same story.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from venues.o2.sandbox.accounts import owner_key, trade_account
from venues.o2.sandbox.engine import Account, Exchange
from venues.o2.sandbox.listing import MARKETS
from venues.o2.sandbox.traders import Trader
from venues.world import DAY_MS, HISTORY_DAYS, slots

PAST_TICK_MS: Final = 30 * 60_000
LIVE_TICK_MS: Final = 2_000
PAST_ACTION_S: Final = 6 * 3600.0
LIVE_ACTION_S: Final = 15.0
FAR_MS: Final = 1 << 60


class World:
    """The exchange with its people, advanced lazily."""

    def __init__(self, seed: int, accounts: int, origin_ms: int) -> None:
        self.seed, self.origin_ms = seed, origin_ms
        self.exchange = Exchange(seed)
        self.accounts: list[Account] = []
        self._live_from = origin_ms + HISTORY_DAYS * DAY_MS
        self._events: list[tuple[int, int]] = []  # (time, number of the actor; -1 is the price tick)
        self.traders: list[Trader] = []
        self._times: list[Iterator[int]] = []
        for index in range(accounts):
            self._join(index)
        heapq.heappush(self._events, (origin_ms + PAST_TICK_MS, -1))
        self.now_ms = origin_ms

    def _join(self, index: int) -> None:
        account = trade_account(owner_key(self.seed, index), self.origin_ms)
        self.exchange.add_account(account)
        self.accounts.append(account)
        trader = Trader(self.exchange, account)
        trader.fund(self.origin_ms)
        times = slots(
            self.seed, account.id, self.origin_ms, FAR_MS, past_s=PAST_ACTION_S, live_s=LIVE_ACTION_S
        )
        self.traders.append(trader)
        self._times.append(times)
        heapq.heappush(self._events, (next(times), index))

    def advance(self, now_ms: int) -> None:
        """Let everything happen that is due. Going back in time does nothing."""
        while self._events[0][0] <= now_ms:
            at_ms, actor = heapq.heappop(self._events)
            if actor < 0:
                for market in MARKETS:
                    self.exchange.tick(market, at_ms)
                pace_ms = PAST_TICK_MS if at_ms < self._live_from else LIVE_TICK_MS
                heapq.heappush(self._events, (at_ms + pace_ms, -1))
            else:
                self.traders[actor].act(at_ms)
                heapq.heappush(self._events, (next(self._times[actor]), actor))
        self.now_ms = max(self.now_ms, now_ms)
