"""One O2 account read as a whole, consistent with itself.

Rule 1: pages are walked to their end or the walk raises; a cursor that does not advance is Broken.
Rule 2: balances are read before and after the trades. A coin whose balance changed in between is read
again; one that never holds still is listed under ``moving`` and its holding says nothing this time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from venues.errors import Broken, Rejected
from venues.numbers import decode
from venues.o2.markets import Market, assets, homes
from venues.o2.schemas import OrderRow, TradeRow, hex_id, moment, orders_decoder, trades_decoder

if TYPE_CHECKING:
    from venues.o2.client import O2Client

ORDERS_PER_PAGE: Final = 200
SHORT_PAGE: Final = 20  # the venue's smallest default: a shorter page cannot be one that it cut
RECENT_CLOSED: Final = 50  # closed orders are read this far back; older ones were seen when they closed
MAX_PAGES: Final = 4000  # 200,000 trades of one account in one market: beyond that something is wrong
ROUNDS: Final = 3
ORDER_NOT_FOUND: Final = 3000
TRADES_PER_PAGE: Final = 50  # the venue's most


class Reading:
    """One account being read: balances around trades and orders, until they agree."""

    def __init__(
        self, client: O2Client, contract: str, markets: Mapping[str, Market], since_ms: int | None
    ) -> None:
        self._client, self._contract, self._since_ms = client, contract, since_ms
        self._markets = markets
        self._coins = frozenset(homes(markets.values()))
        self._balances: dict[str, bytes] = {}
        self._trades: dict[str, list[bytes]] = {key: [] for key in markets}
        self._orders: dict[str, list[bytes]] = {key: [] for key in markets}
        self._vanished: dict[str, list[bytes]] = {key: [] for key in markets}
        self._known: dict[str, set[str]] = {key: set() for key in markets}
        self._moving: frozenset[str] = frozenset()

    def read(self) -> None:
        """Read until no coin's balance changed while its trades were read, at most three times."""
        self._read_balances(self._coins)
        stale = frozenset(self._markets)
        for _ in range(ROUNDS):
            for market_id in stale:
                self._read_trades(market_id)
            before = dict(self._balances)
            self._read_balances(self._coins)
            self._moving = frozenset(key for key in self._coins if self._balances[key] != before[key])
            if not self._moving:
                break
            stale = frozenset(
                key
                for key, market in self._markets.items()
                if {market.base.id, market.quote.id} & self._moving
            )
        self._read_balances(frozenset(assets(self._markets.values())) - self._coins)
        for market_id in self._markets:
            self._read_orders(market_id)

    def parts(self) -> dict[str, bytes]:
        """The payload's parts, pages numbered in the order they were read."""
        parts = {f"balance/{key}": body for key, body in self._balances.items()}
        for name, pages in (("trades", self._trades), ("orders", self._orders), ("order", self._vanished)):
            for key, bodies in pages.items():
                parts |= {f"{name}/{key}/{index}": body for index, body in enumerate(bodies)}
        if self._moving:
            parts["moving"] = msgspec.json.encode(sorted(self._moving))
        return parts

    def _read_balances(self, asset_ids: Iterable[str]) -> None:
        for asset_id in sorted(asset_ids):
            self._balances[asset_id] = self._client.get_balance(asset_id, self._contract)

    def _read_trades(self, market_id: str) -> None:
        """Walk from the newest trade back to one that is known or older than asked for."""
        known = self._known[market_id]
        earlier = frozenset(known)
        cursor: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            body = self._client.get_trades_by_account(market_id, self._contract, **cursor)
            name = f"trades/{market_id}/{len(self._trades[market_id])}"
            answer = decode(name, body, trades_decoder)
            rows = answer if isinstance(answer, list) else answer.trades
            self._trades[market_id].append(body)
            fresh = {str(row.trade_id) for row in rows} - known
            if not fresh and len(rows) > 1 and not earlier and cursor:
                raise Broken(name, "a page beyond the cursor", "rows already seen")
            known |= fresh
            if not fresh or len(rows) < SHORT_PAGE or self._old(name, rows):
                return
            if any(str(row.trade_id) in earlier for row in rows):
                return
            at_ms, oldest = _oldest(name, rows)
            cursor = {"start_timestamp": at_ms, "start_trade_id": oldest}
        raise Broken(f"trades/{market_id}", f"at most {MAX_PAGES} pages", "more")

    def _old(self, name: str, rows: list[TradeRow]) -> bool:
        if self._since_ms is None:
            return False
        return any(moment(f"{name}.timestamp", row.timestamp) < self._since_ms for row in rows)

    def _read_orders(self, market_id: str) -> None:
        """All open orders, the newest closed ones, and one by one those that vanished unseen."""
        opened = self._walk_open(market_id)
        closed = self._order_page(market_id, is_open=False, count=RECENT_CLOSED)
        listed = {hex_id(f"orders/{market_id}.order_id", row.order_id) for row in closed}
        for order_id in sorted(self._client.seen_open(self._contract, market_id, opened) - listed):
            try:
                self._vanished[market_id].append(self._client.get_order(market_id, order_id))
            except Rejected as error:
                if error.code != str(ORDER_NOT_FOUND):
                    raise

    def _walk_open(self, market_id: str) -> frozenset[str]:
        seen: set[str] = set()
        cursor: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            rows = self._order_page(market_id, is_open=True, count=ORDERS_PER_PAGE, **cursor)
            ids = [hex_id(f"orders/{market_id}.order_id", row.order_id) for row in rows]
            fresh = set(ids) - seen
            if not fresh and len(rows) > 1:
                raise Broken(f"orders/{market_id}", "a page beyond the cursor", "rows already seen")
            seen |= fresh
            # The cursor's time has no documented unit for orders: it is handed back as it came.
            if not fresh or len(rows) < SHORT_PAGE:
                return frozenset(seen)
            last = min(reversed(rows), key=lambda row: moment(f"orders/{market_id}", row.timestamp))
            cursor = {"start_timestamp": last.timestamp, "start_order_id": last.order_id}
        raise Broken(f"orders/{market_id}", f"at most {MAX_PAGES} pages", "more")

    def _order_page(self, market_id: str, **params: Any) -> list[OrderRow]:
        body = self._client.get_orders(market_id, self._contract, **params)
        name = f"orders/{market_id}/{len(self._orders[market_id])}"
        answer = decode(name, body, orders_decoder)
        self._orders[market_id].append(body)
        return answer if isinstance(answer, list) else answer.orders


def _oldest(name: str, rows: list[TradeRow]) -> tuple[int, str]:
    """(time in ms, id) of the oldest row, even where the venue did not list the newest first."""
    keys = [(moment(f"{name}.timestamp", row.timestamp), str(row.trade_id)) for row in reversed(rows)]
    return min(keys, key=lambda key: (key[0], int(key[1]) if key[1].isascii() and key[1].isdigit() else 0))
