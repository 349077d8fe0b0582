"""The read endpoints over HTTP: parameters checked, errors in the venue's envelope.

Rule 1: every request first lets the world catch up with the clock.
Rule 2: a refused request answers ``{"code", "message"}``; the statuses are ours, the codes the venue's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from runtime.clock import Clock
from venues.o2.sandbox import views
from venues.o2.sandbox.engine import Account, Order, Trade, before
from venues.o2.sandbox.listing import MARKETS, TOKENS, Listed
from venues.o2.sandbox.world import World
from venues.world import DAY_MS, HOUR_MS

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_TRADES: Final = 50
MAX_ORDERS: Final = 200
MAX_BARS: Final = 5000
PRECISIONS: Final = frozenset(10**level for level in range(19))
MINUTE_MS: Final = 60_000
RESOLUTIONS: Final = {
    "1s": 1000,
    **{f"{n}m": n * MINUTE_MS for n in (1, 2, 3, 5, 15, 30)},
    **{f"{n}h": n * HOUR_MS for n in (1, 2, 4, 6, 8, 12)},
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    "1M": 30 * DAY_MS,
    "3M": 90 * DAY_MS,
}


class Refused(Exception):
    """A request the venue does not serve: its error code and our HTTP status."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Wire:
    """Handlers over one world."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world, self._clock = world, clock

    def routes(self) -> list[web.RouteDef]:
        """All read routes of the venue."""
        return [
            web.get(path, self._guarded(handler))
            for path, handler in (
                ("/health", self.health),
                ("/v1/markets", self.markets),
                ("/v1/markets/summary", self.summary),
                ("/v1/markets/ticker", self.ticker),
                ("/v1/markets/fees", self.fees),
                ("/v1/depth", self.depth),
                ("/v1/trades", self.trades),
                ("/v1/trades_by_account", self.trades_by_account),
                ("/v1/bars", self.bars),
                ("/v1/accounts", self.account),
                ("/v1/accounts/window", self.window),
                ("/v1/balance", self.balance),
                ("/v1/orders", self.orders),
                ("/v1/order", self.order),
                ("/v1/aggregated/assets", self.aggregated_assets),
                ("/v1/aggregated/orderbook", self.aggregated_orderbook),
                ("/v1/aggregated/summary", self.aggregated_summary),
                ("/v1/aggregated/ticker", self.aggregated_ticker),
                ("/v1/aggregated/trades", self.aggregated_trades),
                ("/analytics/v1/referral/code-info", self.referral),
            )
        ]

    def _guarded(self, handler: Callable[[web.Request], Any]) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            self._world.advance(self._clock.now_ms())
            try:
                return _json(handler(request))
            except Refused as error:
                return _json({"code": error.code, "message": error.message}, error.status)

        return serve

    @property
    def _now(self) -> int:
        return self._world.now_ms

    def health(self, request: web.Request) -> Any:
        return {"status": "ok"}

    def markets(self, request: web.Request) -> Any:
        return views.markets()

    def summary(self, request: web.Request) -> Any:
        return views.summary(self._world.exchange, _market(request), self._now)

    def ticker(self, request: web.Request) -> Any:
        """A list even for one market."""
        chosen = [_market(request)] if "market_id" in request.query else MARKETS
        return [views.ticker(self._world.exchange, market, self._now) for market in chosen]

    def fees(self, request: web.Request) -> Any:
        return {
            market.id: {"maker_fee": str(market.maker_fee), "taker_fee": str(market.taker_fee)}
            for market in MARKETS
        }

    def depth(self, request: web.Request) -> Any:
        market = _market(request)
        precision = _number(request, "precision", 10)
        if precision not in PRECISIONS:
            raise Refused(400, 1001, "precision must be a power of ten")
        sides = views.depth(self._world.exchange, market, self._now, precision)
        limit = _number(request, "limit", 0)
        orders = {name: side[: limit or None] for name, side in sides.items()}
        return {"action": "depth", "orders": orders, "market_id": request.query["market_id"]}

    def trades(self, request: web.Request) -> Any:
        """Everybody's trades; with ``contract`` only those of that account."""
        market = _market(request)
        if "contract" in request.query:
            return self.trades_by_account(request)
        rows = self._public(market, *_page(request, MAX_TRADES, "start_trade_id"))
        return {"trades": [views.trade(row) for row in rows], "market_id": market.id}

    def trades_by_account(self, request: web.Request) -> Any:
        market, viewer = _market(request), self._party(request)
        descending, count, start, last = _page(request, MAX_TRADES, "start_trade_id")
        trades = viewer.trades.get(market.id, []) if viewer else []
        edge = None if start is None else before(trades, _trade_no(last) + (not descending))
        chosen = _after(trades, descending, count, edge)
        return {"trades": [views.trade(row, viewer) for row in chosen], "market_id": market.id}

    def _public(
        self, market: Listed, descending: bool, count: int, start: int | None, last: str
    ) -> list[Trade]:
        """Trades of accounts and of the crowd, merged by number."""
        own = self._world.exchange.trades.get(market.id, [])
        first, newest = -(-self._world.origin_ms // views.CROWD_MS), self._now // views.CROWD_MS
        at = (newest if descending else first) if start is None else start // views.CROWD_MS
        step = -1 if descending else 1
        window = [at + step * index for index in range(-1, count + 1)]
        crowd = [
            views.crowd_trade(self._world.seed, market, index) for index in window if first <= index <= newest
        ]
        limit = _trade_no(last) if start is not None else None
        near = _near(own, crowd, descending, count, limit)
        return near[:count]

    def bars(self, request: web.Request) -> Any:
        market = _market(request)
        length = RESOLUTIONS.get(request.query.get("resolution", "1h"))
        if length is None:
            raise Refused(400, 1001, "unknown resolution")
        end = min(_number(request, "to", self._now), self._now)
        back = _number(request, "count_back", 0)
        start = end - back * length if back else _number(request, "from", end - 100 * length)
        if start > end:
            raise Refused(400, 7001, "from is after to")
        starts = range(start - start % length, end + 1, length)
        if len(starts) > MAX_BARS:
            raise Refused(400, 7001, f"more than {MAX_BARS} bars")
        rows = [views.bar(self._world.exchange, market, at, length) for at in starts]
        return {"action": "bars", "bars": rows, "market_id": market.id}

    def account(self, request: web.Request) -> Any:
        given = [key for key in ("owner", "owner_contract", "trade_account_id") if key in request.query]
        if len(given) != 1:
            raise Refused(400, 1001, "give exactly one of owner, owner_contract, trade_account_id")
        wanted = _hex(request.query[given[0]])
        accounts = self._world.accounts
        if given[0] == "trade_account_id":
            return views.account(self._world.exchange.accounts.get(wanted))
        return views.account(next((item for item in accounts if item.owner == wanted), None))

    def window(self, request: web.Request) -> Any:
        """An account that never used parallel nonces has an empty window."""
        if _hex(request.query.get("trade_account_id", "0")) not in self._world.exchange.accounts:
            raise Refused(404, 4002, "Account not found")
        lane = _number(request, "nonce_session_id", 0)
        if lane not in range(5):
            raise Refused(400, 1001, "nonce_session_id must be 0..4")
        return {"nonce_session_id": str(lane), "base": "0", "slots": []}

    def balance(self, request: web.Request) -> Any:
        asset = _hex(request.query.get("asset_id", "0"))
        if asset not in TOKENS:
            raise Refused(400, 1001, "unknown asset_id")
        if "address" in request.query and "contract" not in request.query:
            owner = _hex(request.query["address"])
            found = next((item for item in self._world.accounts if item.owner == owner), None)
            return views.balance(found, asset)
        return views.balance(self._party(request), asset)

    def orders(self, request: web.Request) -> Any:
        market, owner = _market(request), self._party(request)
        descending, count, start, last = _page(request, MAX_ORDERS, "start_order_id", default=20)
        rows = list(owner.orders.get(market.id, ())) if owner else []
        wanted = request.query.get("is_open")
        if wanted is not None:
            rows = [row for row in rows if row.closed is (wanted.lower() != "true")]
        index = None
        if start is not None:
            anchor = self._world.exchange.orders.get(_hex(last))
            if anchor is None:
                raise Refused(400, 7002, "unknown start_order_id")
            index = _order_index(rows, anchor, descending)
        chosen = _after(rows, descending, count, index)
        identity = {"ContractId": owner.id} if owner else None
        return {"identity": identity, "market_id": market.id, "orders": [views.order(row) for row in chosen]}

    def order(self, request: web.Request) -> Any:
        found = self._world.exchange.orders.get(_hex(request.query.get("order_id", "0")))
        if found is None or found.market is not _market(request):
            raise Refused(404, 3000, "Order not found")
        return {"order": views.order(found)}

    def aggregated_assets(self, request: web.Request) -> Any:
        return views.aggregated_assets()

    def aggregated_orderbook(self, request: web.Request) -> Any:
        limit = min(_number(request, "depth", 500), 500)
        return views.aggregated_orderbook(self._world.exchange, _pair(request), self._now, limit)

    def aggregated_summary(self, request: web.Request) -> Any:
        return [views.aggregated_summary(self._world.exchange, market, self._now) for market in MARKETS]

    def aggregated_ticker(self, request: web.Request) -> Any:
        rows = {
            views.pair(market): views.ticker(self._world.exchange, market, self._now) for market in MARKETS
        }
        names = ("last_price", "base_volume", "quote_volume")
        return {pair: {name: row[name] for name in names} for pair, row in rows.items()}

    def aggregated_trades(self, request: web.Request) -> Any:
        return [views.aggregated_trade(row) for row in self._public(_pair(request), True, 50, None, "")]

    def referral(self, request: web.Request) -> Any:
        return {"valid": False, "ownerAddress": None, "isActive": False}

    def _party(self, request: web.Request) -> Account | None:
        """The account a ``contract`` or ``account`` parameter names; None when it never traded here."""
        given = [key for key in ("contract", "account") if key in request.query]
        if len(given) != 1:
            raise Refused(400, 1001, "give exactly one of contract, account")
        return self._world.exchange.accounts.get(_hex(request.query[given[0]]))


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _hex(value: str) -> str:
    return "0x" + value.lower().removeprefix("0x")


def _market(request: web.Request) -> Listed:
    wanted = _hex(request.query.get("market_id", ""))
    for market in MARKETS:
        if wanted in (market.id, market.contract):
            return market
    raise Refused(404, 2000, "Market not found")


def _pair(request: web.Request) -> Listed:
    wanted = request.query.get("market_pair", "")
    for market in MARKETS:
        if views.pair(market) == wanted:
            return market
    raise Refused(404, 2000, "Market not found")


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise Refused(400, 1001, f"{name} must be a whole number")
    return int(text)


def _page(
    request: web.Request, most: int, id_name: str, default: int | None = None
) -> tuple[bool, int, int | None, str]:
    """(descending, count, start time in ms, id of the last row seen); the last two only together."""
    direction = request.query.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise Refused(400, 1001, "direction must be asc or desc")
    count = _number(request, "count", default or most)
    if not 0 < count <= most:
        raise Refused(400, 5001, f"count must be 1..{most}")
    if ("start_timestamp" in request.query) != (id_name in request.query):
        raise Refused(400, 7002, f"start_timestamp and {id_name} go together")
    if "start_timestamp" not in request.query:
        return direction == "desc", count, None, ""
    start = _number(request, "start_timestamp", 0)
    return direction == "desc", count, start if start >= 10**12 else start * 1000, request.query[id_name]


def _trade_no(text: str) -> int:
    text = text.removeprefix("0x")  # the official client writes every id with the prefix
    if not text.isascii() or not text.isdigit():
        raise Refused(400, 7002, "unknown start_trade_id")
    return int(text)


def _after(rows: Sequence[T], descending: bool, count: int, index: int | None) -> list[T]:
    """``count`` rows from the end (or start), or strictly beyond ``index``'s boundary."""
    if descending:
        end = len(rows) if index is None else index
        return list(rows[max(0, end - count) : end][::-1])
    start = 0 if index is None else index
    return list(rows[start : start + count])


def _order_index(rows: list[Order], anchor: Order, descending: bool) -> int:
    if descending:
        return sum(1 for row in rows if row.number < anchor.number)
    return sum(1 for row in rows if row.number <= anchor.number)


def _near(
    own: list[Trade], crowd: list[Trade], descending: bool, count: int, limit: int | None
) -> list[Trade]:
    """The first ``count`` of both lists beyond ``limit``, in the asked direction."""
    edge = len(own) if limit is None and descending else 0 if limit is None else before(own, limit)
    nearby = own[max(0, edge - count) : edge] if descending else own[edge : edge + count + 1]
    rows = [
        row
        for row in (*nearby, *crowd)
        if limit is None or (row.number < limit if descending else row.number > limit)
    ]
    return sorted(rows, key=lambda row: row.number, reverse=descending)[:count]
