"""O2 over HTTP: public reads, one method per endpoint; ``fetch`` reads one account as a whole.

Rule 1: answers are returned and put into the payload as they came.
Rule 2: an error is known by its ``code``, whatever the HTTP status.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.errors import Rejected, Retryable
from venues.http import Answer, Http
from venues.model import Payload
from venues.numbers import decode
from venues.o2.markets import Market, read_markets
from venues.o2.reading import TRADES_PER_PAGE, Reading
from venues.o2.schemas import (
    AccountBody,
    ErrorBody,
    account_decoder,
    hex_id,
    ticker_decoder,
)

T = TypeVar("T")

MARKETS_TTL_S: Final = 300.0  # a new listing shows up within five minutes
TICKER_TTL_S: Final = 1.0  # one price for all accounts that are read in the same second
CLIENT_ERRORS: Final = frozenset(range(400, 500)) - {408, 425, 429}
MARKET_NOT_FOUND: Final = 2000
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
        reading = Reading(self, contract, followed, since_ms)
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


def _trade_account_id(body: AccountBody) -> str | None:
    if body.trade_account_id is None or body.trade_account is None:
        return None
    return hex_id("account.trade_account_id", body.trade_account_id)
