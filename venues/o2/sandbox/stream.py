"""The WebSocket at /v1/ws: depth, trades, orders, balances and nonces, pushed as they change.

Rule 1: a subscription starts with the present state (depth, orders, balances, nonce) or with silence
(trades), and is followed by changes only; depth changes are signed differences per level.
Rule 2: ids are echoed exactly as the subscriber wrote them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from runtime.clock import Clock
from venues.o2.sandbox import views
from venues.o2.sandbox.engine import Account, before
from venues.o2.sandbox.listing import MARKETS, TOKENS, Listed
from venues.o2.sandbox.world import World

LOOK_S: Final = 0.2  # how often a connection looks at the world
IDLE_S: Final = 60.0  # a client that says nothing for so long is disconnected
MOST_IDENTITIES: Final = 10
STREAM_PRECISIONS: Final = frozenset(str(10**level) for level in range(1, 10))

Json = dict[str, Any]


@dataclass
class Topic:
    """One subscription and what it has seen: levels, trade number, or rendered states."""

    action: str
    market: Listed | None = None
    market_id: str = ""
    precision: int = 10
    accounts: tuple[Account, ...] = ()
    seen: dict[Any, Any] = field(default_factory=dict)
    last: int = 0


class Stream:
    """Serves /v1/ws."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world, self._clock = world, clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/ws", self.serve)]

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection: a reader for its requests, a looker for what changes."""
        socket = web.WebSocketResponse(receive_timeout=IDLE_S)
        await socket.prepare(request)
        topics: dict[tuple[str, str], Topic] = {}
        looker = asyncio.create_task(self._look(socket, topics))
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        await self._hear(socket, topics, message.data)
        finally:
            looker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looker
        return socket

    async def _hear(
        self, socket: web.WebSocketResponse, topics: dict[tuple[str, str], Topic], text: str
    ) -> None:
        if text == "PING":
            await socket.send_str("PONG")
            return
        try:
            asked = orjson.loads(text)
            action = str(asked["action"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            await _refuse(socket, 1002, "not a request")
            return
        if action.startswith("unsubscribe_"):
            name = action.removeprefix("un")
            for key in [key for key in topics if key[0] == name and key[1] in ("", _key(asked))]:
                del topics[key]
            return
        topic = self._topic(action, asked)
        if isinstance(topic, str):
            await _refuse(socket, 6002, topic)
        elif (action, _key(asked)) in topics:
            await _refuse(socket, 6000, "already subscribed")
        else:
            topics[action, _key(asked)] = topic
            await self._send(socket, topic, first=True)

    def _topic(self, action: str, asked: Json) -> Topic | str:
        """The subscription asked for, or why there is none."""
        if action in ("subscribe_depth", "subscribe_trades"):
            wanted = str(asked.get("market_id", ""))
            market = next((item for item in MARKETS if item.id == "0x" + wanted.lower()[-64:]), None)
            if market is None:
                return "unknown market_id"
            precision = str(asked.get("precision", "10"))
            if precision not in STREAM_PRECISIONS:
                return "precision must be a power of ten, as a string"
            return Topic(action, market, wanted, int(precision))
        if action not in ("subscribe_orders", "subscribe_balances", "subscribe_nonce"):
            return f"unknown action {action[:40]}"
        identities = asked.get("identities")
        if not isinstance(identities, list) or not 0 < len(identities) <= MOST_IDENTITIES:
            return f"give 1..{MOST_IDENTITIES} identities"
        ids = {
            "0x" + str(value).lower()[-64:]
            for item in identities
            if isinstance(item, dict)
            for value in item.values()
        }
        return Topic(
            action, accounts=tuple(item for item in self._world.accounts if {item.id, item.owner} & ids)
        )

    async def _look(self, socket: web.WebSocketResponse, topics: dict[tuple[str, str], Topic]) -> None:
        while not socket.closed:
            await asyncio.sleep(LOOK_S)
            for topic in list(topics.values()):
                await self._send(socket, topic, first=False)

    async def _send(self, socket: web.WebSocketResponse, topic: Topic, *, first: bool) -> None:
        self._world.advance(self._clock.now_ms())
        for message in self._changes(topic, first):
            if socket.closed:
                return
            now = str(self._world.now_ms)
            stamped = {**message, "onchain_timestamp": now, "seen_timestamp": now}
            await socket.send_str(orjson.dumps(stamped).decode())

    def _changes(self, topic: Topic, first: bool) -> Iterator[Json]:
        """What the topic has to say since it last spoke."""
        if topic.action == "subscribe_depth":
            yield from self._depth(topic, first)
        elif topic.action == "subscribe_trades":
            yield from self._trades(topic, first)
        elif topic.action == "subscribe_orders":
            yield from self._orders(topic, first)
        else:
            yield from self._states(topic)

    def _depth(self, topic: Topic, first: bool) -> Iterator[Json]:
        assert topic.market is not None
        sides = views.depth(self._world.exchange, topic.market, self._world.now_ms, topic.precision)
        now = {name: {row["price"]: int(row["quantity"]) for row in rows} for name, rows in sides.items()}
        earlier, topic.seen = topic.seen, now
        if first:
            view = {"precision": topic.precision, **sides}
            yield {"action": "subscribe_depth", "view": view, "market_id": topic.market_id}
            return
        changes = {name: _differences(earlier[name], now[name]) for name in now}
        if any(changes.values()):
            yield {"action": "subscribe_depth_update", "changes": changes, "market_id": topic.market_id}

    def _trades(self, topic: Topic, first: bool) -> Iterator[Json]:
        assert topic.market is not None
        world, market = self._world, topic.market
        newest = views.crowd_trade(world.seed, market, world.now_ms // views.CROWD_MS)
        own = world.exchange.trades.get(market.id, [])
        fresh = [row for row in (*own[before(own, topic.last + 1) :], newest) if row.number > topic.last]
        topic.last = max([topic.last, *(row.number for row in fresh)])
        if fresh and not first:
            rows = [views.trade(row) for row in sorted(fresh, key=lambda row: row.number)]
            yield {"action": "subscribe_trades", "trades": rows, "market_id": topic.market_id}

    def _orders(self, topic: Topic, first: bool) -> Iterator[Json]:
        """Open orders at first, later every order that changed."""
        states = {
            order.id: (order.filled, order.closed, order)
            for account in topic.accounts
            for orders in account.orders.values()
            for order in orders[-50:]
        }
        changed = [
            state[2]
            for key, state in states.items()
            if (not state[1] if first else topic.seen.get(key) != state[:2])
        ]
        topic.seen = {key: state[:2] for key, state in states.items()}
        if first or changed:
            yield {"action": "subscribe_orders", "orders": [views.order(order) for order in changed]}

    def _states(self, topic: Topic) -> Iterator[Json]:
        """Balances per (account, asset) or nonces per account, when they differ from the last ones sent."""
        for account in topic.accounts:
            rows: list[tuple[str, Json]] = [
                (account.id, {"contract_id": account.id, "nonce": str(account.nonce)})
            ]
            if topic.action == "subscribe_balances":
                rows = [(account.id + asset, {"balance": [_balance(account, asset)]}) for asset in TOKENS]
            for key, state in rows:
                if topic.seen.get(key) != state:
                    topic.seen[key] = state
                    yield {"action": topic.action, **state}


def _differences(earlier: dict[str, int], now: dict[str, int]) -> list[Json]:
    return [
        {"price": price, "quantity": str(now.get(price, 0) - earlier.get(price, 0))}
        for price in sorted({*earlier, *now})
        if now.get(price, 0) != earlier.get(price, 0)
    ]


def _balance(account: Account, asset: str) -> Json:
    identity = {"ContractId": account.id}
    return {"identity": identity, "asset_id": asset, **views.balance(account, asset)}


def _key(asked: Json) -> str:
    """What tells two subscriptions of one action apart."""
    return str(asked.get("market_id", ""))


async def _refuse(socket: web.WebSocketResponse, code: int, message: str) -> None:
    await socket.send_str(orjson.dumps({"code": code, "message": message}).decode())
