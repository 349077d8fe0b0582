"""The sandbox's clockwork: accounts, what is due when, and the names of what happens.

Invariant 1: what happens is processed strictly in order of time (ties in order of scheduling), so that the
state at a moment does not depend on how often somebody looked in between.
Invariant 2: balances and history change together, when a transaction is mined; a matched trade that is
not mined yet shows only on its order.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from venues.limitless.sandbox.accounts import Account, Key, Row
from venues.limitless.sandbox.book import LOT
from venues.limitless.sandbox.markets import Market, Universe, hex_of
from venues.world import DAY_MS, HOUR_MS, draw

DUST: Final = LOT  # raw shares that rounding leaves behind
MAX_EVENTS: Final = 4000  # how many the stream can look back on


class Engine:
    """All accounts and what happens to them."""

    def __init__(self, seed: int, accounts: int, origin_ms: int) -> None:
        self.seed, self.origin_ms, self.now_ms = seed, origin_ms, origin_ms
        self.universe = Universe(seed)
        self.accounts = [Account(seed, number) for number in range(accounts)]
        self.events: deque[tuple[int, Account, str, dict[str, Any]]] = deque(maxlen=MAX_EVENTS)
        self.event_count = 0
        self._queue: list[tuple[int, int, Callable[[int], None]]] = []
        self._scheduled = 0

    def at(self, at_ms: int, action: Callable[[int], None]) -> None:
        """Do ``action(at_ms)`` when the world has come to that time."""
        self._scheduled += 1
        heapq.heappush(self._queue, (at_ms, self._scheduled, action))

    def advance(self, now_ms: int) -> None:
        """Let everything happen that is due by ``now_ms``; time never runs backwards."""
        while self._queue and self._queue[0][0] <= now_ms:
            at_ms, _, action = heapq.heappop(self._queue)
            action(at_ms)
        self.now_ms = max(self.now_ms, now_ms)

    def emit(self, account: Account, name: str, payload: dict[str, Any]) -> None:
        """Keep an event for the stream; a payload without an ``eventId`` gets the running number."""
        self.event_count += 1
        payload.setdefault("eventId", self.event_count)
        self.events.append((self.event_count, account, name, payload))

    def uuid(self, account: Account) -> str:
        """A new uuid, the same in every run."""
        account.counter += 1
        return str(UUID(hex=hex_of(16, self.seed, account.number, account.counter, "uuid")[2:], version=4))

    def tx(self, account: Account) -> str:
        """A new transaction hash, the same in every run."""
        account.counter += 1
        return hex_of(32, self.seed, account.number, account.counter, "tx")

    def row(self, account: Account, market: Market, outcome: int, usd: int, at_ms: int, **facts: Any) -> Row:
        """Write a line of history."""
        account.counter += 1
        row = Row(account.counter, at_ms // 1000, market, outcome, usd, **facts)
        account.rows.append(row)
        self.watch(account, market)
        return row

    def open_keys(self, account: Account, at_ms: int, *, min_left_ms: int = 0) -> list[Key]:
        """Outcomes the account holds more than dust of, in markets open for ``min_left_ms`` more."""
        return [
            key
            for key, stake in account.stakes.items()
            if stake.shares > DUST and account.markets[key[0]].expires_ms - at_ms > min_left_ms
        ]

    def watch(self, account: Account, market: Market) -> None:
        """Make sure that expiry and resolution of a market reach the account, once."""
        if market.slug in account.markets:
            return
        account.markets[market.slug] = market
        self.at(market.expires_ms, lambda _: self._expire(account, market))
        self.at(self.universe.resolved_ms(market), lambda at_ms: self._resolve(account, market, at_ms))

    def _expire(self, account: Account, market: Market) -> None:
        for order in account.live_orders(market.slug):
            account.live.pop(order.id)
            order.status = "CANCELLED"

    def _resolve(self, account: Account, market: Market, at_ms: int) -> None:
        """The outcome is known: one history row per outcome held, and later the redemption."""
        winner = self.universe.winner(market)
        for outcome in (0, 1):
            stake = account.stakes.get((market.slug, outcome))
            if stake is None or stake.shares < DUST:
                continue
            pays = stake.shares if outcome == winner else 0
            usd, action = (pays, "win") if pays else (stake.cost, "loss")
            self.row(account, market, winner, usd, at_ms, action=action, pnl=pays - stake.cost)
        won = account.stakes.get((market.slug, winner))
        roll = draw(self.seed, account.number, market.slug, "redeems")
        wait = (HOUR_MS // 6 + roll * 12 * HOUR_MS) if won and won.shares else (1 + roll) * DAY_MS
        self.at(at_ms + int(wait), lambda when_ms: self._redeem(account, market, winner, when_ms))

    def _redeem(self, account: Account, market: Market, winner: int, at_ms: int) -> None:
        """Winners become USDC, losers nothing; both leave the portfolio."""
        won = account.stakes.pop((market.slug, winner), None)
        account.stakes.pop((market.slug, 1 - winner), None)
        if won is not None and won.shares:
            account.cash += won.shares
            tx_hash = self.tx(account)
            facts = {"action": "claim", "shares": won.shares, "tx_hash": tx_hash}
            self.row(account, market, winner, won.shares, at_ms, **facts)
