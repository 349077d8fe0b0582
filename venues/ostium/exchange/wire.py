"""The sandbox's HTTP: subgraph, price services, the Builder Service's reads and the chain's JSON-RPC.

One application stands for all of Ostium's hosts: ``/gn`` and ``/v1/subgraph/gn`` (subgraph),
``/PricePublish/latest-prices`` (metadata backend), ``/v1/...`` (Builder), ``/rpc`` (Arbitrum).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from runtime.clock import Clock
from venues.ostium.exchange import feeds, graph, streams
from venues.ostium.exchange.engine import Exchange
from venues.ostium.exchange.limits import RateLimit
from venues.ostium.exchange.rpc import Rpc

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BuilderError(Exception):
    """What the Builder Service refuses."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.details = status, code, details


class Wire:
    """Handlers over one exchange. The world is brought to the present before every answer."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange, self._clock = exchange, clock
        self._rpc = Rpc(exchange)
        self._limit = RateLimit(clock)

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        app = web.Application()
        stream = streams.Streams(self._exchange.market, self._clock)
        app.add_routes(
            [
                web.post("/gn", self._subgraph),
                web.post("/v1/subgraph/gn", self._subgraph),
                web.get("/PricePublish/latest-prices", self._latest_prices),
                web.get("/v1/prices", self._prices),
                web.post("/v1/ohlc", self._builder(self._ohlc, limited=False)),
                web.get("/v1/prices/stream", stream.subscribed),
                web.get("/v1/market/stream", stream.everything),
                web.get("/v1/health", self._builder(self._health)),
                web.get("/v1/exchange/health", self._builder(self._exchange_health)),
                web.get("/v1/balance/usdc", self._builder(self._balance)),
                web.post("/rpc", self._json_rpc),
            ]
        )
        return app

    def now_ms(self) -> int:
        """Bring the world to the present; returns the present."""
        now_ms = self._clock.now_ms()
        self._exchange.timeline.advance(now_ms)
        return now_ms

    async def _subgraph(self, request: web.Request) -> web.Response:
        self.now_ms()
        try:
            body = await request.json()
            text, variables = body["query"], body.get("variables")
        except (ValueError, KeyError, TypeError, AttributeError):
            return web.json_response({"errors": [{"message": "invalid request body"}]}, status=400)
        if not isinstance(text, str) or not isinstance(variables, dict | None):
            return web.json_response({"errors": [{"message": "invalid request body"}]}, status=400)
        return web.json_response(graph.answer(self._exchange, text, variables))

    async def _latest_prices(self, _request: web.Request) -> web.Response:
        return web.json_response(feeds.ticks(self._exchange.market, self.now_ms()))

    async def _prices(self, _request: web.Request) -> web.Response:
        now_ms = self.now_ms()
        shown = [feeds.displayed(tick) for tick in feeds.ticks(self._exchange.market, now_ms)]
        return web.json_response({"prices": shown, "stale": False, "generatedAt": now_ms})

    async def _ohlc(self, request: web.Request) -> dict[str, Any]:
        wanted = await _body(request)
        now_s = self.now_ms() // 1000
        pair = feeds.find_pair(str(wanted.get("pair", "")))
        errors = {}
        if pair is None:
            errors["pair"] = ["Unknown pair"]
        if wanted.get("resolution") not in feeds.RESOLUTIONS:
            errors["resolution"] = [f"Expected one of {', '.join(feeds.RESOLUTIONS)}"]
        times = [wanted.get(name) for name in ("fromTimestampSeconds", "toTimestampSeconds")]
        if not all(isinstance(t, int) and 0 < t < 10**11 for t in times):
            errors["fromTimestampSeconds"] = ["Expected Unix seconds"]
        if errors or pair is None:
            raise BuilderError(400, "VALIDATION_ERROR", "Validation failed", {"validationErrors": errors})
        from_s, to_s = (int(t) for t in times if t is not None)
        found = feeds.candles(self._exchange.market, pair, from_s, min(to_s, now_s), wanted["resolution"])
        last = found[-1]["time"] if len(found) >= feeds.MOST_CANDLES else None
        return {"data": found, "lastRequestTimestamp": last}

    async def _health(self, _request: web.Request) -> dict[str, Any]:
        return {"status": "healthy", "version": "v1", "timestamp": _iso(self.now_ms())}

    async def _exchange_health(self, _request: web.Request) -> dict[str, Any]:
        return {
            "status": "healthy",
            "endpoint": "exchange",
            "version": "v1",
            "timestamp": _iso(self.now_ms()),
        }

    async def _balance(self, request: web.Request) -> dict[str, Any]:
        trader = request.headers.get("X-Trader-Address") or request.query.get("address")
        if not trader:
            raise BuilderError(400, "INVALID_REQUEST", "Missing X-Trader-Address header")
        if not ADDRESS.fullmatch(trader):
            raise BuilderError(400, "INVALID_ADDRESS", "Invalid trader address")
        self.now_ms()
        amount = self._exchange.wallets.get(trader.lower(), 0)
        return {
            "address": trader,
            "symbol": "USDC",
            "decimals": 6,
            "balance": str(amount),
            "balanceFormatted": f"{amount // 10**6}.{amount % 10**6:06d}",
        }

    async def _json_rpc(self, request: web.Request) -> web.Response:
        self.now_ms()
        try:
            body = await request.json()
        except ValueError:
            error = {"code": -32700, "message": "parse error"}
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": error})
        return web.json_response(self._rpc.answer(body))

    def _builder(
        self, handle: Callable[[web.Request], Awaitable[dict[str, Any]]], *, limited: bool = True
    ) -> Handler:
        """The Builder Service's manners: rate limit headers, request ids and its error envelope."""

        async def handler(request: web.Request) -> web.StreamResponse:
            headers = {"X-Request-ID": _request_id(request)}
            try:
                if limited:
                    retry_after = self._limit.take(request.remote or "", headers)
                    if retry_after:
                        raise BuilderError(
                            429, "RATE_LIMIT_EXCEEDED", "Too many requests", self._limit.details(retry_after)
                        )
                return web.json_response(await handle(request), headers=headers)
            except BuilderError as error:
                body = {"error": str(error), "code": error.status, "errorCode": error.code}
                if error.details is not None:
                    body["details"] = error.details
                return web.json_response(body, status=error.status, headers=headers)

        return handler


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())  # application/json or text/plain alike
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BuilderError(400, "INVALID_REQUEST", "Invalid JSON payload")
    return body


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
