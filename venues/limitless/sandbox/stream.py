"""The sandbox's Socket.IO side: namespace /markets on the same port.

Rule 1: a subscription replaces the previous one of its channel, and all are forgotten on disconnect.
Rule 2: public channels need no credentials; the account channels answer ``exception`` without them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import socketio
from aiohttp import web

from venues.limitless.sandbox.accounts import Account
from venues.limitless.sandbox.desk import Desk
from venues.limitless.sandbox.markets import MILLI, Market
from venues.limitless.sandbox.portfolio import positions
from venues.limitless.sandbox.shapes import order_book
from venues.limitless.signing import iso_ms

NAMESPACE: Final = "/markets"
TICK_S: Final = 1.0
PUBLIC: Final = (
    "subscribe_market_prices",
    "subscribe_live_sports",
    "subscribe_live_esports",
    "subscribe_market_lifecycle",
)
PRIVATE: Final = ("subscribe_positions", "subscribe_transactions", "subscribe_order_events")
CHANNEL_OF: Final = {"orderEvent": "subscribe_order_events", "tx": "subscribe_transactions"}
BLOCK_MS: Final = 2000  # Base makes a block this often


@dataclass(slots=True)
class Listener:
    """One connection: who it is, and what it subscribed to (channel → options)."""

    account: Account | None
    wants: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: int = 0  # number of the last engine event it was told of
    shown: str = ""  # the last portfolio it was told of
    told_ms: int = 0  # market events up to here were told


class Stream:
    """Socket.IO server and the loop that feeds it."""

    def __init__(self, desk: Desk, app: web.Application) -> None:
        self._desk = desk
        self._server = socketio.AsyncServer(async_mode="aiohttp", namespaces=[NAMESPACE])
        self._listeners: dict[str, Listener] = {}
        self._server.attach(app)
        self._server.on("connect", self._connect, namespace=NAMESPACE)
        self._server.on("disconnect", self._disconnect, namespace=NAMESPACE)
        for channel in (*PUBLIC, *PRIVATE):
            self._server.on(channel, self._subscriber(channel), namespace=NAMESPACE)
        self._server.on("unsubscribe_market_lifecycle", self._forget_lifecycle, namespace=NAMESPACE)
        self._server.on("unsubscribe", self._unsubscribe, namespace=NAMESPACE)
        app.cleanup_ctx.append(self._run)

    async def _run(self, app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._feed())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await self._server.shutdown()

    async def _feed(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._listeners:
                await self._tell(self._desk.now())

    # --- connections ------------------------------------------------------------------------------

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> bool:
        request = environ["aiohttp.request"]
        try:
            account = self._desk.connected(request)
        except web.HTTPUnauthorized:
            return False
        at_ms = self._desk.now()
        self._listeners[sid] = Listener(account, seen=self._desk.engine.event_count, told_ms=at_ms)
        if account is not None:
            await self._emit(sid, "authenticated", {"userId": account.profile_id})
        return True

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self._listeners.pop(sid, None)

    def _subscriber(self, channel: str) -> Any:
        async def subscribe(sid: str, options: Any = None) -> None:
            listener = self._listeners[sid]
            if channel in PRIVATE and listener.account is None:
                await self._emit(sid, "exception", {"message": "Unauthorized", "channel": channel})
                return
            wanted = options if isinstance(options, dict) else {}
            listener.wants[channel] = wanted
            markets = {
                "addresses": wanted.get("marketAddresses") or [],
                "slugs": wanted.get("marketSlugs") or [],
            }
            await self._emit(sid, "system", {"message": f"Subscribed: {channel}", "markets": markets})
            await self._welcome(sid, channel)

        return subscribe

    async def _welcome(self, sid: str, channel: str) -> None:
        """What a new subscriber gets at once."""
        at_ms, listener = self._desk.now(), self._listeners[sid]
        if channel == "subscribe_market_prices":
            await self._tell_prices(sid, listener, at_ms)
        elif channel == "subscribe_positions":
            listener.shown = ""
            await self._tell_positions(sid, listener, at_ms)
        elif channel.startswith("subscribe_live_"):
            await self._emit(sid, f"{channel.removeprefix('subscribe_')}_update", {})

    async def _forget_lifecycle(self, sid: str, _: Any = None) -> None:
        self._listeners[sid].wants.pop("subscribe_market_lifecycle", None)

    async def _unsubscribe(self, sid: str, options: Any = None) -> dict[str, Any]:
        channel = options.get("channel") if isinstance(options, dict) else None
        if channel not in (*PUBLIC, *PRIVATE):
            return {"error": f"Unknown channel {channel}"}
        self._listeners[sid].wants.pop(channel, None)
        return {"success": True}

    # --- feeding ----------------------------------------------------------------------------------

    async def _tell(self, at_ms: int) -> None:
        for sid, listener in list(self._listeners.items()):
            await self._tell_events(sid, listener)
            await self._tell_positions(sid, listener, at_ms)
            await self._tell_prices(sid, listener, at_ms)
            await self._tell_lifecycle(sid, listener, at_ms)

    async def _tell_events(self, sid: str, listener: Listener) -> None:
        for number, account, name, payload in list(self._desk.engine.events):
            if number > listener.seen and account is listener.account and CHANNEL_OF[name] in listener.wants:
                await self._emit(sid, name, payload)
        listener.seen = self._desk.engine.event_count

    async def _tell_positions(self, sid: str, listener: Listener, at_ms: int) -> None:
        """Balances of every market wanted (all without a wish), when they changed."""
        if listener.account is None or "subscribe_positions" not in listener.wants:
            return
        wanted = set(listener.wants["subscribe_positions"].get("marketSlugs") or [])
        frames = list(
            _balances(listener.account, positions(self._desk.engine, listener.account, at_ms), wanted)
        )
        if str(frames) != listener.shown:
            listener.shown = str(frames)
            for frame in frames:
                await self._emit(sid, "positions", frame)

    async def _tell_prices(self, sid: str, listener: Listener, at_ms: int) -> None:
        options = listener.wants.get("subscribe_market_prices")
        names = (
            [*(options.get("marketSlugs") or []), *(options.get("marketAddresses") or [])] if options else []
        )
        for name in names:
            for market in self._desk.engine.universe.find(str(name), at_ms):
                for event, payload in self._prices(market, at_ms):
                    await self._emit(sid, event, payload)

    def _prices(self, market: Market, at_ms: int) -> list[tuple[str, dict[str, Any]]]:
        engine = self._desk.engine
        if market.is_amm:
            yes = engine.universe.yes(market, at_ms)
            prices: dict[str, Any] = {"marketId": market.id, "marketAddress": market.address}
            prices |= {"yesPrice": yes / MILLI, "noPrice": (MILLI - yes) / MILLI}
            frame = {"marketAddress": market.address, "updatedPrices": [prices]}
            return [("newPriceData", {**frame, "blockNumber": at_ms // BLOCK_MS, "timestamp": iso_ms(at_ms)})]
        book = order_book(engine, market, at_ms)
        book = {k: book[k] for k in ("bids", "asks", "tokenId", "adjustedMidpoint", "maxSpread", "minSize")}
        book |= {"maxSpread": float(book["maxSpread"]), "minSize": int(book["minSize"])}
        for side in ("bids", "asks"):
            book[side] = [{"price": level["price"], "size": level["size"]} for level in book[side]]
        oracle = float(engine.universe.underlying(market.series, at_ms))
        told = {"marketAddress": None, "marketSlug": market.slug, "timestamp": at_ms, "value": oracle}
        update = {"marketSlug": market.slug, "orderbook": book, "timestamp": iso_ms(at_ms)}
        return [("orderbookUpdate", update), ("oraclePriceData", told)]

    async def _tell_lifecycle(self, sid: str, listener: Listener, at_ms: int) -> None:
        if "subscribe_market_lifecycle" in listener.wants:
            for event, payload in lifecycle(self._desk, listener.told_ms, at_ms):
                await self._emit(sid, event, payload)
        listener.told_ms = at_ms

    async def _emit(self, sid: str, event: str, payload: dict[str, Any]) -> None:
        await self._server.emit(event, payload, to=sid, namespace=NAMESPACE)


def _balances(account: Account, portfolio: dict[str, Any], wanted: set[str]) -> list[dict[str, Any]]:
    frames: dict[str, dict[str, Any]] = {}
    for row in portfolio["clob"]:
        market, balance = row["market"], row["tokensBalance"]
        tokens = ((market["yesPositionId"], balance["yes"]), (market["noPositionId"], balance["no"]))
        if not wanted or market["slug"] in wanted:
            frames[market["slug"]] = {
                "account": account.wallet,
                "marketSlug": market["slug"],
                "positions": [
                    {"tokenId": token, "balance": shares, "outcomeIndex": outcome}
                    for outcome, (token, shares) in enumerate(tokens)
                ],
                "type": "CLOB",
            }
    for row in portfolio["amm"]:
        market = row["market"]
        if not wanted or market["slug"] in wanted:
            shares = account.stakes[(market["slug"], row["outcomeIndex"])].shares
            frames[f"{market['slug']}:{row['outcomeIndex']}"] = {
                "account": account.wallet,
                "marketAddress": market["address"],
                "positions": [{"balance": str(shares), "outcomeIndex": row["outcomeIndex"]}],
                "type": "AMM",
            }
    return list(frames.values())


def lifecycle(desk: Desk, after_ms: int, until_ms: int) -> list[tuple[str, dict[str, Any]]]:
    """Markets listed and resolved in a span of time, oldest first."""
    universe = desk.engine.universe
    found: list[tuple[int, str, dict[str, Any]]] = []
    for listing in universe.recent(until_ms):
        for market in listing:
            kind = "AMM" if market.is_amm else "CLOB"
            if after_ms < market.created_ms <= until_ms:
                created: dict[str, Any] = {
                    "slug": market.slug,
                    "title": market.title,
                    "type": kind,
                    "groupSlug": market.group,
                }
                created |= {"categoryIds": [2 if market.group else 1], "createdAt": iso_ms(market.created_ms)}
                found.append((market.created_ms, "marketCreated", created))
            resolved_ms = universe.resolved_ms(market)
            if after_ms < resolved_ms <= until_ms:
                winner = universe.winner(market)
                resolved: dict[str, Any] = {
                    "slug": market.slug,
                    "type": kind,
                    "winningOutcome": ("YES", "NO")[winner],
                }
                resolved |= {"winningIndex": winner, "resolutionDate": iso_ms(resolved_ms)}
                found.append((resolved_ms, "marketResolved", resolved))
    found.sort(key=lambda event: event[0])
    return [(name, payload) for _, name, payload in found]
