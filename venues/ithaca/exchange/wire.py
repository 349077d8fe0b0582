"""HTTP around the exchange: envelopes, sessions by cookie, and the clock that moves it.

Each route is a plain function ``Call -> payload``; everything that concerns HTTP happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from runtime.clock import Clock
from venues.ithaca.exchange.failure import Failure, malformed
from venues.ithaca.exchange.ledger import Account
from venues.ithaca.exchange.sessions import COOKIE, Session, Sessions
from venues.ithaca.exchange.world import World

API: Final = "/api/v1"


@dataclass(slots=True)
class Exchange:
    """What every route works on."""

    world: World
    sessions: Sessions
    clock: Clock

    def now_ms(self) -> int:
        """The time, with the world advanced to it."""
        now_ms = self.clock.now_ms()
        self.world.advance(now_ms)
        return now_ms


@dataclass(slots=True)
class Call:
    """One request. ``body`` is the decoded JSON, None when there was none."""

    exchange: Exchange
    now_ms: int
    body: Any
    query: Mapping[str, str]
    path: Mapping[str, str]
    cookie: str | None
    set_cookie: str | None = None

    @property
    def world(self) -> World:
        return self.exchange.world

    @property
    def sessions(self) -> Sessions:
        return self.exchange.sessions

    def session(self) -> Session:
        """The caller's session. Raises Failure 401."""
        return self.sessions.find(self.cookie, self.now_ms)

    def account(self) -> Account:
        """The account the caller acts for. Raises Failure 401."""
        return self.sessions.account_of(self.session())

    def field(self, name: str, kind: type[Any], *, optional: bool = False) -> Any:
        """A field of the body. Raises Failure 400 when it is missing or of another type."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        if value is None and optional:
            return None
        if not isinstance(value, kind) or isinstance(value, bool):
            malformed(f"{name}: expected {kind.__name__}")
        return value


Route = Callable[[Call], Any]


def add_routes(app: web.Application, exchange: Exchange, routes: Mapping[str, Route]) -> None:
    """Add ``{"POST /path": function}``; answers are wrapped in the venue's envelope."""
    for where, route in routes.items():
        method, _, path = where.partition(" ")
        app.router.add_route(method, API + path, _handler(exchange, route, _envelope))


def add_bare_routes(
    app: web.Application, exchange: Exchange, prefix: str, routes: Mapping[str, Route]
) -> None:
    """Add routes whose result is the whole answer."""
    for where, route in routes.items():
        method, _, path = where.partition(" ")
        app.router.add_route(method, prefix + path, _handler(exchange, route, lambda value: value))


class NoContent(Exception):
    """There is nothing to tell: 204."""


def _envelope(payload: Any) -> Any:
    if isinstance(payload, TopLevel):
        return {"result": "OK", "details": "", **payload}
    return {"result": "OK", "details": "", "payload": payload}


class TopLevel(dict[str, Any]):
    """Fields that stand beside ``result`` instead of inside ``payload``."""


def _handler(exchange: Exchange, route: Route, wrap: Callable[[Any], Any]) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        try:
            call = await _read(exchange, request)
            payload = wrap(route(call))
        except NoContent:
            return web.Response(status=204)
        except Failure as failure:
            body = {"result": failure.result, "details": failure.details}
            return _json(body, failure.status)
        if isinstance(payload, bytes):
            return web.Response(body=payload, content_type="application/octet-stream")
        answer = _json(payload, 200)
        if call.set_cookie is not None:
            answer.set_cookie(COOKIE, call.set_cookie, path="/", httponly=True, samesite="Lax")
        return answer

    return handle


async def _read(exchange: Exchange, request: web.Request) -> Call:
    raw = await request.read()
    try:
        body = orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        malformed("the body is not JSON")
    return Call(
        exchange=exchange,
        now_ms=exchange.now_ms(),
        body=body,
        query=request.query,
        path=request.match_info,
        cookie=request.cookies.get(COOKIE),
    )


def _json(body: Any, status: int) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
