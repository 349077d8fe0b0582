"""O2 over HTTP: public reads, one method per endpoint, and one account read as a whole.

Rule 1: pages are walked to their end or the walk raises; a cursor that does not advance is Broken.
Rule 2: balances are read before and after the trades. A coin whose balance changed in between is read
again; one that never holds still is listed under ``moving`` and its holding says nothing this time.
Rule 3: answers go into the payload as they came.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.errors import Broken, Rejected, Retryable
from venues.http import Answer, Http
from venues.model import Payload
from venues.numbers import decode
from venues.o2.markets import Market, assets, homes, read_markets
from venues.o2.schemas import (
    AccountBody,
    ErrorBody,
    OrderRow,
    TradeRow,
    account_decoder,
    hex_id,
    moment,
    orders_decoder,
    ticker_decoder,
    trades_decoder,
)

T = TypeVar("T")

TRADES_PER_PAGE: Final = 50  # the venue's most
ORDERS_PER_PAGE: Final = 200
SHORT_PAGE: Final = 20  # the venue's smallest default: a shorter page cannot be one that it cut
RECENT_CLOSED: Final = 50  # closed orders are read this far back; older ones were seen when they closed
MAX_PAGES: Final = 4000  # 200,000 trades of one account in one market: beyond that something is wrong
ROUNDS: Final = 3
MARKETS_TTL_S: Final = 300.0  # a new listing shows up within five minutes
TICKER_TTL_S: Final = 1.0  # one price for all accounts that are read in the same second
CLIENT_ERRORS: Final = frozenset(range(400, 500)) - {408, 425, 429}
MARKET_NOT_FOUND: Final = 2000
ORDER_NOT_FOUND: Final = 3000
RATE_LIMITED: Final = 1003
INTERNAL: Final = 1000

_error_decoder = msgspec.json.Decoder(ErrorBody)


class O2Client:
    """Reads all accounts of one poller; safe to use from several threads."""

    def __init__(self, settings: VenueSettings, clock: Clock) -> None:
        """``settings.options["markets"]`` may name the pairs to follow (``["FUEL/USDC"]``); default all."""
        self._clock = clock
        self._http = Http(
            settings.urls["rest"],
            clock=clock,
            timeout_s=settings.timeout_s,
            requests_per_s=settings.requests_per_s,
        )
        self._wanted = frozenset(settings.options.get("markets", ()))
        self._cache: dict[str, tuple[float, bytes]] = {}
        self._accounts: dict[str, str] = {}
        self._open: dict[tuple[str, str], frozenset[str]] = {}  # (account, market) → orders seen open
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nothing is held between requests but pooled connections, which the sessions close."""

    # --- one method per endpoint; all amounts in the answers are chain integers -----------------------

    def get_markets(self) -> bytes:
        """GET /v1/markets: exchange ids and every market's assets, precisions and fees (ppm)."""
        return self._get("/v1/markets")

    def get_market_summary(self, market_id: str) -> bytes:
        """GET /v1/markets/summary: the last 24 hours."""
        return self._get("/v1/markets/summary", market_id=market_id)

    def get_market_ticker(self, market_id: str) -> bytes:
        """GET /v1/markets/ticker: last, bid and ask; a list of one."""
        return self._get("/v1/markets/ticker", market_id=market_id)

    def get_depth(self, market_id: str, precision: int = 10, limit: int | None = None) -> bytes:
        """GET /v1/depth. ``precision`` is the price step in chain units, a power of ten."""
        return self._get("/v1/depth", market_id=market_id, precision=precision, limit=limit)

    def get_trades(
        self,
        market_id: str,
        *,
        direction: str = "desc",
        count: int = TRADES_PER_PAGE,
        start_timestamp: int | None = None,
        start_trade_id: str | None = None,
    ) -> bytes:
        """GET /v1/trades: everybody's, at most 50. The cursor is the last row's time (ms) and id."""
        return self._get(
            "/v1/trades",
            market_id=market_id,
            direction=direction,
            count=count,
            start_timestamp=start_timestamp,
            start_trade_id=start_trade_id,
        )

    def get_trades_by_account(
        self,
        market_id: str,
        contract: str,
        *,
        direction: str = "desc",
        count: int = TRADES_PER_PAGE,
        start_timestamp: int | None = None,
        start_trade_id: str | None = None,
    ) -> bytes:
        """GET /v1/trades_by_account: where the trade account was maker, taker or both; at most 50."""
        return self._get(
            "/v1/trades_by_account",
            market_id=market_id,
            contract=contract,
            direction=direction,
            count=count,
            start_timestamp=start_timestamp,
            start_trade_id=start_trade_id,
        )

    def get_bars(self, market_id: str, from_ms: int, to_ms: int, resolution: str = "1h") -> bytes:
        """GET /v1/bars: candles between two times in MILLISECONDS, at most 5000."""
        params: dict[str, Any] = {"from": from_ms, "to": to_ms}
        return self._get("/v1/bars", market_id=market_id, resolution=resolution, **params)

    def get_account(
        self,
        *,
        owner: str | None = None,
        owner_contract: str | None = None,
        trade_account_id: str | None = None,
    ) -> bytes:
        """GET /v1/accounts by exactly one of the three; unknown ones are answered with nulls."""
        return self._get(
            "/v1/accounts", owner=owner, owner_contract=owner_contract, trade_account_id=trade_account_id
        )

    def get_account_window(self, trade_account_id: str, nonce_session_id: int = 0) -> bytes:
        """GET /v1/accounts/window: used parallel nonces of one lane (0..4)."""
        return self._get(
            "/v1/accounts/window", trade_account_id=trade_account_id, nonce_session_id=nonce_session_id
        )

    def get_balance(self, asset_id: str, contract: str) -> bytes:
        """GET /v1/balance of one asset; ``total_unlocked`` includes ``trading_account_balance``."""
        return self._get("/v1/balance", asset_id=asset_id, contract=contract)

    def get_orders(
        self,
        market_id: str,
        contract: str,
        *,
        direction: str = "desc",
        count: int = 20,
        is_open: bool | None = None,
        start_timestamp: int | None = None,
        start_order_id: str | None = None,
    ) -> bytes:
        """GET /v1/orders, at most 200. The cursor is the last row's time and id, both or none."""
        return self._get(
            "/v1/orders",
            market_id=market_id,
            contract=contract,
            direction=direction,
            count=count,
            is_open=None if is_open is None else str(is_open).lower(),
            start_timestamp=start_timestamp,
            start_order_id=start_order_id,
        )

    def get_order(self, market_id: str, order_id: str) -> bytes:
        """GET /v1/order. Raises Rejected with code ``3000`` when there is none."""
        return self._get("/v1/order", market_id=market_id, order_id=order_id)

    def get_aggregated_assets(self) -> bytes:
        """GET /v1/aggregated/assets: symbol → deposit and withdrawal facts, human units."""
        return self._get("/v1/aggregated/assets")

    def get_aggregated_orderbook(self, market_pair: str, depth: int = 500, level: int = 2) -> bytes:
        """GET /v1/aggregated/orderbook of ``BASE_QUOTE``, human units."""
        return self._get("/v1/aggregated/orderbook", market_pair=market_pair, depth=depth, level=level)

    def get_aggregated_summary(self) -> bytes:
        """GET /v1/aggregated/summary of every market, human units."""
        return self._get("/v1/aggregated/summary")

    def get_aggregated_ticker(self) -> bytes:
        """GET /v1/aggregated/ticker: pair → last price and volumes, human units."""
        return self._get("/v1/aggregated/ticker")

    def get_aggregated_trades(self, market_pair: str) -> bytes:
        """GET /v1/aggregated/trades of ``BASE_QUOTE``: the taker's side, human units."""
        return self._get("/v1/aggregated/trades", market_pair=market_pair)

    def get_referral_info(self, code: str) -> bytes:
        """GET /analytics/v1/referral/code-info."""
        return self._get("/analytics/v1/referral/code-info", code=code)

    def get_health(self) -> bytes:
        """GET /health."""
        return self._get("/health")

    # --- one account, complete -------------------------------------------------------------------------

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        """Markets, prices, balances, trades since ``since_ms`` and orders of one account.

        ``account.account`` is a trade account id or the id of its owner. Raises Rejected when neither
        is known, Retryable, Broken.
        """
        observed_ms = self._clock.now_ms()
        markets = self._markets()
        followed = self._followed(markets)
        contract = self._resolve(account.account)
        reading = _Reading(self, contract, followed, since_ms)
        try:
            reading.read()
        except Rejected as error:
            if error.code != str(MARKET_NOT_FOUND):
                raise
            with self._lock:
                self._cache.pop("markets", None)
            raise Retryable("the listing changed while it was read") from error
        parts = {"markets": markets, **reading.parts()}
        for market in followed.values():
            self._read_price(market, parts)
        return Payload(
            venue="o2", account=account.account, observed_ms=observed_ms, since_ms=since_ms, parts=parts
        )

    def seen_open(self, contract: str, market_id: str, now_open: frozenset[str]) -> frozenset[str]:
        """Remember which orders are open; return those of last time that are not any more."""
        with self._lock:
            earlier = self._open.get((contract, market_id), frozenset())
            self._open[contract, market_id] = now_open
        return earlier - now_open

    def _followed(self, body: bytes) -> dict[str, Market]:
        markets = read_markets(body)
        if not self._wanted:
            return markets
        unknown = self._wanted - {market.name for market in markets.values()}
        if unknown:
            raise Rejected(f"O2 lists no market {', '.join(sorted(unknown))}", code="2000")
        return {key: market for key, market in markets.items() if market.name in self._wanted}

    def _markets(self) -> bytes:
        return self._cached("markets", MARKETS_TTL_S, self.get_markets)

    def _read_price(self, market: Market, parts: dict[str, bytes]) -> None:
        name = f"ticker/{market.id}"
        body = self._cached(name, TICKER_TTL_S, lambda: self.get_market_ticker(market.id))
        parts[name] = body
        answer = decode(name, body, ticker_decoder)
        row = answer if not isinstance(answer, list) else answer[0] if answer else None
        if row is None or (row.last is None and row.last_price is None):
            parts[f"depth/{market.id}"] = self.get_depth(market.id)

    def _cached(self, name: str, ttl_s: float, fetch: Callable[[], bytes]) -> bytes:
        with self._lock:
            kept = self._cache.get(name)
        now = self._clock.monotonic()
        if kept is not None and now - kept[0] < ttl_s:
            return kept[1]
        body = fetch()
        with self._lock:
            self._cache[name] = (now, body)
        return body

    def _resolve(self, given: str) -> str:
        """The trade account id of a trade account id, an owner's address or an owning contract."""
        wanted = hex_id("account", given)
        with self._lock:
            if wanted in self._accounts:
                return self._accounts[wanted]
        for key in ("trade_account_id", "owner", "owner_contract"):
            body = decode("account", self.get_account(**{key: wanted}), account_decoder)
            if (found := _trade_account_id(body)) is not None:
                with self._lock:
                    self._accounts[wanted] = found
                return found
        raise Rejected("O2 knows no trade account with this id or owner", code="4002")

    def _get(self, path: str, **params: Any) -> bytes:
        """GET with the parameters that are not None; a refusal becomes Retryable or Rejected."""
        chosen = {key: value for key, value in params.items() if value is not None}
        answer = self._http.get(path, params=chosen, accept=CLIENT_ERRORS)
        self._judge(path, answer)
        return answer.body

    def _judge(self, path: str, answer: Answer) -> None:
        """Errors are known by their ``code``, whatever the status: 1003 is a rate limit even with 200."""
        if answer.status < 400 and not answer.body.lstrip().startswith(b"{"):
            return
        if answer.status < 400 and b'"code"' not in answer.body:
            return
        try:
            error = _error_decoder.decode(answer.body)
        except msgspec.MsgspecError:
            error = ErrorBody()
        text = f"{path}: {error.message or error.error or f'HTTP {answer.status}'}"[:300]
        if error.code == RATE_LIMITED:
            self._http.pace.block(2.0)
            raise Retryable(text, after_s=2.0, rate_limited=True)
        if error.code == INTERNAL:
            raise Retryable(text)
        if answer.status >= 400 or error.code is not None:
            code = None if error.code is None else str(error.code)
            raise Rejected(text, status=answer.status, code=code)


class _Reading:
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
            last = rows[-1]
            cursor = {
                "start_timestamp": moment(f"{name}.timestamp", last.timestamp),
                "start_trade_id": str(last.trade_id),
            }
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
            cursor = {"start_timestamp": rows[-1].timestamp, "start_order_id": rows[-1].order_id}
        raise Broken(f"orders/{market_id}", f"at most {MAX_PAGES} pages", "more")

    def _order_page(self, market_id: str, **params: Any) -> list[OrderRow]:
        body = self._client.get_orders(market_id, self._contract, **params)
        name = f"orders/{market_id}/{len(self._orders[market_id])}"
        answer = decode(name, body, orders_decoder)
        self._orders[market_id].append(body)
        return answer if isinstance(answer, list) else answer.orders


def _trade_account_id(body: AccountBody) -> str | None:
    if body.trade_account_id is None or body.trade_account is None:
        return None
    return hex_id("account.trade_account_id", body.trade_account_id)
