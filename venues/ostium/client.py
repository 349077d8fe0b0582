"""Reads one venue for all its accounts: everything a Snapshot needs, completely or not at all.

An account's lists come in one GraphQL document, so they agree with each other. Only what does not fit
(more than a page) is asked for again: settled orders never change and come newest first, so a new one can
only repeat a row, never hide one; the other lists are read a second time and must not have moved.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Final

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.errors import Broken, Rejected, Retryable
from venues.http import Http
from venues.model import Payload
from venues.numbers import decode
from venues.ostium import fills, reading, schemas, symbols
from venues.ostium.chain import MAINNET, Chain
from venues.ostium.schemas import AccountData, Limit, Order, Trade
from venues.ostium.services import Builder, Prices
from venues.ostium.subgraph import Subgraph

ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
PAGE: Final = 1000  # the subgraph's largest; a shorter page is the last
RECENT: Final = 100  # settled orders asked for when only news are wanted
MOST_SKIPPED: Final = 4000  # skip beyond 5000 is refused
CHAIN_IDS: Final = 50  # trades per question for their orders
PAIRS_TTL_S: Final = 300.0
SHARED_TTL_S: Final = 0.5  # prices and the chain's height serve all accounts of one round
MAX_PAGES: Final = 1000


class Cached:
    """An answer that several accounts may share for a moment; asked for by one thread at a time."""

    def __init__(self, ask: Callable[[], bytes], ttl_s: float, clock: Clock) -> None:
        self._ask, self._ttl_s, self._clock = ask, ttl_s, clock
        self._lock = threading.Lock()
        self._body: bytes | None = None
        self._asked_at = 0.0

    def get(self, *, fresh: bool = False) -> bytes:
        """The answer, at most ``ttl_s`` old; ``fresh`` asks again."""
        with self._lock:
            now = self._clock.monotonic()
            if self._body is None or fresh or now - self._asked_at > self._ttl_s:
                self._body, self._asked_at = self._ask(), now
            return self._body


class OstiumClient:
    """See ``venues.venue.VenueClient``. The parts (``subgraph``, ``prices``, ``builder``, ``chain``) have
    one documented method for each of the venue's own."""

    def __init__(self, settings: VenueSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        subgraph = self._http("subgraph")
        if subgraph is None:
            raise ValueError("ostium: no subgraph URL configured (urls.subgraph)")
        self.subgraph = Subgraph(subgraph)
        self.prices = Prices(self._http("prices"), self._http("market"))
        self.builder = Builder(self._http("builder"))
        rpc = self._http("rpc")
        contracts = {name: str(settings.options.get(name, known)) for name, known in MAINNET.items()}
        self.chain = Chain(rpc, contracts) if rpc is not None else None
        self._pairs = Cached(self.subgraph.get_pairs, PAIRS_TTL_S, clock)
        self._ticks = Cached(self.prices.current, SHARED_TTL_S, clock)
        self._block = Cached(self.chain.block_number, SHARED_TTL_S, clock) if self.chain else None

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        """Everything about one trader. Without an ``rpc`` URL the wallet, and so the equity, is unknown."""
        trader = account.account.lower()
        if not ADDRESS.fullmatch(trader):
            raise Rejected(f"ostium: account {account.account!r} is not an address (0x and 40 hex digits)")
        first = PAGE if since_ms is None else RECENT
        body = self.subgraph.account(trader, first)
        observed_ms = self._clock.now_ms()
        main = decode("account", body, schemas.account_reply).data
        parts = {"account": body}
        self._rest_of_lists(trader, main, parts)
        settled = self._rest_of_history(trader, main.settled, first, since_ms, parts)
        self._chains(trader, settled, parts)
        rows: list[Trade | Limit | Order] = [*main.trades, *main.limits, *main.pending, *settled]
        parts["pairs"] = self._pairs_with({row.pair.id for row in rows})
        parts["prices"] = self._ticks.get()
        if self.chain is not None and self._block is not None:
            parts["balance"] = self.chain.balance_of(trader)
            parts["block"] = self._block.get()
        return Payload(
            venue="ostium", account=trader, observed_ms=observed_ms, since_ms=since_ms, parts=parts
        )

    def close(self) -> None:
        """Nothing is kept open beyond the threads' own connections."""

    def _http(self, role: str) -> Http | None:
        urls, settings = self._settings.urls.get(role), self._settings
        if not urls:
            return None
        return Http(
            urls, clock=self._clock, timeout_s=settings.timeout_s, requests_per_s=settings.requests_per_s
        )

    def _pairs_with(self, ids: set[str]) -> bytes:
        """All pairs; asked for again when a row names one that the kept list lacks."""
        body = self._pairs.get()
        known = {pair.id for pair in decode("pairs", body, schemas.pairs_reply).data.pairs}
        return body if ids <= known else self._pairs.get(fresh=True)

    def _rest_of_lists(self, trader: str, main: AccountData, parts: dict[str, bytes]) -> None:
        before = len(parts)
        listed = _ids(main)
        asks: dict[str, Callable[[int], bytes]] = {
            "trades": lambda skip: self.subgraph.trades(trader, skip),
            "limits": lambda skip: self.subgraph.limits(trader, skip),
            "pending": lambda skip: self.subgraph.pending_orders(trader, skip),
        }
        for kind, ask in asks.items():
            _read_pages(kind, listed[kind], ask, parts)
        if len(parts) > before:
            again = decode("account", self.subgraph.account(trader, 1), schemas.account_reply).data
            if _ids(again) != listed:
                raise Retryable("ostium: the account changed while its pages were read")

    def _rest_of_history(
        self,
        trader: str,
        newest: list[Order],
        first: int,
        since_ms: int | None,
        parts: dict[str, bytes],
    ) -> list[Order]:
        """Older pages of settled orders, back to ``since_ms``; returns all settled orders."""
        found = {order.id: order for order in newest}
        page, size, skip, number = newest, first, first, 1
        until_s: int | None = None
        while len(page) >= size and not _reaches(page, since_ms):
            if skip > MOST_SKIPPED:
                until_s, skip = reading.settled_ms(page[-1]) // 1000, 0
            name, size = f"settled.{number}", PAGE
            parts[name] = self.subgraph.list_orders_history(trader, size, skip, until_s)
            page = decode(name, parts[name], schemas.orders_reply).data.orders
            is_repeat = bool(page) and all(order.id in found for order in page)
            _check_progress(name, number, is_repeat and not (until_s is not None and skip == 0))
            found.update({order.id: order for order in page})
            number, skip = number + 1, skip + size
        return list(found.values())

    def _chains(self, trader: str, settled: list[Order], parts: dict[str, bytes]) -> None:
        """The earlier orders of trades that were closed in what was read but opened before it."""
        executed = [(order, fills.action_of(order)) for order in settled if not order.is_cancelled]
        opened = {order.id for order, action in executed if action == "open"}
        closed = {order.trade_id for order, action in executed if action in symbols.CLOSING}
        wanted = sorted(trade_id for trade_id in closed - opened if trade_id is not None)
        for at in range(0, len(wanted), CHAIN_IDS):
            self._chain(trader, wanted[at : at + CHAIN_IDS], at, parts)

    def _chain(self, trader: str, ids: list[str], at: int, parts: dict[str, bytes]) -> None:
        found: set[str] = set()
        number, length = 0, PAGE
        while length >= PAGE:
            name = f"chain.{at * MAX_PAGES + number}"
            parts[name] = self.subgraph.orders_of_trades(trader, ids, number * PAGE)
            rows = {order.id for order in decode(name, parts[name], schemas.orders_reply).data.orders}
            _check_progress(name, number, bool(rows) and rows <= found)
            found |= rows
            length, number = len(rows), number + 1


def _read_pages(kind: str, listed: list[str], ask: Callable[[int], bytes], parts: dict[str, bytes]) -> None:
    """Pages after the first (whose rows are ``listed``) until one is not full."""
    found, rows, number = set(listed), listed, 1
    while len(rows) >= PAGE:
        name = f"{kind}.{number}"
        parts[name] = ask(number * PAGE)
        rows = _rows(kind, name, parts[name])
        _check_progress(name, number, bool(rows) and found.issuperset(rows))
        found.update(rows)
        number += 1


def _check_progress(name: str, number: int, is_repeat: bool) -> None:
    """A page that brings nothing new would be asked for for ever."""
    if is_repeat:
        raise Broken(name, "further rows", "the same rows again")
    if number > MAX_PAGES:
        raise Broken(name, f"at most {MAX_PAGES} pages", "more")


def _rows(kind: str, name: str, body: bytes) -> list[str]:
    if kind == "trades":
        return [trade.trade_id for trade in decode(name, body, schemas.trades_reply).data.trades]
    if kind == "limits":
        return [limit.id for limit in decode(name, body, schemas.limits_reply).data.limits]
    return [order.id for order in decode(name, body, schemas.orders_reply).data.orders]


def _ids(main: AccountData) -> dict[str, list[str]]:
    return {
        "trades": [trade.trade_id for trade in main.trades],
        "limits": [limit.id for limit in main.limits],
        "pending": [order.id for order in main.pending],
    }


def _reaches(page: list[Order], since_ms: int | None) -> bool:
    return since_ms is not None and reading.settled_ms(page[-1]) < since_ms
