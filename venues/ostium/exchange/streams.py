"""The two price streams: one to subscribe to, and the older one that sends everything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import WSMsgType, web

from runtime.clock import Clock
from venues.ostium.exchange import feeds
from venues.ostium.exchange.market import PAIRS, Market, Pair

EVERY_S: Final = 1.0


class Streams:
    """WebSocket handlers; every client gets the ticks of its pairs once a second."""

    def __init__(self, market: Market, clock: Clock) -> None:
        self._market, self._clock = market, clock

    async def subscribed(self, request: web.Request) -> web.WebSocketResponse:
        """``/v1/prices/stream``: subscribe, snapshot, ticks."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        wanted: dict[str, Pair] = {}
        sender = asyncio.create_task(self._send_wanted(socket, wanted))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._obey(socket, wanted, message.data)
        finally:
            sender.cancel()
        return socket

    async def everything(self, request: web.Request) -> web.WebSocketResponse:
        """``/v1/market/stream``: raw ticks of all pairs, nothing to ask for."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sender = asyncio.create_task(self._send_all(socket))
        try:
            async for _ in socket:
                pass  # the venue ignores what clients say here
        finally:
            sender.cancel()
        return socket

    async def _obey(self, socket: web.WebSocketResponse, wanted: dict[str, Pair], text: str) -> None:
        try:
            command = json.loads(text)
            kind, names = command["type"], [str(name) for name in command["pairs"]]
        except (ValueError, KeyError, TypeError):
            await socket.send_json({"type": "error", "message": "Invalid message"})
            return
        known = {name: pair for name in names if (pair := feeds.find_pair(name)) is not None}
        if kind not in ("subscribe", "unsubscribe") or len(known) < len(set(names)):
            await socket.send_json({"type": "error", "message": "Unknown type or pair"})
        elif kind == "subscribe":
            wanted.update(known)
            await socket.send_json({"type": "snapshot", "data": self._ticks(wanted.values())})
        else:
            for name in known:
                wanted.pop(name, None)

    async def _send_wanted(self, socket: web.WebSocketResponse, wanted: dict[str, Pair]) -> None:
        while not socket.closed:
            await asyncio.sleep(EVERY_S)
            for tick in self._ticks(list(wanted.values())):
                await _send(socket, {"type": "tick", "data": tick})

    async def _send_all(self, socket: web.WebSocketResponse) -> None:
        while not socket.closed:
            now_ms = self._clock.now_ms()
            for pair in PAIRS.values():
                tick = feeds.tick(self._market, pair, now_ms)
                await _send(socket, {**tick, "feed_id": pair.name})
            await asyncio.sleep(EVERY_S)

    def _ticks(self, pairs: Iterable[Pair]) -> list[dict[str, Any]]:
        now_ms = self._clock.now_ms()
        return [feeds.displayed(feeds.tick(self._market, pair, now_ms)) for pair in pairs]


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
    try:
        await socket.send_json(message)
    except ConnectionError:
        await socket.close()
