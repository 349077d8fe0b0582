"""The venue's read endpoints, one method each, named as the venue's documentation names them.

Bodies come back as they arrived. Every method raises Retryable (network, 408, 425 maintenance, 429, 5xx)
or Rejected (400, 401, 403, 404, 409, 422) with the venue's own message. Prices are between 0 and 1; which
amounts are raw (millionths) and which are decimals is said at each method.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec

from runtime.clock import Clock
from venues.errors import Broken, Rejected
from venues.http import Http
from venues.limitless.signing import Token, signed_headers

REFUSALS: Final = frozenset({400, 401, 403, 404, 409, 422})
MAX_REDIRECTS: Final = 3
MAX_STATUS_ITEMS: Final = 50
Query = Sequence[tuple[str, str | int]]


@dataclass(frozen=True, slots=True)
class Login:
    """How an account proves itself: a scoped token, else an API key; empty for public reads."""

    token: Token | None = None
    api_key: str | None = field(default=None, repr=False)
    identity: str | None = field(default=None, repr=False)

    @property
    def is_public(self) -> bool:
        return self.token is None and self.api_key is None

    def headers(self, now_ms: int, method: str, target: str, body: bytes) -> dict[str, str]:
        """Credentials of one request."""
        if self.token is not None:
            return signed_headers(self.token, now_ms, method, target, body)
        return {"X-API-Key": self.api_key} if self.api_key is not None else {}


PUBLIC: Final = Login()


class _Envelope(msgspec.Struct):
    """The venue's error body: ``message`` is a text or a list of field errors."""

    message: str | list[str | dict[str, object]] | None = None
    error: str | None = None
    msg: str | None = None


class Api:
    """Requests to one host, signed where a login is given."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http, self._clock = http, clock

    # --- markets ----------------------------------------------------------------------------------

    def get_active_markets(self, page: int = 1, limit: int = 25, category: str | None = None) -> bytes:
        """``{data: [market or group], totalMarketsCount}``; at most 25 a page."""
        path = "/markets/active" + (f"/{_part(category)}" if category else "")
        return self._get(path, [("page", page), ("limit", limit)])

    def get_active_slugs(self) -> bytes:
        """Slug, ticker, strike and deadline of every open market."""
        return self._get("/markets/active/slugs")

    def get_categories_count(self) -> bytes:
        """``{category: {id: count}, totalCount}``."""
        return self._get("/markets/categories/count")

    def search_markets(self, query: str, limit: int = 10, page: int = 1) -> bytes:
        """``{markets}`` whose titles resemble ``query``; at most 50 a page."""
        return self._get("/markets/search", [("query", query), ("limit", limit), ("page", page)])

    def get_market(self, slug: str) -> bytes:
        """A market or group by slug or AMM address. Volumes are raw, AMM prices are percent."""
        return self._get(f"/markets/{_part(slug)}")

    def get_orderbook(self, slug: str) -> bytes:
        """The YES book; sizes are raw shares. AMM markets and groups have none (400)."""
        return self._get(f"/markets/{_part(slug)}/orderbook")

    def get_historical_price(self, slug: str, interval: str = "all") -> bytes:
        """Prices of YES, newest first, times in ms; ``interval`` 1h, 6h, 1d, 1w, 1m or all."""
        return self._get(f"/markets/{_part(slug)}/historical-price", [("interval", interval)])

    def get_market_events(self, slug: str, page: int = 1, limit: int = 100) -> bytes:
        """Public trades, newest first; sizes are raw."""
        return self._get(f"/markets/{_part(slug)}/events", [("page", page), ("limit", limit)])

    def get_feed_events(self, slug: str, page: int = 1, limit: int = 100) -> bytes:
        """The market's activity feed."""
        return self._get(f"/markets/{_part(slug)}/get-feed-events", [("page", page), ("limit", limit)])

    # --- pages ------------------------------------------------------------------------------------

    def get_navigation(self) -> bytes:
        """The tree of market pages."""
        return self._get("/navigation")

    def get_market_page_by_path(self, path: str) -> bytes:
        """A market page; old paths are followed to where they moved. Raises Broken on a circle."""
        for _ in range(MAX_REDIRECTS + 1):
            target = f"/market-pages/by-path?{urlencode([('path', path)])}"
            answer = self._http.get(target, accept=REFUSALS | {301})
            if answer.status != 301:
                return _accepted(answer.status, answer.body, target)
            path = _moved_to(answer.headers.get("Location", ""))
        raise Broken("market-pages/by-path", "a page", f"more than {MAX_REDIRECTS} redirects")

    def get_market_page_markets(self, page_id: str, query: Query = ()) -> bytes:
        """Markets of a page, by ``page`` or by ``cursor`` (never both), filtered by repeated keys."""
        return self._get(f"/market-pages/{_part(page_id)}/markets", query)

    def get_property_keys(self) -> bytes:
        """What markets can be filtered by."""
        return self._get("/property-keys")

    def get_property_key(self, key_id: str) -> bytes:
        """One filter with its options."""
        return self._get(f"/property-keys/{_part(key_id)}")

    def get_property_options(self, key_id: str, parent_id: str | None = None) -> bytes:
        """The options of a filter, of one parent option if given."""
        query: Query = [("parentId", parent_id)] if parent_id else ()
        return self._get(f"/property-keys/{_part(key_id)}/options", query)

    # --- the account's orders ---------------------------------------------------------------------

    def get_user_orders(
        self, login: Login, slug: str, statuses: Iterable[str] = ("LIVE", "MATCHED")
    ) -> bytes:
        """The account's orders in one market; sizes are raw shares. Cancelled ones are not listed."""
        query = [("statuses", status) for status in statuses]
        return self._get(f"/markets/{_part(slug)}/user-orders", query, login)

    def get_order_statuses(self, login: Login, order_ids: Sequence[str]) -> bytes:
        """Order, counterparties and execution (fees, settlement; raw) of at most 50 orders."""
        items = [{"orderId": order_id} for order_id in order_ids[:MAX_STATUS_ITEMS]]
        return self._post("/orders/status/batch", {"items": items}, login)

    def get_locked_balance(self, login: Login, slug: str) -> bytes:
        """USDC that resting orders of one market keep busy."""
        return self._get(f"/markets/{_part(slug)}/locked-balance", (), login)

    # --- profile and portfolio --------------------------------------------------------------------

    def get_current_profile(self, login: Login) -> bytes:
        """The caller's profile: id, account, smart wallet, rank with its fee ceiling."""
        return self._get("/profiles/me", (), login)

    def get_profile(self, login: Login, address: str) -> bytes:
        """Somebody's profile."""
        return self._get(f"/profiles/{_part(address)}", (), login)

    def get_positions(self, login: Login) -> bytes:
        """The caller's portfolio: order-book rows are raw, AMM rows decimals."""
        return self._get("/portfolio/positions", (), login)

    def get_public_positions(self, address: str) -> bytes:
        """Anybody's portfolio, without credentials."""
        return self._get(f"/portfolio/{_part(address)}/positions")

    def get_user_history(self, login: Login, cursor: str = "", limit: int = 100) -> bytes:
        """``{data, nextCursor}``, newest first; amounts are decimals, ``pnl`` is raw, times unix seconds.

        The empty cursor of the first page must be sent: without it the venue answers in an older mode.
        """
        return self._get("/portfolio/history", [("cursor", cursor), ("limit", limit)], login)

    def get_trades(self, login: Login) -> bytes:
        """All AMM trades in one answer."""
        return self._get("/portfolio/trades", (), login)

    def get_pnl_chart(self, login: Login, timeframe: str = "7d") -> bytes:
        """Profit over time in USD."""
        return self._get("/portfolio/pnl-chart", [("timeframe", timeframe)], login)

    def get_public_pnl_chart(self, address: str, timeframe: str = "7d") -> bytes:
        """Anybody's profit over time in USD."""
        return self._get(f"/portfolio/{_part(address)}/pnl-chart", [("timeframe", timeframe)])

    def get_points(self, login: Login) -> bytes:
        """The caller's points."""
        return self._get("/portfolio/points", (), login)

    def get_traded_volume(self, address: str) -> bytes:
        """Anybody's traded volume."""
        return self._get(f"/portfolio/{_part(address)}/traded-volume")

    def get_trading_allowance(self, login: Login, kind: str = "clob") -> bytes:
        """What the wallet allows the exchange to spend (raw); ``kind`` clob or negrisk."""
        return self._get("/portfolio/trading/allowance", [("type", kind)], login)

    # --- tokens, partners, packs ------------------------------------------------------------------

    def get_capabilities(self, login: Login) -> bytes:
        """What the holder of the identity token may do."""
        headers = {"identity": f"Bearer {login.identity or ''}"}
        path = "/auth/api-tokens/capabilities"
        answer = self._http.get(path, headers=headers, accept=REFUSALS)
        return _accepted(answer.status, answer.body, path)

    def list_tokens(self, login: Login) -> bytes:
        """The caller's scoped tokens (never their secrets)."""
        return self._get("/auth/api-tokens", (), login)

    def list_accounts(self, login: Login, page: int = 1, limit: int = 25) -> bytes:
        """Accounts the partner created; needs a scoped token."""
        return self._get("/profiles/partner-accounts", [("page", page), ("limit", limit)], login)

    def check_allowances(self, login: Login, profile_id: int) -> bytes:
        """Whether a partner's account is ready to trade; needs a scoped token."""
        return self._get(f"/profiles/partner-accounts/{profile_id}/allowances", (), login)

    def check_amm_allowance(self, login: Login, market: str, side: str) -> bytes:
        """Whether the wallet is ready to trade with an AMM; ``side`` BUY or SELL."""
        return self._post("/amm/allowances/check", {"market": market, "side": side}, login)

    def list_packs(self) -> bytes:
        """Curated parlays."""
        return self._get("/parlay/packs")

    def search_packs(self, query: str) -> bytes:
        """Curated parlays by name."""
        return self._get("/parlay/packs/search", [("query", query)])

    def get_pack(self, pack_id: str) -> bytes:
        """One curated parlay."""
        return self._get(f"/parlay/packs/{_part(pack_id)}")

    # --- inside -----------------------------------------------------------------------------------

    def _get(self, path: str, query: Query = (), login: Login = PUBLIC) -> bytes:
        target = f"{path}?{urlencode(query)}" if query else path
        headers = login.headers(self._clock.now_ms(), "GET", target, b"")
        answer = self._http.get(target, headers=headers, accept=REFUSALS)
        return _accepted(answer.status, answer.body, path)

    def _post(self, path: str, data: object, login: Login) -> bytes:
        body = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
        headers = login.headers(self._clock.now_ms(), "POST", path, body)
        headers["Content-Type"] = "application/json"
        answer = self._http.post(path, body, headers=headers, accept=REFUSALS)
        return _accepted(answer.status, answer.body, path)


def _part(text: str) -> str:
    """One path segment, whatever is in it."""
    return quote(text, safe="")


def _accepted(status: int, body: bytes, path: str) -> bytes:
    if 200 <= status < 300:
        return body
    where = path.partition("?")[0]
    raise Rejected(f"{where} answered {status}: {reason(body)}", status=status)


def reason(body: bytes) -> str:
    """What an error body says, in one line."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except msgspec.DecodeError:
        return body[:200].decode(errors="replace")
    if isinstance(envelope.message, list):
        lines = [_line(item) for item in envelope.message]
        return " | ".join(lines) or (envelope.error or "no reason given")
    return envelope.message or envelope.error or envelope.msg or "no reason given"


def _line(item: str | dict[str, object]) -> str:
    if isinstance(item, str):
        return item
    return ", ".join(f"{key}: {value}" for key, value in item.items() if value)


def _moved_to(location: str) -> str:
    """The page path inside a Location header, which may be a URL, an API path or the page path itself."""
    parts = urlsplit(location)
    moved = (
        parse_qs(parts.query).get("path", [""])[0] if parts.path == "/market-pages/by-path" else parts.path
    )
    if not moved:
        raise Broken("market-pages/by-path", "a Location with a path", repr(location[:80]))
    return moved
