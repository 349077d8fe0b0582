"""The parts of a payload that hang off portfolio and history: orders, market pages, books, the wallet.

Everything kept between polls is a copy of an answer with a time until which it may be used again; all of
it can be lost without harm.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import msgspec

from runtime.clock import Clock
from venues.errors import Rejected, Retryable
from venues.http import Http
from venues.limitless import schemas
from venues.limitless.api import MAX_STATUS_ITEMS, Api, Login
from venues.limitless.resolution import CLAIMED, LOST, WON
from venues.limitless.signing import parse_iso_ms
from venues.numbers import decode

MARKET_TTL_MS: Final = 300_000
STALE_MARKET_MS: Final = 20_000  # a page that does not know yet that its market is resolved
BOOK_TTL_MS: Final = 1500
ORDERS_TTL_MS: Final = 10_000  # an order list is read again this soon even if nothing seems to have changed
CASH_TTL_MS: Final = 15_000
NODE_PAUSE_MS: Final = 60_000  # how long a chain node that failed is left alone
WATCH_MS: Final = 3_600_000  # a market stays of interest this long after it was last held or traded
SETTLING_MS: Final = 600_000  # how long a mined trade may still be taken back
MAX_MARKETS: Final = 5000  # pages kept
MAX_READ: Final = 400  # markets of a first look at a long history; older trades go without order and fee
FOR_EVER: Final = 2**62
USDC: Final = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
BALANCE_OF: Final = "0x70a08231"  # selector of balanceOf(address)
AMM_STRATEGIES: Final = frozenset({"buy", "sell"})
UNSETTLED: Final = frozenset({"DELAYED", "MATCHED", "RETRYING"})


@dataclass(slots=True)
class Kept:
    """A body, the time until which it may be used again, and what it depends on."""

    body: bytes
    until_ms: int
    mark: bytes = b""


@dataclass(slots=True)
class Memory:
    """What is remembered of one account between two polls."""

    login: Login
    address: str
    profile: Kept | None = None
    cash: Kept | None = None
    orders: dict[str, Kept] = field(default_factory=dict)
    watched: dict[str, int] = field(default_factory=dict)  # slug → until when
    live_slugs: set[str] = field(default_factory=set)  # markets where orders rest
    pending: set[str] = field(default_factory=set)  # orders that rested or were settling
    settled: dict[str, bytes] = field(default_factory=dict)  # order id → its final status, as it came


@dataclass(slots=True)
class Seen:
    """Portfolio and history of one poll, as far as the client reads them."""

    parts: dict[str, bytes]
    portfolio: schemas.Portfolio
    named: dict[str, None]  # slugs of everything: the portfolio's, then the history's, newest first
    traded: dict[str, bytes]  # slug of order-book trades → what changes with every new one
    settled: set[str]  # slugs known to be resolved


def see(parts: dict[str, bytes]) -> Seen:
    """Decode portfolio and history. Raises Broken."""
    portfolio = decode("positions", parts["positions"], schemas.portfolio)
    seen = Seen(parts, portfolio, {}, {}, set())
    markets = [row.market for row in portfolio.clob] + [row.market for row in portfolio.amm]
    for market in markets:
        seen.named[market.slug] = None
        if market.winning_outcome_index is not None:
            seen.settled.add(market.slug)
    for part, body in parts.items():
        if part.startswith("history:"):
            for row in decode(part, body, schemas.page_cursor).data:
                _see_row(seen, row)
    return seen


def _see_row(seen: Seen, row: schemas.PageRow) -> None:
    if row.market is None:
        return
    slug = row.market.slug
    seen.named[slug] = None
    if (row.action or row.strategy or "").lower() in LOST | WON | CLAIMED:
        seen.settled.add(slug)
    elif (row.strategy or "").lower() not in AMM_STRATEGIES and len(seen.named) <= MAX_READ:
        seen.traded[slug] = seen.traded.get(slug, b"") + f"{row.block_timestamp},".encode()


class OrderReader:
    """Order lists of the markets of interest, and the executions of what may have changed."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api, self._clock = api, clock

    def read(
        self, memory: Memory, seen: Seen, since_ms: int | None, extra: Iterable[str]
    ) -> dict[str, bytes]:
        """Parts ``orders:<slug>`` and ``status:<n>``."""
        now_ms = self._clock.now_ms()
        rows = {row.market.slug: row for row in seen.portfolio.clob}
        for slug in {*rows, *seen.traded, *extra} - seen.settled:
            memory.watched[slug] = now_ms + WATCH_MS
        memory.watched = {slug: until for slug, until in memory.watched.items() if until >= now_ms}
        bodies: dict[str, bytes] = {}
        for slug in sorted(memory.watched.keys() | seen.traded.keys()):
            mark = _fingerprint(rows.get(slug)) + seen.traded.get(slug, b"")
            body = self._list(memory, slug, mark, is_settled=slug in seen.settled)
            if body is not None:
                bodies[slug] = body
        memory.orders = {slug: kept for slug, kept in memory.orders.items() if slug in bodies}
        orders = [(slug, order) for slug, body in bodies.items() for order in _order_rows(slug, body)]
        resting = {order.id for _, order in orders if order.status == "LIVE"}
        memory.live_slugs = {slug for slug, order in orders if order.status == "LIVE"}
        after_ms = None if since_ms is None else since_ms - SETTLING_MS
        recent = {order.id for _, order in orders if _is_after(order.created_at, after_ms)}
        parts = {f"orders:{slug}": body for slug, body in bodies.items()}
        return parts | self._statuses(memory, memory.pending | resting | recent, resting)

    def _list(self, memory: Memory, slug: str, mark: bytes, *, is_settled: bool) -> bytes | None:
        """The order list of a market; None where there is none (delisted, or an AMM)."""
        now_ms, kept = self._clock.now_ms(), memory.orders.get(slug)
        if kept is not None and kept.mark == mark and kept.until_ms > now_ms:
            return kept.body
        body = _unless(lambda: self._api.get_user_orders(memory.login, slug), {400, 404})
        if body is not None:
            until_ms = FOR_EVER if is_settled else now_ms + ORDERS_TTL_MS
            memory.orders[slug] = Kept(body, until_ms, mark)
        return body

    def _statuses(self, memory: Memory, wanted: set[str], resting: set[str]) -> dict[str, bytes]:
        """Executions of the wanted orders: asked for until they are final, repeated from memory after."""
        known = {order_id: memory.settled[order_id] for order_id in wanted & memory.settled.keys()}
        open_ids = sorted(wanted - known.keys())
        parts: dict[str, bytes] = {}
        pending: set[str] = set(resting)
        for first in range(0, len(open_ids), MAX_STATUS_ITEMS):
            part, some = f"status:{len(parts)}", open_ids[first : first + MAX_STATUS_ITEMS]
            parts[part] = self._api.get_order_statuses(memory.login, some)
            for result in decode(part, parts[part], schemas.raw_answer).results:
                self._remember(part, result, known, pending, resting)
        if repeated := [body for order_id, body in known.items() if order_id not in open_ids]:
            parts["status:kept"] = b'{"results":[' + b",".join(repeated) + b"]}"
        memory.settled, memory.pending = known, pending
        return parts

    def _remember(
        self, part: str, body: msgspec.Raw, known: dict[str, bytes], pending: set[str], resting: set[str]
    ) -> None:
        result = decode(part, bytes(body), schemas.status_result)
        if result.data is None:
            return
        order_id, settlement = result.data.order.id, result.data.execution.settlement_status
        is_recent = _is_after(result.data.order.created_at, self._clock.now_ms() - SETTLING_MS)
        if settlement in UNSETTLED or (settlement == "MINED" and is_recent):
            pending.add(order_id)
        elif order_id not in resting:
            known[order_id] = bytes(body)


class MarketReader:
    """Pages and books of markets, shared by all accounts."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self._pages: dict[str, tuple[Kept, schemas.Market]] = {}
        self._books: dict[str, Kept] = {}
        self._lock = threading.Lock()

    def pages(self, slugs: Iterable[str], settled: set[str]) -> dict[str, bytes]:
        """Parts ``market:<slug>``; markets the venue no longer knows are left out."""
        found: dict[str, bytes] = {}
        for slug in sorted(slugs):
            page = self._page(slug, slug in settled)
            if page is not None:
                found[f"market:{slug}"] = page[0].body
        return found

    def books(self, slugs: Iterable[str]) -> dict[str, bytes]:
        """Parts ``book:<slug>`` of the order-book markets among them that are still open."""
        now_ms, found = self._clock.now_ms(), {}
        for slug in sorted(slugs):
            page = self._page(slug, False)
            is_over = page is not None and (
                page[1].trade_type != "clob" or (page[1].expiration_timestamp or FOR_EVER) <= now_ms
            )
            body = None if is_over else self._book(slug)
            if body is not None:
                found[f"book:{slug}"] = body
        return found

    def _page(self, slug: str, is_settled: bool) -> tuple[Kept, schemas.Market] | None:
        now_ms, known = self._clock.now_ms(), self._pages.get(slug)
        if known is not None:
            is_stale = is_settled and known[1].winning_outcome_index is None
            until_ms = known[0].until_ms - (MARKET_TTL_MS - STALE_MARKET_MS if is_stale else 0)
            if until_ms > now_ms:
                return known
        body = _unless(lambda: self._api.get_market(slug), {404})
        if body is None:
            return None
        market = decode(f"market:{slug}", body, schemas.market)
        is_final = market.winning_outcome_index is not None
        page = Kept(body, FOR_EVER if is_final else now_ms + MARKET_TTL_MS), market
        with self._lock:
            while len(self._pages) >= MAX_MARKETS:
                self._pages.pop(next(iter(self._pages)))
            self._pages[slug] = page
        return page

    def _book(self, slug: str) -> bytes | None:
        now_ms, kept = self._clock.now_ms(), self._books.get(slug)
        if kept is None or kept.until_ms <= now_ms:
            body = _unless(lambda: self._api.get_orderbook(slug), {400, 404})
            if body is None:
                return None
            kept = Kept(body, now_ms + BOOK_TTL_MS)
            with self._lock:
                self._books = {s: k for s, k in self._books.items() if k.until_ms > now_ms} | {slug: kept}
        return kept.body


class WalletReader:
    """USDC in the trading wallet, from a chain node: the exchange does not report it."""

    def __init__(self, node: Http | None, clock: Clock) -> None:
        self._node, self._clock = node, clock

    def read(self, memory: Memory, seen: Seen) -> dict[str, bytes]:
        """Part ``cash``, or nothing: a node that fails costs the equity figure, not the poll."""
        now_ms = self._clock.now_ms()
        if self._node is None:
            return {}
        if memory.cash is None or memory.cash.until_ms <= now_ms:
            wallet = trading_wallet(memory, seen)
            data = BALANCE_OF + wallet.removeprefix("0x").rjust(64, "0")
            call = {"jsonrpc": "2.0", "id": 1, "method": "eth_call"}
            body = json.dumps({**call, "params": [{"to": USDC, "data": data}, "latest"]}).encode()
            try:
                answer = self._node.post("", body, headers={"Content-Type": "application/json"})
                memory.cash = Kept(answer.body, now_ms + CASH_TTL_MS)
            except (Retryable, Rejected):
                memory.cash = Kept(memory.cash.body if memory.cash else b"", now_ms + NODE_PAUSE_MS)
        return {"cash": memory.cash.body} if memory.cash.body else {}


def trading_wallet(memory: Memory, seen: Seen) -> str:
    """The address that holds the shares: a smart wallet differs from the account that signs in."""
    for row in seen.portfolio.clob:
        if row.maker_address:
            return row.maker_address
    if memory.profile is not None:
        profile = decode("profile", memory.profile.body, schemas.profile)
        if profile.smart_wallet and profile.trade_wallet_option == "smartWallet":
            return profile.smart_wallet
        return profile.account
    return memory.address


def _unless(ask: Callable[[], bytes], statuses: set[int]) -> bytes | None:
    """What ``ask`` gives; None when the venue refuses it with one of ``statuses``."""
    try:
        return ask()
    except Rejected as error:
        if error.status not in statuses:
            raise
        return None


def _fingerprint(row: schemas.ClobRow | None) -> bytes:
    """Changes whenever the account's orders or shares in a market do."""
    return b"" if row is None else msgspec.json.encode((row.orders, row.tokens_balance))


def _order_rows(slug: str, body: bytes) -> list[schemas.UserOrder]:
    answer = decode(f"orders:{slug}", body, schemas.user_orders)
    return answer.orders if isinstance(answer, schemas.UserOrders) else answer


def _is_after(created_at: str | None, after_ms: int | None) -> bool:
    """Whether an ISO time is after ``after_ms`` (an unreadable one is; None means always)."""
    if after_ms is None or created_at is None:
        return True
    try:
        return parse_iso_ms(created_at) >= after_ms
    except (ValueError, OverflowError):
        return True


def is_before(block_timestamp: Decimal, since_ms: int | None) -> bool:
    """Whether a row of unix seconds lies wholly before ``since_ms``."""
    if since_ms is None or not block_timestamp.is_finite():
        return False
    return block_timestamp * 1000 + 999 < since_ms
